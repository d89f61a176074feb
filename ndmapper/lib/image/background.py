"""The background of an image: measuring and subtracting it."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import numpy as np

from ndmapper.data import NDLater
from ndmapper.errors import MissingPackageError, ParameterError, ShapeError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.correlation import covariances_of
from ndmapper.numerics.background import Background, Estimator, estimate_background
from ndmapper.numerics.formulas import narrowed
from ndmapper.steps import Range, qc, run_task

__all__ = ["background_of", "measure_background", "subtract_background"]

BoxSize = Annotated[int, Range(ge=4)]
FilterSize = Annotated[int, Range(ge=1)]


@run_task(suffix="_background", options={"revision": 2})
def measure_background(
    ndd: NDLater,
    *,
    box_size: BoxSize = 64,
    filter_size: FilterSize = 3,
    estimator: Estimator = "mean",
    clip: Annotated[float, Range(gt=0)] = 4.0,
    mask_sources: bool = True,
) -> NDLater:
    """
    Measure a smooth map of the background.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame. Masked pixels and those that are not finite do not count.
    box_size : int
        Size of the boxes in which the background is measured [pixel], a few times that
        of the largest sources. It is changed a little, so that boxes fill the image.
    filter_size : int
        The values of the boxes are filtered by a median of so many boxes along each
        axis, an odd number; 1 does not filter.
    estimator : {'mean', 'median', 'mode'}
        What is taken of the pixels of a box that are left by clipping. The mean is
        right for the noise of photons, whose median and mode (2.5 median - 1.5 mean)
        are lower than their mean by up to 0.2 and 0.4 electrons.
    clip : float
        Limit of the clipping [standard deviations].
    mask_sources : bool
        Find the sources in a first pass, and mask them in the second.

    Returns
    -------
    NDLater
        The map, with its variance. Its header has the median of the map
        (BKGLEVEL), the standard deviation of pixels about it (BKGRMS), and the error of
        the map (BKGERR), which is common to the pixels of a box.

    Raises
    ------
    ParameterError
        If there are too few good pixels.
    """
    found = background_of(
        ndd,
        box_size=box_size,
        filter_size=filter_size,
        estimator=estimator,
        clip=clip,
        mask_sources=mask_sources,
    )
    _report(ndd, found)
    result = ndd.replace(
        data=found.level.astype(np.result_type(ndd.dtype, np.float32)),
        variance=narrowed(found.variance, np.dtype("f4")),
        flags=None,
    )
    _describe(result, found)
    return result


@run_task(prefix="s", options={"revision": 2})
def subtract_background(
    ndd: NDLater,
    *,
    box_size: BoxSize = 64,
    filter_size: FilterSize = 3,
    estimator: Estimator = "mean",
    clip: Annotated[float, Range(gt=0)] = 4.0,
    mask_sources: bool = True,
) -> NDLater:
    """
    Subtract a smooth background, which is measured as by `measure_background`.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame. Masked pixels and those that are not finite do not count.
    box_size : int
        Size of the boxes in which the background is measured [pixel].
    filter_size : int
        Size of the median filter [boxes], an odd number.
    estimator : {'mean', 'median', 'mode'}
        What is taken of the pixels of a box that are left by clipping.
    clip : float
        Limit of the clipping [standard deviations].
    mask_sources : bool
        Find the sources in a first pass, and mask them in the second.

    Returns
    -------
    NDLater
        The frame without background. The variance of the map is added to its variance:
        next to nothing for a pixel (with boxes of 64 pixels 0.004 percent of that of
        the sky), but since it is common to the pixels of a box, the error of a sum of n
        pixels has the term n BKGERR, of the header, besides.

    Raises
    ------
    ParameterError
        If there are too few good pixels.
    """
    found = background_of(
        ndd,
        box_size=box_size,
        filter_size=filter_size,
        estimator=estimator,
        clip=clip,
        mask_sources=mask_sources,
    )
    _report(ndd, found)
    kind = np.result_type(ndd.dtype, np.float32)
    data = np.asarray(ndd.data, np.float64) - found.level
    variance = None
    if ndd.variance is not None:
        variance = narrowed(
            np.asarray(ndd.variance, np.float64) + found.variance, np.dtype("f4")
        )
    result = ndd.replace(data=data.astype(kind), variance=variance)
    _describe(result, found)
    return result


def background_of(
    ndd: NDLater,
    *,
    box_size: int = 64,
    filter_size: int = 3,
    estimator: Estimator = "mean",
    clip: float = 4.0,
    mask_sources: bool = True,
) -> Background:
    """Measure the background of an image, with its mask."""
    require_image(ndd, "the background is measured")
    if filter_size % 2 == 0:
        msg = f"filter_size is an odd number, not {filter_size}"
        raise ParameterError(msg)
    mask = None if ndd.mask is None else np.asarray(ndd.mask)
    try:
        with photutils_needed():
            return estimate_background(
                ndd.data,
                mask,
                box_size=box_size,
                filter_size=filter_size,
                clip=clip,
                estimator=estimator,
                mask_sources=mask_sources,
                covariances=covariances_of(ndd),
            )
    except ValueError as err:
        raise ParameterError(str(err)) from err


def require_image(ndd: NDLater, what: str) -> None:
    """Raise a ShapeError unless there are two axes."""
    if ndd.ndim != 2 or 0 in ndd.shape:
        msg = f"{what} in images, not in an array of shape {ndd.shape}"
        raise ShapeError(msg)


@contextmanager
def photutils_needed() -> Iterator[None]:
    """Say how photutils is installed where it, or what it needs, is not."""
    try:
        yield
    except ImportError as err:
        msg = (
            f"images are measured with photutils, scipy and scikit-image ({err}); "
            "install them with: pip install 'ndmapper[ccd]'"
        )
        raise MissingPackageError(msg) from err


def _report(ndd: NDLater, found: Background) -> None:
    numbers = {"level": float(np.median(found.level)), **_numbers(found)}
    unit = 1 if ndd.unit is None else ndd.unit
    qc(**{name: value * unit for name, value in numbers.items()})
    qc(masked_share=float(found.sources.mean()))
    if ndd.variance is not None:
        # Near 1, if the variance of the frame is right.
        claimed = np.asarray(ndd.variance)[~found.sources & good_pixels(ndd)]
        if claimed.size and (typical := float(np.median(claimed))) > 0:
            qc(rms_over_claimed=numbers["rms"] / math.sqrt(typical))
    panels = [
        image_panel(ndd.data, "frame, sources marked", {"source": found.sources}),
        image_panel(found.level, "background", {}),
        image_panel(np.asarray(ndd.data) - found.level, "difference", {}),
    ]
    report_panels(panels)


def _numbers(found: Background) -> dict[str, float]:
    return {
        "rms": float(np.median(found.rms)),
        "error": math.sqrt(float(np.median(found.variance))),
    }


def _describe(ndd: NDLater, found: Background) -> None:
    numbers = _numbers(found)
    ndd.meta["BKGLEVEL"] = (float(np.median(found.level)), "median of the background")
    ndd.meta["BKGRMS"] = (numbers["rms"], "standard deviation of the background")
    ndd.meta["BKGERR"] = (numbers["error"], "error of the background in a box")
    ndd.meta["BKGBOX"] = (max(found.box), "size of the boxes [pixel]")
