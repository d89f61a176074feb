"""Masks of the objects of an image: made of a deep stack, put back onto each frame."""

from typing import Annotated

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.background import background_of, photutils_needed
from ndmapper.lib.image.grid import Grid, PixelMap
from ndmapper.numerics.detection import find_islands, significance
from ndmapper.steps import Range, qc, run_task

__all__ = ["make_object_mask", "object_pixels", "transfer_object_mask"]

Mask = npt.NDArray[np.bool_]

_WIDER = 3.0
"""Wings and galaxies are looked for with a smoothing wider by this factor."""


@run_task(suffix="_objects")
def make_object_mask(
    ndd: NDLater,
    *,
    threshold: Annotated[float, Range(gt=0)] = 4.0,
    reach: Annotated[float, Range(gt=0)] = 2.0,
    fwhm: Annotated[float, Range(gt=0)] = 4.0,
    grow: Annotated[int, Range(ge=0)] = 3,
    box_size: Annotated[int, Range(ge=4)] = 64,
) -> NDLater:
    """
    Mask all objects of an image, such as the stack of a first pass, with their wings.

    The image is smoothed by Gaussians of the width of stars and three times that, and
    compared with the scatter of the smoothed image itself, so that the noise that
    neighbours of a stack share is no object.

    Parameters
    ----------
    ndd : NDLater
        The image, with or without its background.
    threshold : float
        An object has a peak above this many standard deviations.
    reach : float
        It is masked as far as it is above this many standard deviations.
    fwhm : float
        FWHM of stars [pixel].
    grow : int
        The mask is grown by so many pixels.
    box_size : int
        Size of the boxes in which the background is measured [pixel].

    Returns
    -------
    NDLater
        The mask: 1 where there is an object, else 0.

    Raises
    ------
    ParameterError
        If there are too few good pixels.
    """
    background = background_of(ndd, box_size=box_size)
    residual = np.asarray(ndd.data, np.float64) - background.level
    good = good_pixels(ndd)
    residual[~good] = 0.0
    variance = (
        background.rms**2
        if ndd.variance is None
        else np.asarray(ndd.variance, np.float64)
    )
    good &= np.isfinite(variance) & (variance > 0)
    objects = np.zeros(ndd.shape, np.bool_)
    with photutils_needed():
        from scipy.ndimage import binary_dilation

        for width in (fwhm, _WIDER * fwhm):
            # What is faint and wide is looked for beside what was found already.
            hidden = ~good | binary_dilation(objects, _disk(1))
            found = significance(residual, variance, hidden, fwhm=width)
            scatter = _lower_scatter(found[~hidden])
            objects |= (
                find_islands(found, low=reach * scatter, high=threshold * scatter) > 0
            )
        if grow:
            objects = binary_dilation(objects, _disk(grow))
    qc(masked_share=float(objects.mean()))
    report_panels([image_panel(residual, "objects", {"object": objects})])
    return _as_mask(ndd, objects)


@run_task(each="file", suffix="_mask")
def transfer_object_mask(df: DataFile, *, mask: DataFile) -> list[NDLater]:
    """
    Put the mask of a stack onto the pixels of each frame, by their coordinates.

    Parameters
    ----------
    df : DataFile
        Frames with the coordinates by which they were stacked (see `align_images`).
    mask : DataFile
        The mask, as `make_object_mask` makes it of the stack.

    Returns
    -------
    list of NDLater
        The mask of the objects for each extension: 1 where there is one, else 0.

    Raises
    ------
    ParameterError
        If a frame or the mask has no world coordinates.
    """
    objects = mask[0]
    pixels = np.asarray(objects.data) != 0
    return [_transferred(ndd, objects, pixels, str(df), str(mask)) for ndd in df]


def object_pixels(mask: DataFile, ndd: NDLater) -> Mask:
    """Give the pixels of objects from the mask of a frame, for one of its images."""
    if ndd.ident in mask.idents:
        found = mask[mask.idents.index(ndd.ident)]
    elif len(mask) == 1:
        found = mask[0]
    else:
        msg = (
            f"the mask {mask} has the extensions {list(mask.idents)}, and none for "
            f"{ndd.ident!r}; give the mask of the same frame"
        )
        raise IdentError(msg)
    if found.shape != ndd.shape:
        msg = (
            f"the mask {mask}[{found.ident}] has shape {found.shape}, but the frame "
            f"{ndd.shape}; put it onto the pixels of the frame by transfer_object_mask"
        )
        raise ShapeError(msg)
    pixels: Mask = np.asarray(found.data) != 0
    return pixels


def _transferred(
    ndd: NDLater, objects: NDLater, pixels: Mask, frame: str, mask: str
) -> NDLater:
    for image, name in ((ndd, f"{frame}[{ndd.ident}]"), (objects, mask)):
        if not isinstance(image.wcs, WCS):
            msg = (
                f"{name} has no world coordinates by which the mask could be put onto "
                "the frame; align the frames with align_images"
            )
            raise ParameterError(msg)
    places = PixelMap(Grid(ndd.wcs, (ndd.shape[0], ndd.shape[1])), objects.wcs)
    x, y = (np.rint(at).astype(int) for at in places.rows(0, ndd.shape[0]))
    ny, nx = pixels.shape
    inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
    found = np.zeros(ndd.shape, np.bool_)
    found[inside] = pixels[y[inside], x[inside]]
    qc(**{f"masked_share[{ndd.ident}]": float(found.mean())})
    return _as_mask(ndd, found)


def _as_mask(ndd: NDLater, objects: Mask) -> NDLater:
    mask: NDLater = ndd.replace(
        data=objects.astype(np.uint8), variance=None, flags=None, unit=None
    )
    return mask


def _lower_scatter(values: npt.NDArray[np.float64]) -> float:
    """Give the standard deviation by the values below the median: objects are above."""
    low, centre = np.percentile(values, (15.87, 50.0))
    return max(float(centre - low), 1e-30)


def _disk(radius: int) -> Mask:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk: Mask = np.hypot(y, x) <= radius + 0.5
    return disk
