"""Arrays that are written in pieces, in any order, while others are computed."""

import math
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, cast

import numpy.typing as npt

from ndmapper.io.filemap import padded
from ndmapper.io.filetypes import is_compressed, split_ext
from ndmapper.io.forms import encoded, stored_form
from ndmapper.io.hdu import HduOut

__all__ = ["HdusTogether", "can_write_together", "write_together"]

_AT_ONCE = 1 << 24
"""At least so many bytes are brought to the disk at a time."""

Put = Callable[[int, int, npt.NDArray[Any]], None]


@dataclass(frozen=True)
class HdusTogether:
    """
    HDUs, one behind the other, whose arrays are computed together in pieces.

    Parameters
    ----------
    hdus : tuple of HduOut
        Their headers; of the data only shape and type are looked at.
    fill : callable
        Is given a function that takes the number of the HDU, that of the first pixel,
        and pixels, which it may change. Several threads may call it.
    """

    hdus: tuple[HduOut, ...]
    fill: Callable[[Put], None]


def can_write_together(path: Path) -> bool:
    """
    Say whether pieces of a file can be written in any order.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    bool
        True for a plain file, where the operating system can do that.
    """
    return hasattr(os, "pwrite") and not is_compressed(split_ext(path.name)[1])


def write_together(raw: BinaryIO, together: HdusTogether) -> None:
    """
    Write pieces where they belong, while others are computed.

    Parameters
    ----------
    raw : file
        A plain file, which is at its end, and is at its end afterwards. Most of what
        was written is on the disk then.
    together : HdusTogether
        The HDUs.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    raw.flush()
    at = raw.tell()
    forms, starts = [], []
    for hdu in together.hdus:
        form = stored_form(cast(Any, hdu.data))
        size = math.prod(form.shape) * abs(form.bitpix) // 8
        _write_at(raw.fileno(), hdu.header, at)
        at += len(hdu.header)
        forms.append(form)
        starts.append(at)
        at += padded(size)
        _write_at(raw.fileno(), bytes(padded(size) - size), starts[-1] + size)

    with _Syncing(raw.fileno()) as syncing:

        def put(number: int, first: int, pixels: npt.NDArray[Any]) -> None:
            form = forms[number]
            content = encoded(pixels.reshape(-1), form, in_place=True)
            start = starts[number] + first * abs(form.bitpix) // 8
            _write_at(raw.fileno(), content.data, start)
            syncing.wrote(len(content))

        together.fill(put)
    raw.seek(at)


class _Syncing(ExitStack):
    """Brings a file to the disk again and again, while it is written."""

    def __init__(self, file: int) -> None:
        super().__init__()
        self._file = file
        self._pool = self.enter_context(ThreadPoolExecutor(1))
        self._lock = Lock()
        self._new = 0
        self._running: Future[None] | None = None

    def wrote(self, count: int) -> None:
        with self._lock:
            self._new += count
            if self._new < _AT_ONCE:
                return
            if self._running is not None:
                if not self._running.done():
                    return
                self._running.result()  # which raises what went wrong
            self._new = 0
            self._running = self._pool.submit(os.fsync, self._file)


def _write_at(file: int, content: bytes | memoryview, at: int) -> None:
    view = memoryview(content)
    while view:
        count = os.pwrite(file, view, at)
        view, at = view[count:], at + count
