"""Finding out which arrays lie in the same memory, many at once."""

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt

__all__ = ["Overlaps"]


class Overlaps:
    """
    Arrays with numbers, of which those are found that may share memory with another.

    Parameters
    ----------
    arrays : iterable of (ndarray, int)
        The arrays and their numbers.
    """

    def __init__(self, arrays: Iterable[tuple[npt.NDArray[Any], int]]) -> None:
        # Stretches of memory that do not touch, and the highest number in each.
        self._starts: list[int] = []
        self._stops: list[int] = []
        self._last: list[int] = []
        for start, stop, number in sorted((*_bounds(a), i) for a, i in arrays):
            if self._stops and start < self._stops[-1]:
                self._stops[-1] = max(self._stops[-1], stop)
                self._last[-1] = max(self._last[-1], number)
            else:
                self._starts.append(start)
                self._stops.append(stop)
                self._last.append(number)

    def last(self, array: npt.NDArray[Any]) -> int:
        """
        Find the highest number of an array that may share memory with another.

        Parameters
        ----------
        array : ndarray
            The other.

        Returns
        -------
        int
            The number; -1 where there is none.
        """
        start, stop = _bounds(array)
        found = -1
        at = max(bisect_right(self._starts, start) - 1, 0)
        while at < len(self._starts) and self._starts[at] < stop:
            if self._stops[at] > start:
                found = max(found, self._last[at])
            at += 1
        return found


def _bounds(array: npt.NDArray[Any]) -> tuple[int, int]:
    start = stop = array.__array_interface__["data"][0]
    if array.size:
        for count, step in zip(array.shape, array.strides, strict=True):
            start += min((count - 1) * step, 0)
            stop += max((count - 1) * step, 0)
        stop += array.itemsize
    return start, stop
