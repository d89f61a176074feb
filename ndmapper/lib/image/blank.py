"""Frames of which only the sky between the objects counts, and combining them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.background import background_of, require_image
from ndmapper.lib.image.objects import object_pixels
from ndmapper.numerics.combine import Combined, combine
from ndmapper.parallel.cores import count_threads

__all__ = [
    "DOUBTFUL",
    "NO_SKY",
    "BlankFrame",
    "blank_frames",
    "check_masks",
    "combine_blank",
    "counterpart",
]

Image = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

NO_SKY = 1
"""Flag of a pixel that is masked in all frames."""

DOUBTFUL = 2
"""Flag of a pixel of which the frames disagree."""


@dataclass(frozen=True)
class BlankFrame:
    """An image, and the pixels of its objects, which say nothing of the sky."""

    file: DataFile
    image: NDLater
    objects: Mask | None

    @property
    def name(self) -> str:
        """What it is called in messages."""
        return f"{self.file}[{self.image.ident}]"

    def values(self) -> Image:
        """Give the pixels of the sky; the others are NaN."""
        values = np.array(self.image.data, np.result_type(self.image.dtype, np.float32))
        bad = ~good_pixels(self.image)
        values[bad if self.objects is None else bad | self.objects] = np.nan
        return values

    def with_sources(self, box_size: int) -> "BlankFrame":
        """Find the objects, where they are not given."""
        if self.objects is not None:
            return self
        found = background_of(self.image, box_size=box_size).sources
        return BlankFrame(self.file, self.image, found)


def blank_frames(
    files: Sequence[DataFile], masks: Sequence[DataFile] | None
) -> Iterator[list[BlankFrame]]:
    """Go through the extensions: for each its image in every file, with its mask."""
    check_masks(files, masks)
    for ndd in files[0]:
        require_image(ndd, "the sky is measured")
        frames = []
        for number, df in enumerate(files):
            image = counterpart(df, ndd, files[0])
            objects = None if masks is None else object_pixels(masks[number], image)
            frames.append(BlankFrame(df, image, objects))
        yield frames


def check_masks(files: Sequence[DataFile], masks: Sequence[DataFile] | None) -> None:
    """Raise a ParameterError unless there is a mask for each file."""
    if masks is not None and len(masks) != len(files):
        msg = (
            f"{len(files)} files of sky need as many masks, not {len(masks)}; give one "
            "for each, in the same order"
        )
        raise ParameterError(msg)


def counterpart(other: DataFile, ndd: NDLater, df: DataFile) -> NDLater:
    """Give the image of another file that has the name of an image, alike in form."""
    if ndd.ident not in other.idents:
        msg = (
            f"{df} has the extension {ndd.ident!r}, but {other} has only "
            f"{list(other.idents)}; use frames with the same extensions"
        )
        raise IdentError(msg)
    image: NDLater = other[other.idents.index(ndd.ident)]
    if image.shape != ndd.shape:
        msg = (
            f"{other}[{ndd.ident}] has shape {image.shape}, but {df}[{ndd.ident}] "
            f"{ndd.shape}; use frames of the same section and binning"
        )
        raise ShapeError(msg)
    if image.unit != ndd.unit:
        msg = f"{other}[{ndd.ident}] is in {image.unit}, but {df} in {ndd.unit}"
        raise UnitError(msg)
    return image


def combine_blank(
    frames: Sequence[BlankFrame], images: Sequence[Image], **options: Any
) -> Combined:
    """Combine images of frames, with the variances of these if all have one."""
    has_variance = all(frame.image.has("uncertainty") for frame in frames)
    return combine(
        images,
        [np.asarray(f.image.variance) for f in frames] if has_variance else None,
        no_data_flag=NO_SKY,
        doubtful_flag=DOUBTFUL,
        threads=count_threads(),
        **options,
    )
