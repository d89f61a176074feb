"""How a product differs from what would be made now, in words."""

from collections.abc import Mapping
from typing import Any

from ndmapper.io.record import identity

__all__ = ["differences"]


def differences(recorded: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
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
    list of str
        One phrase for each difference; empty if there is none.
    """
    found = []
    if recorded["step"] == "edited":
        return ["it was edited and saved in Python"]
    if recorded["step"] != expected["step"]:
        return [f"it was made by {recorded['step']}"]
    found += _list_differences("input", recorded["inputs"], expected["inputs"])
    for name in sorted({*recorded["calibrations"], *expected["calibrations"]}):
        old, new = (e["calibrations"].get(name) for e in (recorded, expected))
        found += _list_differences(name, _as_list(old), _as_list(new))
    for part, word in (("parameters", "parameter"), ("config", "config")):
        for name in sorted({*recorded[part], *expected[part]}):
            old, new = (e[part].get(name) for e in (recorded, expected))
            if old != new:
                found.append(f"{word} {name} was {old!r}, now {new!r}")
    for name in sorted({*recorded["references"], *expected["references"]}):
        old, new = (e["references"].get(name) for e in (recorded, expected))
        if identity(old) != identity(new):
            found.append(f"the file given as {name} has another content")
    for part in ("engine", "tool", "output"):
        if recorded[part] != expected[part]:
            found.append(
                f"{part} was {_short(recorded[part])}, now {_short(expected[part])}"
            )
    if recorded["code"] != expected["code"]:
        found.append(f"the code of {expected['step']} has changed")
    return found


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
