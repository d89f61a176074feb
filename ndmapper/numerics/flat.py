"""Normalising flats: plainly, or by the response and the slit illumination."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.lamp_response import Response, fit_response
from ndmapper.numerics.slit import fit_slit_edges

__all__ = ["FlatModel", "NormalisedFlat", "normalise_flat", "plain_flat"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_BLOCKS = 64
"""The illumination is fitted to the means of about so many blocks of columns."""


@dataclass(frozen=True, kw_only=True)
class FlatModel:
    """
    What was divided out of a flat.

    Parameters
    ----------
    response : ndarray of float, shape (n,)
        Smooth response along the dispersion, in the unit of the flat.
    relative_variance : ndarray of float, shape (n,)
        Variance of the response, divided by its square.
    illumination : ndarray of float, shape (ny, nx)
        Smooth slit illumination; its mean along the slit is 1.
    lower, upper : ndarray of float, shape (n,)
        Edges of the slit along the dispersion [pixel], at half level; a pixel with
        index i reaches from i - 0.5 to i + 0.5.
    """

    response: Array
    relative_variance: Array
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
    weak : ndarray of bool, shape (ny, nx)
        Lit pixels on lines along the slit with too little light.
    missed : ndarray of bool, shape (ny, nx)
        Lit pixels on lines along the slit where the lamp has structure that is finer
        than the response.
    model : FlatModel or None
        What was divided out; None for a plain normalisation.
    """

    data: Array
    variance: Array
    unlit: Mask
    low: Mask
    weak: Mask
    missed: Mask
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
    _check_variance(variance, values.shape)
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
    least_signal_to_noise: float = 5.0,
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
    least_signal_to_noise : float
        Lines along the slit whose pixels have less are weak; needs a variance.

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
    Response and illumination are fitted in turn, each to the flat divided by the other.
    The variance is that of the pixels, at least that of their line along the slit, less
    what the response takes of their noise, and with what it takes of the differences
    between pixels.
    """
    values = np.array(data, np.float64)
    if values.ndim != 2:
        msg = f"a flat has shape (ny, nx), not {values.shape}"
        raise ValueError(msg)
    _check_variance(variance, values.shape)
    bad = _mask_or_none(mask, values.shape) | ~np.isfinite(values)
    turned = dispersion_axis == 0
    image = np.where(bad, np.nan, values)
    image = image.T if turned else image
    noise = None if variance is None else np.asarray(variance, np.float64)
    noise = noise.T if turned and noise is not None else noise
    light = _light_of_slit(image, noise, edge_margin)
    model, response, share = _fit_models(light, knot_spacing, illumination_degree)
    divisor = response.values * (1.0 if keep_illumination else model.illumination)
    divisor = np.broadcast_to(divisor, image.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        weak = light.lit & (light.signal_to_noise(divisor) < least_signal_to_noise)
    weak |= light.lit & response.dark
    missed = light.lit & ~weak & response.missed
    spread = light.pixel_variance(divisor, response, share)
    flat = _divide(image, spread, divisor, ~light.lit | weak, threshold)
    flat = replace(flat, unlit=~light.lit, weak=weak, missed=missed, model=model)
    return _turned(flat) if turned else flat


def _turned(flat: NormalisedFlat) -> NormalisedFlat:
    """Swap the axes of all images of a flat."""
    names = ("data", "variance", "unlit", "low", "weak", "missed")
    model = flat.model
    if model is not None:
        model = replace(model, illumination=model.illumination.T)
    return replace(flat, model=model, **{n: getattr(flat, n).T for n in names})


@dataclass(frozen=True)
class _Light:
    """A lamp behind a slit, with the dispersion along axis 1."""

    image: Array
    variance: Array | None
    lower: Array
    upper: Array
    lit: Mask

    @property
    def usable(self) -> Mask:
        return np.asarray(self.lit & np.isfinite(self.image))

    @property
    def position(self) -> Array:
        """Position within the slit, from -1 to 1, which follows its tilt."""
        row = np.arange(self.image.shape[0])[:, None]
        return np.asarray(
            (2 * row - self.lower - self.upper) / (self.upper - self.lower)
        )

    def columns(self, illumination: Array) -> tuple[Array, Array, Array]:
        """Mean light of each column, its error, and how much of that is its noise."""
        used = self.usable
        count = used.sum(axis=0)
        ratio = np.where(used, self.image / illumination, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = ratio.sum(axis=0) / count
            # The scatter is that of the sensitivity of the pixels, too.
            square = np.where(used, (ratio - mean) ** 2, 0).sum(axis=0)
            error2 = square / np.maximum(count - 1, 1) / count
            noise2 = error2
            if self.variance is not None:
                noise = np.where(used, self.variance / illumination**2, 0)
                noise2 = noise.sum(axis=0) / count**2
                error2 = np.maximum(error2, noise2)
            share = np.nan_to_num(noise2 / error2, nan=1.0)
        few = count < max(1, 0.2 * np.max(count))
        # A lamp without any noise is followed to a millionth.
        error = np.sqrt(error2) + 1e-6 * np.abs(mean)
        return np.where(few, np.nan, mean), np.where(few, np.nan, error), share

    def typical_variance(self) -> Array:
        """Median of the variance along the slit, for each column."""
        assert self.variance is not None
        noise = np.where(self.usable, self.variance, np.nan)
        result = np.full(noise.shape[1], np.nan)
        known = np.isfinite(noise).any(axis=0)
        result[known] = np.nanmedian(noise[:, known], axis=0)
        return result

    def signal_to_noise(self, expected: Array) -> Array:
        """Signal to noise of a pixel of each column; infinite without a variance."""
        if self.variance is None:
            return np.full(self.image.shape[1], np.inf)
        signal = np.nanmean(np.where(self.lit, expected, np.nan), axis=0)
        return np.asarray(signal / np.sqrt(self.typical_variance()))

    def pixel_variance(
        self, divisor: Array, response: Response, share: Array
    ) -> Array | None:
        """
        Variance of the pixels once they are divided by the models.

        A model has taken part of the noise of the pixels that it was fitted to, which
        makes them less noisy, and of their sensitivity, which makes it an error.
        """
        if self.variance is None:
            return None
        # By chance dark pixels have small variances of their own, so that they would
        # seem to be many standard deviations off.
        lit = np.where(self.lit, divisor, np.nan)
        known = self.lit.any(axis=0)
        level = np.full(divisor.shape[1], np.nan)
        level[known] = np.nanmedian(lit[:, known], axis=0)
        noise = np.fmax(self.variance, self.typical_variance() * divisor / level)
        own = response.relative_variance * divisor**2 * (1 - 2 * share)
        return np.asarray(np.maximum(noise + own, 0.1 * noise))


def _light_of_slit(image: Array, variance: Array | None, edge_margin: float) -> _Light:
    lower, upper = fit_slit_edges(image)
    # A margin must not leave less than most of a narrow slit.
    margin = min(edge_margin, max(float(np.median(upper - lower)) / 6, 0.5))
    row = np.arange(image.shape[0])[:, None]
    lit = (row - lower > margin - 0.5) & (upper - row > margin - 0.5)
    # Without a dark border the light does not end there, so nothing is cut off.
    lit |= (lower <= -0.5) & (row - lower <= margin)
    lit |= (upper >= image.shape[0] - 0.5) & (upper - row <= margin)
    light = _Light(image, variance, lower, upper, lit)
    if not light.usable.any():
        msg = "no part of the flat is lit"
        raise ValueError(msg)
    return light


def _fit_models(
    light: _Light, knot_spacing: float, degree: tuple[int, int]
) -> tuple[FlatModel, Response, Array]:
    """Fit response and illumination in turn; with how much of its error is noise."""
    rows = int(np.median(light.lit.sum(axis=0)))
    degree = (min(degree[0], rows - 1), degree[1])
    illumination = np.ones(light.image.shape)
    for last in (False, False, False, True):
        mean, error, share = light.columns(illumination)
        response = fit_response(mean, error, knot_spacing=knot_spacing)
        if not last:
            illumination = _fit_illumination(light, response, degree)
    model = FlatModel(
        response=response.values,
        relative_variance=response.relative_variance,
        illumination=illumination,
        lower=light.lower,
        upper=light.upper,
    )
    return model, response, share


def _mask_or_none(mask: Mask | None, shape: tuple[int, ...]) -> Mask:
    if mask is None:
        return np.zeros(shape, np.bool_)
    if mask.shape != shape:
        msg = f"the mask has shape {mask.shape}, the flat {shape}"
        raise ValueError(msg)
    return np.asarray(mask, np.bool_)


def _check_variance(variance: npt.ArrayLike | None, shape: tuple[int, ...]) -> None:
    if variance is not None and np.shape(variance) != shape:
        msg = f"the variance has shape {np.shape(variance)}, not {shape}"
        raise ValueError(msg)


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
            spread = np.asarray(variance, np.float64) / divisor**2
        low = ~unlit & ~(
            np.isfinite(ratio) & (ratio >= threshold) & np.isfinite(spread)
        )
    no_answer = unlit | low
    none = np.zeros(values.shape, np.bool_)
    return NormalisedFlat(
        data=np.where(no_answer, 1.0, ratio),
        variance=np.where(no_answer, 0.0, spread),
        unlit=unlit,
        low=low,
        weak=none,
        missed=none,
    )


def _fit_illumination(
    light: _Light, response: Response, degree: tuple[int, int]
) -> Array:
    """Fit a polynomial in the position on the slit and along the dispersion."""
    nx = light.image.shape[1]
    position, along = light.position, np.linspace(-1, 1, nx)
    # Columns that the response does not follow say nothing about the slit.
    usable = light.usable & ~response.dark & ~response.missed
    if not usable.any():
        usable = light.usable & ~response.dark
    image = light.image / response.values
    block = max(1, nx // _BLOCKS)
    points = []
    for start in range(0, nx, block):
        columns = slice(start, start + block)
        # Means over a few columns: enough pixels to forget single bad ones. They are
        # weighted by the light there, and have the mean position of what they hold.
        weight = np.where(usable[:, columns], response.values[columns], 0)
        rows = weight.sum(axis=1) > 0
        weight = weight[rows]
        total = weight.sum(axis=1)
        values = np.where(weight > 0, image[rows][:, columns], 0)
        points.append(
            np.column_stack(
                [
                    (weight * position[rows][:, columns]).sum(axis=1) / total,
                    (weight * along[columns]).sum(axis=1) / total,
                    (weight * values).sum(axis=1) / total,
                    np.sqrt(total),
                ]
            )
        )
    s, t, value, scale = np.concatenate(points).T
    basis = _basis(s, t, degree)
    good = np.ones(value.size, np.bool_)
    for _ in range(3):
        w = scale[good, None]
        answer, *_ = np.linalg.lstsq(basis[good] * w, value[good] * w[:, 0], rcond=None)
        residual = (value - basis @ answer) * scale
        sigma = 1.4826 * float(np.median(np.abs(residual[good])))
        good = np.abs(residual) <= max(5 * sigma, 1e-9)
    # The coefficients of each column, and then the polynomial along it, whose mean
    # along the slit is 1.
    terms = np.insert(answer, 1, np.zeros(degree[1])).reshape(-1, degree[1] + 1)
    terms /= terms[0, 0]
    each = np.polynomial.legendre.legval(along, terms.T)
    model = np.polynomial.legendre.legval(
        np.clip(position, -1, 1), each[:, None, :], tensor=False
    )
    return np.maximum(np.asarray(model, np.float64), 0.05)


def _basis(s: Array, t: Array, degree: tuple[int, int]) -> Array:
    """Legendre terms of `degree`, less those of t alone, which are the response's."""
    terms = np.polynomial.legendre.legvander2d(s, t, list(degree))
    along_only = np.arange(1, degree[1] + 1)
    return np.asarray(np.delete(terms, along_only, axis=-1), np.float64)
