"""How a product differs from what would be made now, in words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndmapper.data.fold_names import list_names
from ndmapper.io.record import identity
from ndmapper.steps.instrument_block import (
    block_differences,
    block_of,
    tells_of_tables,
)
from ndmapper.steps.record.equivalence import revision_of

__all__ = ["Difference", "differences", "in_short"]


@dataclass(frozen=True)
class Difference:
    """
    One way in which a product differs from what would be made now.

    Parameters
    ----------
    text : str
        In words.
    cause : str
        In words that hold for many products: which step, and no name of a file.
    forces : bool
        Whether ``reprocess='auto'`` makes the product again for it. What a person did
        to it is kept.
    is_edit : bool
        Whether a person did it.
    follows : bool
        Whether it only follows from another product that differs.
    is_open : bool
        Whether a plan cannot tell: it depends on how another product comes out.
    name : str
        The file that the text is about, if it is one.
    """

    text: str
    cause: str = ""
    forces: bool = True
    is_edit: bool = False
    follows: bool = False
    is_open: bool = False
    name: str = ""

    def __str__(self) -> str:
        return self.text


def differences(
    recorded: Mapping[str, Any],
    expected: Mapping[str, Any],
    *,
    stale: Collection[str] = (),
    code_forces: bool = True,
) -> list[Difference]:
    """List how a product differs from what would be made now."""
    step = expected["step"]
    if recorded["step"] == "edited":
        text = "it was edited and saved in Python"
        return [Difference(text, "they were edited", forces=False, is_edit=True)]
    if recorded["step"] != step:
        text = f"it was made by {recorded['step']}"
        return [Difference(text, f"they were made by {recorded['step']}")]
    found = _file_differences("input", recorded, expected, "inputs", stale)
    for part, word in (("calibrations", "{}"), ("references", "file given as {}")):
        for name in sorted({*recorded[part], *expected[part]}):
            old, new = ({**e, name: e[part].get(name)} for e in (recorded, expected))
            found += _file_differences(word.format(name), old, new, name, stale)
    for part, word in (("parameters", "parameter "), ("config", "config ")):
        for text in _value_differences("", recorded[part], expected[part]):
            name, _, rest = text.partition(" was ")
            found.append(Difference(f"{word}{text}", f"{name} of {step} was {rest}"))
    texts = _maker_differences(recorded, expected)
    found += [Difference(text, f"{step}: {text}") for text in texts]
    if recorded["code"] != expected["code"]:
        is_known = None not in (recorded["code"], expected["code"])
        text = f"the code of {step} has changed"
        if not is_known:
            text = f"the code of {step} cannot be compared"
        found.append(Difference(text, text, forces=code_forces and is_known))
    return found


def in_short(found: Iterable[Difference]) -> list[str]:
    """Word differences, those of many files in the same way as one."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        ends = one.text.split(one.name, 1) if one.name else [one.text]
        groups.setdefault(tuple(ends), []).append(one.name)
    return [
        list_names(names).join(_many(ends) if len({*names}) > 1 else ends)
        for ends, names in groups.items()
    ]


_MANY = {
    "input ": "inputs ", " is ": " are ", " differs": " differ",
    " was changed": " were changed", " was edited": " were edited",
}  # fmt: skip


def _many(ends: Sequence[str]) -> list[str]:
    for one, many in _MANY.items():
        ends = [end.replace(one, many) for end in ends]
    return [*ends]


