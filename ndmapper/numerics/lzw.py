"""
Decompress what the Unix program ``compress`` wrote (files ending in .Z).

T. A. Welch, "A technique for high-performance data compression", Computer 17(6), 8
(1984), with codes that grow from 9 bits to a largest width, and a code that empties
the table.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

__all__ = ["decompress"]

_CLEAR = 256
_FIRST_WIDTH = 9
_LARGEST_WIDTH = 16


def decompress(content: bytes) -> bytes:
    """
    Decompress a whole file.

    Parameters
    ----------
    content : bytes
        The file, with its header of three bytes. One that ends too early gives what
        there is.

    Returns
    -------
    bytes
        What was compressed.

    Raises
    ------
    ValueError
        If it is no such file, or damaged.
    """
    if len(content) < 3 or content[:2] != b"\x1f\x9d":
        msg = "this was not written by compress"
        raise ValueError(msg)
    width = content[2] & 0x1F
    if not _FIRST_WIDTH <= width <= _LARGEST_WIDTH:
        msg = f"codes of up to {width} bits are not known"
        raise ValueError(msg)
    codes = np.frombuffer(content, np.uint8)[3:]
    found, size = _expand(codes, width, bool(content[2] & 0x80))
    if size < 0:
        msg = "it holds a code that means nothing"
        raise ValueError(msg)
    return bytes(found[:size])


@njit(cache=True)
def _expand(  # pragma: no cover  # noqa: PLR0912, PLR0915  # compiled as a whole
    codes: npt.NDArray[np.uint8], largest: int, has_clear: bool
) -> Any:
    table = 1 << largest
    prefix = np.zeros(table, np.int32)
    last = np.zeros(table, np.uint8)
    length = np.ones(table, np.int64)
    for i in range(256):
        last[i] = i
    out = np.empty(4 * codes.size + 64, np.uint8)
    size = 0
    width = 9
    free = 257 if has_clear else 256
    old = -1
    at = 0  # in bits
    group = 0  # where codes of this width began
    end = 8 * codes.size
    while True:
        if free >= (1 << width) and width < largest and old >= 0:
            # Codes are written in groups of eight, of which the rest is left empty.
            step = 8 * width
            at = group + (at - group + step - 1) // step * step
            group = at
            width += 1
        if at + width > end:
            return out, size
        code: Any = 0
        for k in range((at & 7) + width + 7 >> 3):
            code |= np.int64(codes[(at >> 3) + k]) << (8 * k)
        code = (code >> (at & 7)) & ((1 << width) - 1)
        at += width
        if has_clear and code == 256:
            step = 8 * width
            at = group + (at - group + step - 1) // step * step
            group = at
            width = 9
            free = 257
            old = -1
            continue
        if old < 0:
            if code > 255:
                return out, -1
            count = 1
        elif code > free or (code == free and free >= table):
            return out, -1
        else:
            count = length[code] if code < free else length[old] + 1
        if size + count > out.size:
            grown = np.empty(2 * (size + count), np.uint8)
            grown[:size] = out[:size]
            out = grown
        # The text of a code is found from its end.
        walk = code
        put = size + count - 1
        if old >= 0 and code == free:
            walk = old
            put -= 1
        while put > size:
            out[put] = last[walk]
            walk = prefix[walk]
            put -= 1
        out[size] = last[walk]
        if old >= 0 and code == free:
            out[size + count - 1] = out[size]
        if old >= 0 and free < table:
            prefix[free] = old
            last[free] = out[size]
            length[free] = length[old] + 1
            free += 1
        size += count
        old = code
