"""
Memory of large results, which the next result gets when nobody has it any more.

The operating system clears memory before a process gets it, which takes as long as the
arithmetic itself. So what large results leave behind is kept, and marked as free: the
system takes it back when it runs short of memory, at once and without asking. Small
arrays are left to the allocator, which keeps them in much the same way.
"""

import math
import mmap
import weakref
from contextlib import suppress
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["empty"]

_FROM = 1 << 24
"""So many bytes are large: what allocators give back to the system at once."""

_LIMIT = 1 << 29
"""At most so many bytes are kept."""

_STEP = 1 << 21  # a large page
_LARGE_PAGES = getattr(mmap, "MADV_HUGEPAGE", None)
_FREE = getattr(mmap, "MADV_FREE", None)  # which Windows has not

_kept: list[mmap.mmap] = []


def empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """
    Make an array, as `numpy.empty` does.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    dtype : dtype
        Its type.

    Returns
    -------
    ndarray
        An array with anything in it.
    """
    count = math.prod(shape)
    size = count * dtype.itemsize
    if size < _FROM or _FREE is None:
        return np.empty(shape, dtype)
    size = -(-size // _STEP) * _STEP
    memory = _take(size)
    if memory is None:
        try:
            memory = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError:  # NumPy says best that there is not so much
            return np.empty(shape, dtype)
        with suppress(OSError):  # of a system that is built without large pages
            if _LARGE_PAGES is not None:
                memory.madvise(_LARGE_PAGES)
    array = np.frombuffer(memory, dtype, count)
    # All views of it have it as their base, so that it lives as long as they do.
    weakref.finalize(array, _keep, memory).atexit = False
    return array.reshape(shape)


# Neither has a lock, since the second may run in the middle of anything; the list is
# changed in one step each time.


def _take(size: int) -> mmap.mmap | None:
    for memory in _kept[:]:
        if len(memory) == size:
            with suppress(ValueError):  # another thread took it
                _kept.remove(memory)
                return memory
    return None


def _keep(memory: mmap.mmap) -> None:
    if _FREE is None or sum(map(len, [*_kept, memory])) > _LIMIT:
        return
    with suppress(OSError):  # of a system that knows the word and not the thing
        memory.madvise(_FREE)
        _kept.append(memory)
