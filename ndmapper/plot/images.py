"""Images side by side, as grey pictures with the contrast of zscale."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.nddata import NDData

from ndmapper.errors import MissingPackageError, ShapeError

__all__ = ["before_after", "save_images", "zscale"]

Image: TypeAlias = npt.ArrayLike | NDData


def zscale(image: npt.ArrayLike) -> tuple[float, float]:
    """
    Find the levels between which an image shows its background.

    Parameters
    ----------
    image : array_like, shape (ny, nx)
        The image; NaN does not count.

    Returns
    -------
    low, high : float
        The levels; they differ, also for an image that is constant.
    """
    from astropy.visualization import ZScaleInterval  # slow to import

    values = np.asarray(image, np.float64)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in ZScaleInterval(contrast=0.12).get_limits(finite))
    if high <= low:
        low, high = low - 0.5, low + 0.5
    return low, high


def before_after(
    before: Image,
    after: Image,
    path: str | os.PathLike[str],
    *,
    titles: tuple[str, str] = ("raw", "reduced"),
) -> Path:
    """
    Draw an image as it was and as it is now, one above the other.

    Parameters
    ----------
    before, after : array_like or NDData, shape (ny, nx)
        The two images; they may differ in shape. Pixels that the mask of an NDData
        marks are red.
    path : str or Path
        File to write; its extension says the format (png, pdf, ...).
    titles : (str, str)
        What they are.

    Returns
    -------
    Path
        The file.
    """
    return save_images([before, after], path, titles=titles)


def save_images(
    images: Sequence[Image],
    path: str | os.PathLike[str],
    *,
    titles: Sequence[str] = (),
) -> Path:
    """
    Draw images one above the other, each with its own contrast.

    Parameters
    ----------
    images : sequence of array_like or NDData, each of shape (ny, nx)
        The images.
    path : str or Path
        File to write.
    titles : sequence of str
        A title for each image, or none at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ShapeError
        If there are no images, or titles for only some of them, or an image is not
        two-dimensional.
    MissingPackageError
        If matplotlib is not installed.
    """
    arrays = [_array(image) for image in images]
    if not arrays or any(array.ndim != 2 for array in arrays):
        msg = f"images have shapes (ny, nx), not {[array.shape for array in arrays]}"
        raise ShapeError(msg)
    if titles and len(titles) != len(arrays):
        msg = f"{len(arrays)} images have {len(titles)} titles"
        raise ShapeError(msg)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as err:
        msg = (
            f"pictures are drawn with matplotlib ({err}); install it with: "
            "pip install 'ndmapper[plot]'"
        )
        raise MissingPackageError(msg) from err
    width = 10.0
    heights = [max(1.2, width * a.shape[0] / a.shape[1]) for a in arrays]
    figure = Figure(figsize=(width, sum(heights) + 0.45 * len(arrays)))
    # A canvas of its own: nothing depends on, or changes, what pyplot is set to.
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        len(arrays), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )[:, 0]
    for number, (axis, image, array) in enumerate(
        zip(axes, images, arrays, strict=True)
    ):
        _draw(axis, array, _mask(image))
        if titles:
            axis.set_title(_titled(titles[number], image), fontsize=11, loc="left")
    figure.tight_layout(pad=0.6)
    figure.savefig(path, dpi=120)
    return Path(path)


def _draw(
    axis: Any, array: npt.NDArray[Any], mask: npt.NDArray[np.bool_] | None
) -> None:
    low, high = zscale(array if mask is None else np.where(mask, np.nan, array))
    options = {"origin": "lower", "interpolation": "nearest", "aspect": "auto"}
    axis.imshow(array, cmap="gray", vmin=low, vmax=high, **options)
    if mask is not None and mask.any():
        red = np.zeros((*mask.shape, 4))
        red[mask] = (1, 0.15, 0.1, 0.9)
        axis.imshow(red, **options)
    axis.tick_params(labelsize=8)


def _array(image: Image) -> npt.NDArray[Any]:
    return np.asarray(image.data if isinstance(image, NDData) else image)


def _mask(image: Image) -> npt.NDArray[np.bool_] | None:
    mask = image.mask if isinstance(image, NDData) else None
    return None if mask is None else np.asarray(mask, np.bool_)


def _titled(title: str, image: Image) -> str:
    unit = image.unit if isinstance(image, NDData) else None
    return title if unit is None else f"{title} [{unit}]"
