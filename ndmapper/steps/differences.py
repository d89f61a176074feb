"""How a product differs from what would be made now, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.io.record import identity

__all__ = ["Difference", "differences"]


@dataclass(frozen=True)
class Difference:
    """
    One way in which a product differs from what would be made now.

    Parameters
    ----------
    text : str
        In words.
    forces : bool
        Whether ``reprocess='auto'`` makes the product again for it. What a person did
        to it is kept, and a change of a step's own code is only reported.
    is_edit : bool
        Whether a person did it.
    """

    text: str
    forces: bool = True
    is_edit: bool = False

    def __str__(self) -> str:
        return self.text


def differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[Difference]:
    """
    Say how a product differs from what would be made now.

    Parameters
    ----------
    recorded : mapping
        The last entry of its record.
    expected : mapping
        What `describe` says now.

    Returns
    -------
    list of Difference
        One for each; empty if there is none.
    """
    if recorded["step"] == "edited":
        text = "it was edited and saved in Python"
        return [Difference(text, forces=False, is_edit=True)]
    if recorded["step"] != expected["step"]:
        return [Difference(f"it was made by {recorded['step']}")]
    found = _list_differences("input", recorded["inputs"], expected["inputs"])
    for part, word in (("calibrations", "{}"), ("references", "file given as {}")):
        for name in sorted({*recorded[part], *expected[part]}):
            old, new = (_as_list(e[part].get(name)) for e in (recorded, expected))
            found += _list_differences(word.format(name), old, new)
    for part, word in (("parameters", "parameter"), ("config", "config")):
        found += _value_differences(word, recorded[part], expected[part])
    found += _task_differences(recorded, expected)
    for part in ("engine", "tool", "output"):
        if recorded[part] != expected[part]:
            found.append(
                f"{part} was {_short(recorded[part])}, now {_short(expected[part])}"
            )
    made = [Difference(text) for text in found]
    if recorded["code"] != expected["code"]:
        text = f"the code of {expected['step']} has changed"
        made.append(Difference(text, forces=False))
    return made


def _task_differences(
    recorded: Mapping[str, Any], expected: Mapping[str, Any]
) -> list[str]:
    """Say how the tool would be called differently, as far as that was not said."""
    old, new = recorded.get("task"), expected.get("task")
    if old is None or new is None:
        return []  # then the engine differs, which is said
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
    """Say which file would go in under another tag, or not at all."""
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
        f"{word} {name} was {old.get(name)!r}, now {new.get(name)!r}"
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


def _list_differences(word: str, old: list[Any], new: list[Any]) -> list[str]:
    """Name what came, what went, and what is there with another content."""
    before = {identity(r): r["name"] for r in old}
    after = {identity(r): r["name"] for r in new}
    gone = [name for i, name in before.items() if i not in after]
    come = [name for i, name in after.items() if i not in before]
    changed = sorted(set(gone) & set(come))
    found = [f"{word} {name} differs" for name in changed]
    found += [
        f"{word} {name} is no longer used" for name in gone if name not in changed
    ]
    found += [f"{word} {name} is new" for name in come if name not in changed]
    if not found and list(before) != list(after):
        found.append(f"the order of {word} files has changed")
    return found
