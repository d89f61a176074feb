"""An index of frames, to find candidates for a calibration quickly."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ndmapper.calibrations.frames import PROCESSED, Frame
from ndmapper.instruments import Rule
from ndmapper.instruments.conditions import Value

__all__ = ["FrameIndex", "classes_for"]

_Key = tuple[Value, ...]


def classes_for(rule: Rule) -> tuple[str, ...]:
    """Return the frame classes to which a rule applies."""
    return tuple(dict.fromkeys((*rule.select, f"{PROCESSED}{rule.type}")))


@dataclass
class _Shelf:
    """Frames with equal descriptors, sorted by time."""

    frames: list[Frame] = field(default_factory=list)
    days: list[float] = field(default_factory=list)
    timeless: list[Frame] = field(default_factory=list)


class FrameIndex:
    """Index of frames by name, class, descriptors and time."""

    def __init__(
        self, frames: Sequence[Frame], bad: Mapping[str, str] | None = None
    ) -> None:
        self.frames = list(frames)
        self.bad = dict(bad or {})
        self._shelves: dict[tuple[str, ...], dict[_Key, _Shelf]] = {}
        self._by_class: dict[tuple[str, str], list[Frame]] | None = None
        self._by_name: dict[str, list[Frame]] | None = None

    def named(self, plain: str) -> list[Frame]:
        """Return the frames with a name."""
        if self._by_name is None:
            self._by_name = {}
            for frame in self.frames:
                self._by_name.setdefault(frame.plain, []).append(frame)
        return self._by_name.get(plain, [])

    def of_classes(self, instrument: str, classes: Sequence[str]) -> list[Frame]:
        """Return the frames of some classes."""
        if self._by_class is None:
            self._by_class = {}
            for frame in self.frames:
                if frame.instrument is not None and frame.frame_class is not None:
                    key = frame.instrument.name, frame.frame_class
                    self._by_class.setdefault(key, []).append(frame)
        known = self._by_class
        return [f for name in classes for f in known.get((instrument, name), ())]

    def near(self, target: Frame, rule: Rule) -> Iterator[Frame]:
        """Iterate over frames with equal descriptors, within a rule's time window."""
        if target.instrument is None:
            return
        match = rule.match if not rule.night else (*rule.match, "night")
        classes = classes_for(rule)
        place = (target.instrument.name, *classes, "\0", *match)
        shelves = self._shelves.get(place)
        if shelves is None:
            shelves = self._sort(target.instrument.name, classes, match)
            self._shelves[place] = shelves
        shelf = shelves.get(tuple(_comparable(target.values.get(n)) for n in match))
        if shelf is None:
            return
        if rule.window is None:
            yield from shelf.frames
            yield from shelf.timeless
        elif target.days is not None:
            before, after = rule.window
            first = bisect.bisect_left(shelf.days, target.days - before)
            last = bisect.bisect_right(shelf.days, target.days + after)
            yield from shelf.frames[first:last]

    def _sort(
        self, instrument: str, classes: Sequence[str], match: Sequence[str]
    ) -> dict[_Key, _Shelf]:
        shelves: dict[_Key, _Shelf] = {}
        for frame in self.of_classes(instrument, classes):
            key = tuple(_comparable(frame.values.get(name)) for name in match)
            shelf = shelves.setdefault(key, _Shelf())
            if frame.days is None:
                shelf.timeless.append(frame)
            else:
                shelf.frames.append(frame)
        for shelf in shelves.values():
            shelf.frames.sort(key=lambda f: (f.days, f.name))
            shelf.days = [f.days for f in shelf.frames if f.days is not None]
        return shelves


def _comparable(value: Value) -> Value:
    # In Python True == 1, in a header not.
    return str(value) if isinstance(value, bool) else value