def _maker_differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Compare tool, instrument tables and revision of the step."""
    texts = _task_differences(recorded, expected)
    if tells_of_tables(recorded):
        was, now = (block_of(e) or {} for e in (recorded, expected))
        texts += block_differences(was, now)
    old_revision, revision = revision_of(recorded), revision_of(expected)
    if old_revision != revision and None not in (old_revision, revision):
        texts.append(f"revision was {old_revision}, now {revision}")
    parts = ["engine", "output"]
    if old_revision is None or revision is None or expected["engine"] != "python":
        parts.insert(1, "tool")
    for part in parts:
        if recorded[part] != expected[part]:
            texts.append(
                f"{part} was {_short(recorded[part])}, now {_short(expected[part])}"
            )
    units = [row.get("unit") or {} for row in (recorded, expected)]
    if units[0] != units[1]:
        before, after = (
            ", ".join(f"{name} {key}" for name, key in unit.items()) or "all"
            for unit in units
        )
        texts.append(f"it was made of {before}, now of {after}")
    old, new = (row.get("keys") or {} for row in (recorded, expected))
    texts += [
        f"the keys of {name or 'the input'} are others now"
        for name in {*old, *new}
        if old.get(name) != new.get(name)
    ]
    return texts


def _task_differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Compare parameters and words of a tool that are not those of the step."""
    old, new = recorded.get("task"), expected.get("task")
    if old is None or new is None:
        return []  # the engine differs, which is listed already
    found = []
    said = {
        name: (recorded["parameters"].get(name), value)
        for name, value in expected["parameters"].items()
    }
    if old["name"] != new["name"]:
        found.append(f"it was made by {old['name']}, now {new['name']}")
    was, now = ({**task["parameters"]} for task in (old, new))
    for name in {*was, *now}:
        if said.get(name) == (was.get(name), now.get(name)):
            was.pop(name, None)
            now.pop(name, None)
    found += _value_differences(new["name"], was, now)
    found += _value_differences("option", old["words"], new["words"])
    return found + _tag_differences(recorded, expected)


def _tag_differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """List files that would be given under another tag, or not at all."""
    if not expected.get("tags") and not recorded.get("tags"):
        return []
    if recorded.get("tags") is None and any(recorded["calibrations"].values()):
        return ["its record does not say under which tag its calibrations went in"]
    old, new = (_by_file(row.get("tags") or {}) for row in (recorded, expected))
    return (
        [
            f"{name} went in as {', '.join(old[mark][1]) or 'nothing'}, "
            f"now as {', '.join(tags) or 'nothing'}"
            for mark, (name, tags) in new.items()
            if mark in old and old[mark][1] != tags
        ]
        + [
            f"{name} went in as {', '.join(tags)}, now not at all"
            for mark, (name, tags) in old.items()
            if mark not in new and _is_calibration(mark, expected)
        ]
        + [
            f"{name} did not go in, and does now as {', '.join(tags)}"
            for mark, (name, tags) in new.items()
            if mark not in old and _is_calibration(mark, recorded)
        ]
    )


def _by_file(tags: Mapping[str, Any]) -> dict[str | None, tuple[str, list[str]]]:
    found: dict[str | None, tuple[str, list[str]]] = {}
    for tag, value in tags.items():
        for reference in _as_list(value):
            found.setdefault(identity(reference), (reference["name"], []))[1].append(
                tag
            )
    return found


def _is_calibration(mark: str | None, row: Mapping[str, Any]) -> bool:
    return any(
        identity(reference) == mark
        for value in row["calibrations"].values()
        for reference in _as_list(value)
    )


def _value_differences(
    word: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> list[str]:
    return [
        f"{word} {name} was {old.get(name)!r}, now {new.get(name)!r}".lstrip()
        for name in sorted({*old, *new})
        if old.get(name) != new.get(name)
    ]


def _short(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(str(v) for v in value.values() if v is not None)
    return str(value)


def _as_list(reference: Any) -> list[Any]:
    if reference is None:
        return []
    return reference if isinstance(reference, list) else [reference]


def _file_differences(
    word: str,
    recorded: Mapping[str, Any],
    expected: Mapping[str, Any],
    part: str,
    stale: Collection[str],
) -> list[Difference]:
    """List files that were added, removed, or have another content."""
    old, new = (_as_list(entry[part]) for entry in (recorded, expected))
    step = expected["step"]
    before = {identity(r): r["name"] for r in old}
    after = {identity(r): r["name"] for r in new}
    gone = [name for i, name in before.items() if i not in after]
    come = {name: str(i) for i, name in after.items() if i not in before}
    changed = sorted({*gone} & {*come})
    other = [name for name in gone if name not in changed]
    found = [
        Difference(
            f"{word} {name} differs",
            f"the {word} of {step} differs",
            follows=come[name] in stale,
            name=name,
        )
        for name in changed
    ]
    cause = f"{step} has other files as {word}"
    found += [
        Difference(f"{word} {name} is no longer used", cause, name=name)
        for name in other
    ]
    found += [
        Difference(f"{word} {name} is new", cause, name=name)
        for name in come
        if name not in changed
    ]
    if not found and list(before) != list(after):
        text = f"the order of {word} files has changed"
        found.append(Difference(text, f"{text} for {step}"))
    return found
