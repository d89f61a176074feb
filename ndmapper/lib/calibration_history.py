"""Which masters a frame was calibrated by, and what was done with it afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ndmapper.data import DataFile
from ndmapper.io.record import identity, is_of_library

__all__ = ["AppliedMaster", "masters_of", "unknown_masters"]

Entry = Mapping[str, Any]

_SUBTRACTED = ("bias", "master_bias", "dark", "master_dark", "fringe")
_DIVIDED_BY = ("flat", "master_flat", "illumination")

_APPLYING = {
    "subtract_bias", "subtract_dark", "apply_flat", "apply_illumination",
    "subtract_fringe", "calibrate_image",
}  # fmt: skip
"""Steps that apply masters: in `calibrate_image`, additive ones before a flat."""

_SCALING = {"subtract_dark", "subtract_fringe"}
"""Steps that multiply the master by a factor for each frame."""

_JOINING = {"combine", "make_bias", "make_dark"}
"""Steps after which the noise of what all their inputs share is as it was in each."""

_MOVING = {
    "stack_images": "is at other pixels since the frames were put onto a common grid",
    "rectify_wavelength": "is at other pixels since the frames were rectified",
}
"""Steps after which pixels are not those of the master, and what is said of it."""

_LAYING = "make_mosaic"
"""The step after which the extensions of a frame, and of its masters, are a mosaic."""


@dataclass(frozen=True, kw_only=True)
class AppliedMaster:
    """
    One master that a frame was calibrated by.

    `reference` is what identifies it in the record, and `places` are paths where it
    was. `flats` are those that the frame was divided by afterwards. `has_gain` says
    whether the frame was multiplied by its gains since, `is_scaled` whether it was
    multiplied by a factor first, as a dark is by the ratio of exposure times, and
    `lost_background` whether a background was subtracted since. `mosaic` has the
    parameters of `make_mosaic`, if the extensions of the frame were put together since.
    `in_sky` says whether a sky was subtracted since, that may have had its noise too.
    `untold` says why it cannot be told what its noise is in the frame.
    """

    tag: str
    name: str
    reference: str
    places: tuple[str, ...] = ()
    is_flat: bool = False
    is_scaled: bool = False
    flats: tuple["AppliedMaster", ...] = ()
    has_gain: bool = False
    lost_background: bool = False
    mosaic: Entry | None = None
    in_sky: bool = False
    untold: str = ""


def masters_of(df: DataFile) -> list[AppliedMaster]:
    """List the masters in the record of a frame, in the order of their use."""
    rows = df.record
    if not rows:
        return []
    return _History(rows).applied(str(rows[-1]["key"]))


def unknown_masters(df: DataFile) -> list[str]:
    """Name masters that were applied by steps other than those of ndmapper."""
    found = []
    for entry in df.record:
        for tag, given in (entry.get("calibrations") or {}).items():
            is_ours = is_of_library(entry["tool"]) and entry["step"] in _APPLYING
            if tag in (*_SUBTRACTED, *_DIVIDED_BY) and given and not is_ours:
                names = [one["name"] for one in _as_list(given)]
                found.append(f"{tag} {', '.join(names)} ({entry['step']})")
    return found


class _History:
    """The entries of a record, which are followed back to the raw frames."""

    def __init__(self, rows: Sequence[Entry]) -> None:
        self._rows = {str(row["key"]): row for row in rows}
        self._known: dict[str, list[AppliedMaster]] = {}

    def applied(self, key: str) -> list[AppliedMaster]:
        """List the masters that the product of a key was made with, each way once."""
        if key not in self._known:
            entry = self._rows.get(key)
            self._known[key] = [] if entry is None else self._found(entry)
        return self._known[key]

    def _found(self, entry: Entry) -> list[AppliedMaster]:
        before = [self.applied(self._key_of(ref)) for ref in entry["inputs"]]
        step = str(entry["step"])
        if not is_of_library(entry["tool"]):
            # What a user's own step, or an edit, does to the scale is not known; the
            # variances of the frames are compared with what follows (`SharedMasters`).
            return before[0] if len(before) == 1 else []
        if step in _MOVING:
            return [replace(x, untold=_MOVING[step]) for x in _any_of(before)]
        if step == _LAYING:
            return [_on_mosaic(x, entry["parameters"]) for x in _any_of(before)]
        if len(before) != 1:
            if step not in _JOINING or entry["parameters"].get("method") == "sum":
                why = f"has another part in what {step} made of several frames"
                return [replace(one, untold=why) for one in _any_of(before)]
            common = [{one.reference for one in found} for found in before]
            return [
                x for x in (before or [[]])[0] if all(x.reference in c for c in common)
            ]
        (found,) = before
        if step == "correct_gain":
            return [replace(one, has_gain=True) for one in found]
        if step == "subtract_background":
            return [replace(one, lost_background=True) for one in found]
        if step == "subtract_sky":
            return [replace(one, in_sky=True) for one in found]
        if step in _APPLYING and (entry.get("config") or {}).get("use_uncert", True):
            for tag, given in entry["calibrations"].items():
                if given is not None and tag in (*_SUBTRACTED, *_DIVIDED_BY):
                    found = _with_master(found, entry, tag, _as_list(given)[0])
        return found

    def _key_of(self, ref: Entry) -> str:
        """Find the key of an input; one that was edited in memory has only a name."""
        if (key := str(ref.get("key"))) in self._rows or not ref.get("memory"):
            return key
        named = [k for k, r in self._rows.items() if r.get("product") == ref["name"]]
        return named[0] if len(named) == 1 else key


def _any_of(histories: Sequence[Sequence[AppliedMaster]]) -> list[AppliedMaster]:
    """List the masters of several frames, each once."""
    return list({one.reference: one for used in histories for one in used}.values())


def _on_mosaic(master: AppliedMaster, parameters: Entry) -> AppliedMaster:
    """Note that a frame became a mosaic, which its masters become in the same way."""
    if master.mosaic is not None:
        return replace(master, untold="was put into a mosaic twice")
    flats = tuple(_on_mosaic(flat, parameters) for flat in master.flats)
    return replace(master, mosaic=parameters, flats=flats)


def _with_master(
    found: Sequence[AppliedMaster], entry: Entry, tag: str, reference: Entry
) -> list[AppliedMaster]:
    paths = (entry.get("run") or {}).get("paths") or {}
    name = str(reference["name"])
    master = AppliedMaster(
        tag=tag.removeprefix("master_"),
        name=name,
        reference=identity(reference) or "",
        places=tuple(map(str, _as_list(paths.get(name) or []))),
        is_flat=tag in _DIVIDED_BY,
        is_scaled=entry["step"] in _SCALING,
    )
    if master.is_flat:
        found = [
            one if one.is_flat else replace(one, flats=(*one.flats, master))
            for one in found
        ]
    return [*found, master]


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]
