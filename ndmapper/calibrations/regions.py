"""Regions of a detector: whether those of one frame lie within those of another."""

import functools
import re

__all__ = ["uncovered"]

_SECTION = re.compile(r"\[\s*(\d+):(\d+)\s*,\s*(\d+):(\d+)\s*\]")

Box = tuple[int, int, int, int]


@functools.lru_cache(maxsize=4096)
def uncovered(inner: str, outer: str) -> str | None:
    """Find a region that no region of the same amplifier covers."""
    boxes = _parsed(outer)
    for name, box in _parsed(inner):
        if not any(name == other and _within(box, wide) for other, wide in boxes):
            shown = f"[{box[0]}:{box[1]},{box[2]}:{box[3]}]"
            return f"{name} {shown}".strip()
    return None


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[tuple[str, Box], ...]:
    found = []
    for item in text.split(";"):
        name, _, section = item.rpartition("@")
        match = _SECTION.search(section)
        if match:
            x1, x2, y1, y2 = (int(number) for number in match.groups())
            found.append((name, (x1, x2, y1, y2)))
        else:
            # What cannot be understood is covered only by the same.
            found.append((item, (0, 0, 0, 0)))
    return tuple(found)


def _within(box: Box, wide: Box) -> bool:
    return (
        wide[0] <= box[0]
        and box[1] <= wide[1]
        and wide[2] <= box[2]
        and box[3] <= wide[3]
    )
