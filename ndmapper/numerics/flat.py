"""Normalising flats: plainly, or by the response and the slit illumination."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.slit import fit_slit_edges

__all__ = ["FlatModel", "NormalisedFlat", "normalise_flat", "plain_flat"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


_LEAST_LIT = 4
"""A cubic spline has so many coefficients."""


@dataclass(frozen=True, kw_only=True)
class FlatModel:
    """
    What was divided out of a flat.

    Parameters
    ----------
    response : ndarray of float, shape (n,)
        Smooth response along the dispersion, in the unit of the flat.
    illumination : ndarray of float, shape (ny, nx)
        Smooth slit illumination; its mean over the lit pixels of each line along the
        slit is 1.
    lower, upper : ndarray of float, shape (n,)
        Edges of the slit along the dispersion [pixel], at half level; a pixel with
        index i reaches from i - 0.5 to i + 0.5.
    """

    response: Array
    illumination: Array
    lower: Array
    upper: Array


@dataclass(frozen=True, kw_only=True)
class NormalisedFlat:
    """
    A flat to divide by.

    Parameters
    ----------
    data : ndarray of float, shape (ny, nx)
        Relative sensitivity of the pixels; 1 where there is no answer.
    variance : ndarray of float, shape (ny, nx)
        Its variance; 0 where there is no answer.
    unlit : ndarray of bool, shape (ny, nx)
        Pixels that the lamp did not light.
    low : ndarray of bool, shape (ny, nx)
        Lit pixels that are below the threshold or not finite.
    model : FlatModel or None
        What was divided out; None for a plain normalisation.
    """

    data: Array
    variance: Array
    unlit: Mask
    low: Mask
    model: FlatModel | None = None


def plain_flat(
    data: npt.ArrayLike,
    variance: npt.ArrayLike | None = None,
    *,
    mask: Mask | None = None,
    level: float | None = None,
    threshold: float = 0.1,
) -> NormalisedFlat:
    """
    Divide a flat by one number.

    Parameters
    ----------
    data : array_like, shape (ny, nx)
        The combined flat, without bias.
    variance : array_like, shape (ny, nx), optional
        Its variance.
    mask : ndarray of bool, shape (ny, nx), optional
        True where pixels say nothing about the level.
    level : float, optional
        The number; the median of the unmasked pixels by default. Give the same one for
        all amplifiers of a mosaic to keep their relative sensitivity in the flat.
    threshold : float
        Pixels below this fraction of the level are low.

    Returns
    -------
    NormalisedFlat
        The normalised flat; nothing counts as unlit.

    Raises
    ------
    ValueError
        If there is no usable pixel, or the level is not positive.
    """
    values = np.asarray(data, np.float64)
    usable = np.isfinite(values) & ~_mask_or_none(mask, values.shape)
    if level is None:
        if not usable.any():
            msg = "the flat has no usable pixel"
            raise ValueError(msg)
        level = float(np.median(values[usable]))
    if not level > 0:
        msg = f"the level of the flat is {level:.4g}, it must be positive"
        raise ValueError(msg)
    divisor = np.full(values.shape, level)
    unlit = np.zeros(values.shape, np.bool_)
    return _divide(values, variance, divisor, unlit, threshold)


def normalise_flat(
    data: npt.ArrayLike,
    variance: npt.ArrayLike | None = None,
    *,
    mask: Mask | None = None,
    dispersion_axis: int = 1,
    knot_spacing: float = 30.0,
    illumination_degree: tuple[int, int] = (8, 3),
    keep_illumination: bool = False,
    edge_margin: float = 3.0,
    threshold: float = 0.2,
) -> NormalisedFlat:
    """
    Divide a long-slit flat by its response and its slit illumination.

    Parameters
    ----------
    data : array_like, shape (ny, nx)
        The combined flat without bias, all amplifiers on one scale.
    variance : array_like, shape (ny, nx), optional
        Its variance.
    mask : ndarray of bool, shape (ny, nx), optional
        True where pixels are bad.
    dispersion_axis : int
        The axis along which wavelength changes.
    knot_spacing : float
        Distance of the knots of the cubic spline for the response [pixel]: structure
        smaller than this stays in the flat.
    illumination_degree : (int, int)
        Degrees of the polynomial for the slit illumination, along the slit and along
        the dispersion. Structure smaller than the slit over the first one (dust on
        the slit or the detector) stays in the flat.
    keep_illumination : bool
        Leave the slit illumination in the flat, for a lamp that lights the slit as the
        sky does.
    edge_margin : float
        Pixels nearer than this to the edge of the slit count as unlit [pixel].
    threshold : float
        Pixels whose normalised value is below this are low.

    Returns
    -------
    NormalisedFlat
        The normalised flat, and the model.

    Raises
    ------
    ValueError
        If the shapes differ, the flat is not two-dimensional, or no part of it is lit.

    Notes
    -----
    Response and illumination are fitted in turn, each to the flat divided by the other,
    weighted by the inverse variance of the model, and three times without what lies
    more than 5 standard deviations off. The noise of the models is below that of a
    single pixel by the number of pixels behind each parameter and is left out of the
    variance.
    """
    values = np.array(data, np.float64)
    if values.ndim != 2:
        msg = f"a flat has shape (ny, nx), not {values.shape}"
        raise ValueError(msg)
    bad = _mask_or_none(mask, values.shape) | ~np.isfinite(values)
    turned = dispersion_axis == 0
    image = np.where(bad, np.nan, values)
    image = image.T if turned else image
    lower, upper = fit_slit_edges(image)
    row = np.arange(image.shape[0])[:, None]
    lit = (row - lower > edge_margin - 0.5) & (upper - row > edge_margin - 0.5)
    # Without a dark border the light does not end there, so nothing is cut off.
    lit |= (lower <= -0.5) & (row - lower <= edge_margin)
    lit |= (upper >= image.shape[0] - 0.5) & (upper - row <= edge_margin)
    usable = lit & np.isfinite(image)
    if not usable.any(axis=0).any():
        msg = "no part of the flat is lit"
        raise ValueError(msg)
    # Position within the slit, from -1 to 1, follows the tilt of the slit.
    position = (2 * row - lower - upper) / (upper - lower)
    illumination = np.ones(image.shape)
    response = np.ones(image.shape[1])
    for _ in range(2):
        response = _fit_response(image / illumination, usable, knot_spacing)
        illumination = _fit_illumination(
            image / response, usable, position, response, illumination_degree
        )
        illumination = illumination / _lit_mean(illumination, lit)
    response = _fit_response(image / illumination, usable, knot_spacing)
    divisor = response * (1.0 if keep_illumination else illumination)
    divisor = np.broadcast_to(divisor, image.shape)
    if turned:
        divisor, lit, illumination = divisor.T, lit.T, illumination.T
    flat = _divide(np.where(bad, np.nan, values), variance, divisor, ~lit, threshold)
    model = FlatModel(
        response=response, illumination=illumination, lower=lower, upper=upper
    )
    return replace(flat, model=model)


def _mask_or_none(mask: Mask | None, shape: tuple[int, ...]) -> Mask:
    if mask is None:
        return np.zeros(shape, np.bool_)
    if mask.shape != shape:
        msg = f"the mask has shape {mask.shape}, the flat {shape}"
        raise ValueError(msg)
    return np.asarray(mask, np.bool_)


def _divide(
    values: Array,
    variance: npt.ArrayLike | None,
    divisor: Array,
    unlit: Mask,
    threshold: float,
) -> NormalisedFlat:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = values / divisor
        spread = np.zeros(values.shape)
        if variance is not None:
            if np.shape(variance) != values.shape:
                msg = f"the variance has shape {np.shape(variance)}, not {values.shape}"
                raise ValueError(msg)
            spread = np.asarray(variance, np.float64) / divisor**2
        low = ~unlit & ~(
            np.isfinite(ratio) & (ratio >= threshold) & np.isfinite(spread)
        )
    no_answer = unlit | low
    return NormalisedFlat(
        data=np.where(no_answer, 1.0, ratio),
        variance=np.where(no_answer, 0.0, spread),
        unlit=unlit,
        low=low,
    )


def _lit_mean(image: Array, lit: Mask) -> Array:
    count = lit.sum(axis=0)
    total = np.where(lit, image, 0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), 1.0)


def _fit_response(image: Array, usable: Mask, knot_spacing: float) -> Array:
    """Fit a spline along axis 1 to the mean of the usable pixels along axis 0."""
    from scipy.interpolate import make_lsq_spline

    count = usable.sum(axis=0)
    has_light = count >= max(1, 0.2 * np.max(count))
    if np.count_nonzero(has_light) < _LEAST_LIT:
        msg = (
            f"the flat is lit at {np.count_nonzero(has_light)} pixels along the "
            f"dispersion, and a response needs {_LEAST_LIT}"
        )
        raise ValueError(msg)
    mean = np.where(usable, image, 0).sum(axis=0) / np.maximum(count, 1)
    x = np.arange(image.shape[1], dtype=np.float64)
    # Photon noise: the variance of the mean goes as its level.
    floor = max(1e-3 * float(np.max(mean[has_light])), 1e-12)
    weight = np.sqrt(count / np.maximum(mean, floor))
    inner = np.linspace(0, x[-1], max(2, round(x[-1] / knot_spacing) + 1))[1:-1]
    knots = np.concatenate([[0.0] * 4, inner, [x[-1]] * 4])
    good = has_light
    for _ in range(3):
        spline = make_lsq_spline(x[good], mean[good], knots, k=3, w=weight[good])
        residual = (mean - spline(x)) * weight
        sigma = 1.4826 * float(np.median(np.abs(residual[good])))
        new = has_light & (np.abs(residual) <= max(5 * sigma, 1e-9 * np.max(mean)))
        if np.array_equal(new, good) or new.sum() < 2 * knots.size:
            break
        good = new
    return np.maximum(np.asarray(spline(x), np.float64), floor)


def _fit_illumination(
    image: Array,
    usable: Mask,
    position: Array,
    response: Array,
    degree: tuple[int, int],
) -> Array:
    """Fit a polynomial in the position on the slit and along the dispersion."""
    ny, nx = image.shape
    along = np.linspace(-1, 1, nx)
    block = max(1, nx // 64)
    points = []
    for start in range(0, nx, block):
        columns = slice(start, start + block)
        # Means over a few columns: enough pixels to forget single bad ones.
        count = usable[:, columns].sum(axis=1)
        rows = count > 0
        total = np.where(usable[:, columns], image[:, columns], 0).sum(axis=1)
        points.append(
            np.column_stack(
                [
                    position[rows][:, columns].mean(axis=1),
                    np.full(int(rows.sum()), along[columns].mean()),
                    total[rows] / count[rows],
                    np.sqrt(count[rows] * response[columns].mean()),
                ]
            )
        )
    s, t, value, weight = np.concatenate(points).T
    basis = _basis(s, t, degree)
    good = np.ones(value.size, np.bool_)
    for _ in range(3):
        w = weight[good, None]
        answer, *_ = np.linalg.lstsq(basis[good] * w, value[good] * w[:, 0], rcond=None)
        residual = (value - basis @ answer) * weight
        sigma = 1.4826 * float(np.median(np.abs(residual[good])))
        good = np.abs(residual) <= max(5 * sigma, 1e-9)
    model = np.empty((ny, nx))
    for column in range(nx):
        inside = np.clip(position[:, column], -1, 1)
        model[:, column] = _basis(inside, np.full(ny, along[column]), degree) @ answer
    return np.maximum(model, 0.05)


def _basis(s: Array, t: Array, degree: tuple[int, int]) -> Array:
    """Legendre terms of `degree`, less those of t alone, which are the response's."""
    terms = np.polynomial.legendre.legvander2d(s, t, list(degree))
    along_only = np.arange(1, degree[1] + 1)
    return np.asarray(np.delete(terms, along_only, axis=-1), np.float64)
