"""
Noise that frames share, since they were calibrated by the same master.

The noise of a master bias, dark or flat is the same in all frames that it was applied
to, so that it does not average down. Only the rest of the variance of a frame is its
own; that of each master is added to the variance of the stack.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["Deviation", "SharedNoise", "own_variance", "shared_variance"]

Array = npt.NDArray[np.float64]


class Deviation(Protocol):
    """Standard deviations of pixels that can be read a few rows at a time."""

    def __getitem__(self, rows: slice, /) -> Array:
        """Read some rows."""


@dataclass(frozen=True, kw_only=True)
class SharedNoise:
    """
    The noise of one master in n frames.

    Parameters
    ----------
    planes : sequence of Deviation
        Standard deviations of what the master adds to a pixel; of a flat, in units of
        the pixel's value.
    plane : sequence of int or None, length n
        Which of them is in each frame; None where the master was not applied.
    factor : ndarray of float, shape (n,)
        What it is multiplied by, such as the ratio of exposure times of a dark.
    is_relative : bool
        Whether the master is a flat.
    level : ndarray of float, shape (n,)
        What was subtracted from the value after it had been divided by the flat.
    claimed : ndarray of float, shape (n,), optional
        How often the square of the deviation is in the variance of a frame. That is not
        the square of the factor, as it is by default, where a master was applied twice,
        or a bias is in the dark as well: variances are added then, as if the noise were
        another one each time.
    """

    planes: Sequence[Deviation]
    plane: Sequence[int | None]
    factor: Array
    is_relative: bool
    level: Array
    claimed: Array | None = None

    def part_of_variance(self, i: int) -> float:
        """Give how often the square of the deviation is in the variance of a frame."""
        claimed = self.factor**2 if self.claimed is None else self.claimed
        return float(claimed[i])


Planes = list[list[Array]]
"""Some rows of the planes of each master, flat."""


def own_variance(
    data: npt.NDArray[np.floating],
    variance: npt.NDArray[np.floating],
    noises: Sequence[SharedNoise],
    planes: Planes,
) -> None:
    """Take the variance of masters out of that of frames of shape (n, m), in place."""
    # As wide as the variances, which are as wide as their size needs.
    kind = variance.dtype.type
    squares = [[np.square(plane).astype(kind) for plane in read] for read in planes]
    for i in range(len(variance)):
        own = variance[i]
        own[own < 0] = np.nan  # which is no variance
        for noise, square in zip(noises, squares, strict=True):
            if (which := noise.plane[i]) is None:
                continue
            part = square[which]
            if (times := noise.part_of_variance(i)) != 1:
                part = part * kind(times)
            if noise.is_relative:
                value = data[i].astype(kind, copy=False)
                if noise.level[i]:
                    value = value + kind(noise.level[i])
                part = part * value
                part *= value
            own -= part
        # Not less than zero by rounding; what is not finite stays out.
        np.maximum(own, 0, out=own)


def shared_variance(
    value: Array,
    noises: Sequence[SharedNoise],
    planes: Planes,
    *,
    weights: Array,
    scale: Array,
    offset: Array,
) -> Array:
    """
    Compute the variance of a weighted mean of frames that is from their masters.

    `value` is the mean, of frames that were multiplied by `scale`, then raised by
    `offset`. Where values were rejected, the weights of all frames are taken none the
    less: that is exact where all have the same factor, plane and offset.
    """
    share = weights / weights.sum()
    total = np.zeros(value.shape)
    for noise, read in zip(noises, planes, strict=True):
        has = np.array([which is not None for which in noise.plane])
        deviation = np.zeros(value.shape)
        for i, which in enumerate(noise.plane):
            if which is None:
                continue
            # A flat makes an error in proportion to the value, which has its scale.
            part = share[i] * noise.factor[i] * (1.0 if noise.is_relative else scale[i])
            deviation += part * read[which]
        if noise.is_relative:
            own = share[has] / share[has].sum()
            raised = float(np.sum(own * (offset - scale * noise.level)[has]))
            deviation *= value - raised
        total += deviation * deviation
    return total
