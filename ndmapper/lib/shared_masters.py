"""
The noise that frames of a stack share, since they were calibrated by the same masters.

Which masters these are, the records of the frames say (`calibration_history`). They are
opened where they are, or taken from memory, and only their variances are read, a few
rows at a time. In a frame, the deviation of an additive master is that of its pixel
times the gain, if the frame was multiplied by it since, over the flats that it was
divided by; that of a flat is in proportion to the value of the pixel.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.config import config
from ndmapper.data import DataFile, NDLater
from ndmapper.data.detector import amplifier_card, amplifier_numbers
from ndmapper.errors import NdmapperError, ParameterError
from ndmapper.io.digest import digest
from ndmapper.io.spool import Spool, SpooledArray
from ndmapper.lib.calibration_history import (
    AppliedMaster,
    masters_of,
    unknown_masters,
)
from ndmapper.lib.detector_tiles import lay_out, mosaic_shape, tiles_of
from ndmapper.numerics.sections import parse_section
from ndmapper.numerics.shared_noise import SharedNoise, own_variance

__all__ = [
    "BACKGROUND_LEVEL",
    "DARK_FACTOR",
    "FRINGE_FACTOR",
    "SKY_CARD",
    "ImageRows",
    "Shared",
    "SharedMasters",
    "middle_rows",
    "parts_of",
    "write_names",
]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

Shared = Literal["record", "none"] | Sequence[Any]
"""Whether records say which masters are shared; or these, as files or their names."""

DARK_FACTOR = "DARKFACT"
"""Card of a frame: what the dark was multiplied by before it was subtracted."""

FRINGE_FACTOR = "FRNSCALE"
"""Card of a frame: what the fringes were multiplied by before."""

_FACTORS = {"dark": DARK_FACTOR, "fringe": FRINGE_FACTOR}

SKY_CARD = "SKYCOM"
"""Cards of a frame: masters whose noise went with that of the sky, numbered from 1."""

BACKGROUND_LEVEL = "BKGLEVEL"
"""Card of a frame: the median of the background that was subtracted."""

_APPLIED = ("APPBIAS", "APPDARK", "APPFLAT", "APPILLUM")

_MOSAIC = "mosaic"
"""What stands for the ident of an extension where all of them were put together."""

_ROWS = 16
_LEAST_OWN = 1e-3
"""A frame has at least this part of its variance by itself."""


class ImageRows:
    """One part of an image, read by rows; what is compressed, from a spool."""

    def __init__(self, ndd: NDLater, part: str, spool: Spool | None = None) -> None:
        # Of a section of the image, headers and coordinates would be cut as well.
        self._array = array = ndd.content.arrays[part]
        self.shape = ndd.shape
        self._spooled = None
        if self.shape and not array.has_rows:
            # Else all of it would be decompressed for each of the rows.
            spool = spool or Spool()
            self._spooled = SpooledArray(spool, array.read_uncached, self.shape)

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        if self._spooled is not None:
            return self._spooled[rows]
        return self._array.section(rows).read_uncached()


_OfSection: TypeAlias = tuple[tuple[slice, ...], float]
"""A number of a part of an image."""


class _Rows(Protocol):
    """Pixels that can be read a few rows at a time."""

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        """Read some rows."""


@dataclass(frozen=True)
class _Master:
    """The image of a master that was applied to an image."""

    ident: Any
    shape: tuple[int, ...]
    data: _Rows
    variance: _Rows | None


def _extension(ndd: NDLater) -> _Master:
    """Give the image of a master as it is in its file."""
    variance = ImageRows(ndd, "uncertainty") if ndd.has("uncertainty") else None
    return _Master(ndd.ident, ndd.shape, ImageRows(ndd, "data"), variance)


def _mosaic(file: DataFile, how: Mapping[str, Any]) -> _Master:
    """Lay the extensions of a master as those of the frames were."""
    tiles = tiles_of(file, how["keyword"], how["places"], how["moves"])
    shape, spool = mosaic_shape(tiles), Spool()

    def variance() -> Array:
        found = lay_out(tiles).variance
        assert found is not None
        return found

    has_variance = all(ndd.has("uncertainty") for ndd in file)
    return _Master(
        _MOSAIC,
        shape,
        SpooledArray(spool, lambda: lay_out(tiles).data, shape),
        SpooledArray(spool, variance, shape) if has_variance else None,
    )


class _Deviation:
    """What the noise of a master adds to the pixels of a frame, by rows."""

    def __init__(
        self,
        master: _Master,
        *,
        is_flat: bool,
        flats: Sequence[_Master],
        gains: Sequence[_OfSection],
        without: Sequence[_Rows] = (),
    ) -> None:
        assert master.variance is not None
        self._variance = master.variance
        # What divides a flat later divides the frame as well.
        self._divisors = [x.data for x in ([master] if is_flat else flats)]
        self._gains = gains
        self._without = without
        self.shape = master.shape

    def __getitem__(self, rows: slice) -> Array:
        with np.errstate(invalid="ignore", divide="ignore"):
            variance = np.asarray(self._variance[rows], np.float64)
            for other in self._without:
                variance = np.maximum(variance - other[rows], 0)
            found: Array = np.sqrt(variance)
            for divisor in self._divisors:
                flat = np.asarray(divisor[rows], np.float64)
                # `apply_flat` does not divide by others.
                found /= np.where(np.isfinite(flat) & (flat > 0), flat, 1.0)
        for section, gain in self._gains:
            y, rest = section[0], section[1:]
            low = max(y.start or 0, rows.start) - rows.start
            high = min(self.shape[0] if y.stop is None else y.stop, rows.stop)
            if high - rows.start > low:
                found[(slice(low, high - rows.start), *rest)] *= gain
        found[~np.isfinite(found)] = 0.0
        return found


@dataclass(frozen=True)
class _Part:
    """What one master adds to one image."""

    plane: _Deviation
    factor: float
    level: float
    # How often the square of the deviation is in the variance of the image.
    claimed: float

    def __add__(self, other: "_Part") -> "_Part":
        """Join what two masters of the same noise add."""
        return replace(
            self,
            factor=self.factor + other.factor,
            claimed=self.claimed + other.claimed,
        )


class SharedMasters:
    """
    The masters that some files share.

    Parameters
    ----------
    files : sequence of DataFile
        The frames of a stack.
    shared : {'record', 'none'} or sequence
        Whether their records say which masters they share; or the masters, all of which
        were applied to all frames.
    quiet : bool
        Whether nothing is said of masters that cannot be followed.
    """

    def __init__(
        self,
        files: Sequence[DataFile],
        shared: Shared = "record",
        *,
        quiet: bool = False,
    ) -> None:
        self.names: list[str] = []
        """Names of those whose noise was found to be shared."""
        self._files = files
        self._given: dict[str, DataFile | None] = {}
        self._planes: dict[Any, _Deviation] = {}
        self._mosaics: dict[Any, _Master | None] = {}
        self._warned: set[str] = set()
        self._quiet = quiet
        self._of_file: list[list[AppliedMaster]] = [[] for _ in files]
        if shared == "record":
            self._of_file = [masters_of(df) for df in files]
            self._warn_of_unknown()
            self._warn_of_twice()
        elif shared != "none":
            self._of_file = [self._as_given(df, shared) for df in files]
        count = Counter(
            ref for used in self._of_file for ref in {x.reference for x in used}
        )
        self._common = {ref for ref, number in count.items() if number > 1}
        self._numbers = count

    def noises(
        self, images: Sequence[NDLater], owners: Sequence[int] | None = None
    ) -> list[SharedNoise]:
        """
        Give the noises that images share.

        `owners` says which file each is of, by default one after the other. Where the
        variances of the images cannot have them in them, there are none, and there is a
        warning.
        """
        owners = range(len(images)) if owners is None else owners
        found: dict[Any, dict[int, _Part]] = {}
        flats: dict[Any, bool] = {}
        for i, (image, owner) in enumerate(zip(images, owners, strict=True)):
            for master, part in self._parts(image, owner):
                key = master.reference, self._ident(master, image)
                flats[key] = master.is_flat
                parts = found.setdefault(key, {})
                if i not in parts:
                    parts[i] = part
                elif parts[i].plane is part.plane:
                    parts[i] += part
        noises = [
            _joined(parts, len(images), is_flat=flats[key])
            for key, parts in found.items()
            if len(parts) > 1
        ]
        if not noises or not self._fits(images, owners, noises):
            return []
        shared = {key[0] for key, parts in found.items() if len(parts) > 1}
        for used in self._of_file:
            for master in used:
                if master.reference in shared and master.name not in self.names:
                    self.names.append(master.name)
        return noises

    def flat_errors(
        self, image: NDLater, owner: int = 0
    ) -> Iterator[tuple[AppliedMaster, Array | None]]:
        """
        List the flats of an image, with their relative errors by pixel.

        These are None where a flat is not there any more, or its pixels are not those
        of the image.
        """
        for master in self._of_file[owner]:
            if master.is_flat:
                part = self._part(image, self._files[owner], master)
                rows = slice(0, image.shape[0])
                yield master, None if part is None else part.plane[rows]

    def _parts(
        self, image: NDLater, owner: int
    ) -> Iterator[tuple[AppliedMaster, _Part]]:
        """List what the common masters of a file add to an image of it."""
        df, used = self._files[owner], self._of_file[owner]
        gone = {image.meta[key] for key in image.meta if key.startswith(SKY_CARD)}
        for master in used:
            if master.in_sky and not master.is_flat and master.name in gone:
                continue
            inside = self._inside(df, master, used)
            if master.reference in self._common:
                part = self._part(image, df, master, without=inside)
                if part is not None:
                    yield master, part
            for one in inside:
                # With the dark, that of its bias is subtracted: its sign is another.
                factor = float(image.meta.get(DARK_FACTOR, 0.0))
                part = (
                    self._part(image, df, one)
                    if one.reference in self._common
                    else None
                )
                if part is not None and factor:
                    yield one, replace(part, factor=-factor, claimed=factor**2)

    def _inside(
        self, df: DataFile, master: AppliedMaster, used: Sequence[AppliedMaster]
    ) -> list[AppliedMaster]:
        """List the masters of a frame that its dark was calibrated by as well."""
        if master.tag != "dark" or not master.is_scaled or master.untold:
            return []
        file = self._open(df, master)
        if file is None or not len(file):
            return []
        header = file[0].meta
        shared = {header[key] for key in header if key.startswith("SHARED")}
        found = {one.reference for one in masters_of(file) if not one.has_gain}
        return [
            one
            for one in used
            if one.reference in found
            and one.name in shared
            and not one.is_flat
            and not one.untold
            and (one.has_gain, one.flats) == (master.has_gain, master.flats)
        ]

    def _part(
        self,
        image: NDLater,
        df: DataFile,
        master: AppliedMaster,
        without: Sequence[AppliedMaster] = (),
    ) -> _Part | None:
        """
        Find what a master adds to an image; None where that is not known.

        The noise of masters that it was calibrated by, `without`, is not part of it.
        """
        if master.untold:
            self._warn(master, master.untold)
            return None
        wanted = (master, *master.flats, *without)
        chain = [
            x for x in (self._image(image, df, y) for y in wanted) if x is not None
        ]
        if len(chain) < len(wanted):
            return None
        opened, *others = chain
        flats, taken = others[: len(master.flats)], others[len(master.flats) :]
        if opened.variance is None:
            self._warn(master, "has no variance")
            return None
        factors = self._factors(image, df, master)
        if factors is None:
            return None
        factor, gains = factors
        level = 0.0
        if master.lost_background:
            level = image.meta.get(BACKGROUND_LEVEL, 0.0)
            if amplifier_card(BACKGROUND_LEVEL, 1) in image.meta and master.is_flat:
                self._warn(master, "was applied to several levels of the background")
                return None
        key = (
            master.reference, opened.ident, tuple(x.reference for x in master.flats),
            str(gains), str(master.mosaic), tuple(x.reference for x in without),
        )  # fmt: skip
        if key not in self._planes:
            self._planes[key] = _Deviation(
                opened, is_flat=master.is_flat, flats=flats, gains=gains,
                without=[x.variance for x in taken if x.variance is not None],
            )  # fmt: skip
        return _Part(self._planes[key], float(factor), float(level), float(factor) ** 2)

    def _factors(
        self, image: NDLater, df: DataFile, master: AppliedMaster
    ) -> tuple[float, list[_OfSection]] | None:
        """Find what an additive master was multiplied by, as a whole and by parts."""
        factor: float = 1.0
        parts: list[_OfSection] = []
        if master.is_scaled and (card := _FACTORS.get(master.tag)):
            factor = image.meta.get(card, 1.0)
            of_tiles = [] if card in image.meta else _of_tiles(image, card)
            if not factor or not (card in image.meta or of_tiles):
                self._warn(
                    master, f"was multiplied by what no card {card} of {df} says"
                )
                return None
            parts += of_tiles
        if master.has_gain and not master.is_flat:
            gains = _gains(image)
            if not gains:
                self._warn(master, f"was multiplied by gains that no card of {df} says")
                return None
            parts += gains
        moves = (master.mosaic or {}).get("moves") or {}
        if parts and any(any(move) for move in moves.values()):
            self._warn(master, "was multiplied by numbers of parts that were moved")
            return None
        return factor, parts

    def _image(
        self, image: NDLater, df: DataFile, master: AppliedMaster
    ) -> _Master | None:
        """Find the image of a master that was applied to an image."""
        file = self._open(df, master)
        if file is None:
            return None
        found: _Master | None = None
        if master.mosaic is not None:
            found = self._laid(file, master)
        elif len(file) == 1:
            found = _extension(file[0])
        elif image.ident in file.idents:
            found = _extension(file[file.idents.index(image.ident)])
        if found is None or found.shape != image.shape:
            self._warn(
                master,
                "does not fit the frames any more, which were cut or joined since",
            )
            return None
        return found

    def _laid(self, file: DataFile, master: AppliedMaster) -> _Master | None:
        """Make a mosaic of a master; None where its extensions do not make one."""
        assert master.mosaic is not None
        key = master.reference, str(master.mosaic)
        if key not in self._mosaics:
            try:
                self._mosaics[key] = _mosaic(file, master.mosaic)
            except NdmapperError as err:
                log.debug("%s makes no mosaic: %s", file, err)
                self._mosaics[key] = None
        return self._mosaics[key]

    def _ident(self, master: AppliedMaster, image: NDLater) -> Any:
        if master.mosaic is not None:
            return _MOSAIC
        file = self._given.get(master.reference)
        return None if file is None or len(file) == 1 else image.ident

    def _open(self, df: DataFile, master: AppliedMaster) -> DataFile | None:
        """Open a master in memory, or where it was when it was applied."""
        if master.reference not in self._given:
            self._given[master.reference] = self._search(df, master)
        found = self._given[master.reference]
        if found is None:
            self._warn(master, "is not there any more, or was changed since")
        return found

    def _search(self, df: DataFile, master: AppliedMaster) -> DataFile | None:
        for one in self._files:
            if (held := one.content.masters.get(master.reference)) is not None:
                return held  # type: ignore[no-any-return]
        folders = [Path(config["outdir"])]
        if df.filename is not None:
            folders.append(Path(str(df.filename)).parent)
        places = [Path(place) for place in master.places]
        for path in [*places, *(folder / master.name for folder in folders)]:
            try:
                if path.is_file() and _is(file := DataFile(path), master.reference):
                    return file
            except NdmapperError as err:
                log.debug("%s cannot be opened: %s", path, err)
        return None

    def _as_given(self, df: DataFile, shared: Shared) -> list[AppliedMaster]:
        """Make a history of masters that are given: additive ones, then flats."""
        additive: list[AppliedMaster] = []
        flats: list[AppliedMaster] = []
        for number, given in enumerate(shared):
            file = given if isinstance(given, DataFile) else DataFile(given)
            is_flat = _is_flat(file)
            reference = f"given {number}"
            self._given[reference] = file
            (flats if is_flat else additive).append(
                AppliedMaster(
                    tag="dark" if "DARKEXP" in file[0].meta else "bias",
                    name=Path(str(file.filename or f"master {number + 1}")).name,
                    reference=reference,
                    is_flat=is_flat,
                    is_scaled=DARK_FACTOR in df[0].meta,
                    has_gain=df[0].unit == u.electron != file[0].unit,
                    lost_background=True,
                )
            )
        return [
            *(
                AppliedMaster(**{**vars(one), "flats": tuple(flats)})
                for one in additive
            ),
            *flats,
        ]

    def _fits(
        self,
        images: Sequence[NDLater],
        owners: Sequence[int],
        noises: Sequence[SharedNoise],
    ) -> bool:
        """Whether the variances of images can have the noises in them."""
        for i, image in enumerate(images):
            ours = [*parts_of(noises, i).values()]
            if not ours or not image.has("uncertainty"):
                continue
            rows = middle_rows(image)
            data = np.asarray(ImageRows(image, "data")[rows], np.float64)
            whole = np.asarray(ImageRows(image, "uncertainty")[rows], np.float64)
            planes = [[n.planes[0][rows].reshape(1, -1)[0]] for n in ours]
            own = whole.reshape(1, -1).copy()
            own_variance(data.reshape(1, -1), own, ours, planes)
            known = np.isfinite(own) & (own >= 0)
            few = known & (own < _LEAST_OWN * whole.reshape(1, -1))
            if few.sum() > known.sum() / 2:
                self._say(
                    f"the variance of {self._files[owners[i]]} is not larger than that "
                    "of the masters it was calibrated by: it has no part of its own "
                    "(add_variance), or was scaled since; no noise is taken as shared"
                )
                return False
        return True

    def _warn_of_unknown(self) -> None:
        for df in self._files:
            for text in unknown_masters(df):
                self._say(
                    f"the noise of {text} counts as that of each frame by itself, "
                    "since what that step does with it is not known; if frames share "
                    "it, give the master as shared="
                )
            header = df[0].header_values if len(df) and not df.record else {}
            if any(header.get(key) for key in _APPLIED):
                self._say(
                    "the headers say that masters were applied, but there is no record "
                    "that says which; if frames share them, their noise is averaged "
                    "down too far: give them as shared="
                )

    def _warn_of_twice(self) -> None:
        for df, used in zip(self._files, self._of_file, strict=True):
            for reference, number in Counter(x.reference for x in used).items():
                if number > 1:
                    name = next(x.name for x in used if x.reference == reference)
                    self._say(
                        f"{name} was applied to {df} {number} times, with the same "
                        "noise each time, so that the variance of the frame is too "
                        "small, though not that of a stack; apply it once"
                    )

    def _warn(self, master: AppliedMaster, what: str) -> None:
        self._say(
            f"{master.name}, the {master.tag} of {self._numbers[master.reference]} "
            f"frames, {what}: its noise counts as that of each frame by itself, and is "
            "averaged down too far; shared= takes masters that are elsewhere"
        )

    def _say(self, text: str) -> None:
        if text not in self._warned and not self._quiet:
            self._warned.add(text)
            log.warning("%s", text)


def write_names(header: Any, names: Sequence[str]) -> None:
    """Write into the header of a stack which masters its frames share."""
    for key in [
        key for key in header if key.startswith("SHARED") and key[6:].isdigit()
    ]:
        del header[key]
    for number, name in enumerate(names, start=1):
        header[f"SHARED{number}"] = (name, "its noise is common to the frames")


def _joined(parts: dict[int, _Part], n: int, *, is_flat: bool) -> SharedNoise:
    planes = list(dict.fromkeys(part.plane for part in parts.values()))
    return SharedNoise(
        planes=planes,
        plane=[planes.index(parts[i].plane) if i in parts else None for i in range(n)],
        factor=np.array([parts[i].factor if i in parts else 0.0 for i in range(n)]),
        claimed=np.array([parts[i].claimed if i in parts else 0.0 for i in range(n)]),
        level=np.array([parts[i].level if i in parts else 0.0 for i in range(n)]),
        is_relative=is_flat,
    )


def parts_of(noises: Sequence[SharedNoise], i: int) -> dict[int, SharedNoise]:
    """Give those of the noises, by their numbers, that one of n images has."""
    found = {}
    for number, noise in enumerate(noises):
        if (which := noise.plane[i]) is not None:
            found[number] = SharedNoise(
                planes=[noise.planes[which]],
                plane=[0],
                factor=noise.factor[i : i + 1],
                claimed=np.array([noise.part_of_variance(i)]),
                level=noise.level[i : i + 1],
                is_relative=noise.is_relative,
            )
    return found


def middle_rows(image: NDLater) -> slice:
    """Give a few rows in the middle of an image, which tell what it is like."""
    start = max(0, image.shape[0] // 2 - _ROWS // 2)
    return slice(start, min(start + _ROWS, image.shape[0]))


def _is(file: DataFile, reference: str) -> bool:
    made = file.made_as
    if made is not None and reference == made.key:
        return True
    return reference == digest(str(file))


def _is_flat(file: DataFile) -> bool:
    if not file[0].has("uncertainty"):
        msg = f"{file} has no variance that frames could share"
        raise ParameterError(msg)
    if "FLATNORM" in file[0].meta or "DARKEXP" in file[0].meta:
        return "FLATNORM" in file[0].meta
    values = np.asarray(ImageRows(file[0], "data")[middle_rows(file[0])], np.float64)
    lowest, level = np.nanpercentile(values, [2, 50])
    return bool(file[0].unit is None and lowest > 0 and 0.5 < level < 2)


def _gains(image: NDLater) -> list[_OfSection]:
    """List the gains that parts of an image were multiplied by."""
    return _of_sections(image, "GAINCOR", "AMPSEC", amplifier_numbers(image.meta))


def _of_tiles(image: NDLater, card: str) -> list[_OfSection]:
    """List the numbers of the extensions of a mosaic; none where one has none."""
    numbers = [n for n in range(1, 100) if amplifier_card("TILESEC", n) in image.meta]
    found = _of_sections(image, card, "TILESEC", numbers)
    return found if len(found) == len(numbers) else []


def _of_sections(
    image: NDLater, card: str, section: str, numbers: Sequence[int]
) -> list[_OfSection]:
    header, found = image.meta, []
    for number in numbers:
        value = header.get(amplifier_card(card, number))
        if isinstance(value, int | float):
            pixels = parse_section(header[amplifier_card(section, number)])
            found.append((pixels, float(value)))
    return found
