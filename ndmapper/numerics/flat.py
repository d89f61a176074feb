"""Normalising flats: plainly, or by the response and the slit illumination."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ndmapper.numerics.lamp_response import Response, fit_response
from ndmapper.numerics.slit import lit_slit
from ndmapper.numerics.slit_illumination import (
    Illumination,
    fit_illumination,
    pixel_scatter,
)

__all__ = ["FlatModel", "NormalisedFlat", "normalise_flat", "plain_flat"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_ROUNDS = 3
"""Response and illumination are fitted so often in turn."""

_FEW_ROWS = 30
"""Of fewer rows the scatter of pixels is that of many columns."""


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
    slit: slice | None = None,
    gap: Mask | None = None,
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
    slit : slice, optional
        The lines along the dispersion among which the slit is; light elsewhere is not
        its own. By default all.
    gap : ndarray of bool, shape (n,), optional
        True for the lines along the slit that a gap between chips covers. The response
        is fitted on either side by itself.
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
    what these models take of their noise, and with what they take of the differences
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
    noise = None if variance is None else np.asarray(variance, np.float64)
    image = image.T if turned else image
    noise = noise.T if turned and noise is not None else noise
    rows = slice(None) if slit is None else slit
    gap = np.zeros(image.shape[1], np.bool_) if gap is None else gap
    light = _light_of_slit(
        np.where(gap, np.nan, image[rows]),
        None if noise is None else noise[rows],
        gap,
        edge_margin,
    )
    model, response = _fit_models(light, knot_spacing, illumination_degree)
    divisor = response.values * (1.0 if keep_illumination else model.values)
    divisor = np.broadcast_to(divisor, light.image.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        weak = light.lit & (light.signal_to_noise(divisor) < least_signal_to_noise)
    weak |= light.lit & response.dark
    missed = light.lit & ~weak & response.missed
    kept = 0.0 if keep_illumination else model.relative_variance
    spread = light.pixel_variance(
        divisor, response.values * model.values, response.relative_variance + kept
    )
    flat = _divide(light.image, spread, divisor, ~light.lit | weak, threshold)
    lower, upper = light.lower, light.upper
    flat = replace(
        flat,
        unlit=~light.lit,
        weak=weak,
        missed=missed,
        model=FlatModel(
            response=response.values,
            relative_variance=response.relative_variance,
            illumination=model.values,
            lower=lower,
            upper=upper,
        ),
    )
    flat = _as_large(flat, rows, image.shape)
    return _turned(flat) if turned else flat


def _as_large(
    flat: NormalisedFlat, rows: slice, shape: tuple[int, ...]
) -> NormalisedFlat:
    """Put the flat of some rows where it was; the others are unlit."""
    if flat.data.shape == shape:
        return flat
    filled = {"data": 1.0, "variance": 0.0, "unlit": True}
    arrays = {}
    for name in ("data", "variance", "unlit", "low", "weak", "missed"):
        part = getattr(flat, name)
        arrays[name] = np.full(shape, filled.get(name, False), part.dtype)
        arrays[name][rows] = part
    model = flat.model
    if model is not None:
        first = rows.indices(shape[0])[0]
        illumination = np.ones(shape)
        illumination[rows] = model.illumination
        model = replace(
            model,
            illumination=illumination,
            lower=model.lower + first,
            upper=model.upper + first,
        )
    return replace(flat, model=model, **arrays)


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
    gap: Mask
    position: Array

    @property
    def usable(self) -> Mask:
        return np.asarray(self.lit & np.isfinite(self.image))

    def columns(
        self, illumination: Array, scatter: Array | None
    ) -> tuple[Array, Array]:
        """Mean light of each column and its error, by the scatter of pixels."""
        used = self.usable
        count = used.sum(axis=0)
        ratio = np.where(used, self.image / illumination, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = ratio.sum(axis=0) / count
            square = np.where(used, (ratio - mean) ** 2, 0).sum(axis=0)
            error2 = square / np.maximum(count - 1, 1) / count
            noise2 = np.zeros(count.size)
            if self.variance is not None:
                noise = np.where(used, self.variance / illumination**2, 0)
                noise2 = noise.sum(axis=0) / count**2
            expected2 = noise2
            if scatter is not None:
                # Few pixels do not tell their own scatter, which would then weigh
                # columns by chance.
                expected2 = expected2 + scatter * mean**2 / count
                error2 = np.where(count < _FEW_ROWS, 0.0, error2)
            error2 = np.maximum(error2, expected2)
        few = count < max(1, 0.2 * np.max(count))
        # A lamp without any noise is followed to a millionth.
        error = np.sqrt(error2) + 1e-6 * np.abs(mean)
        return np.where(few, np.nan, mean), np.where(few, np.nan, error)

    def noise(self, expected: Array) -> Array | None:
        """
        Variance of the light of each pixel, where so much is expected.

        By chance dark pixels have small variances of their own, so that they would
        weigh more than others, and seem to be many standard deviations off.
        """
        if self.variance is None:
            return None
        lit = np.where(self.lit, expected, np.nan)
        known = self.lit.any(axis=0)
        level = np.full(expected.shape[1], np.nan)
        level[known] = np.nanmedian(lit[:, known], axis=0)
        return np.asarray(self.typical_variance() * expected / level)

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
        lit = np.where(self.lit, expected, 0)
        signal = lit.sum(axis=0) / np.maximum(self.lit.sum(axis=0), 1)
        return np.asarray(signal / np.sqrt(self.typical_variance()))

    def pixel_variance(
        self, divisor: Array, expected: Array, of_models: Array
    ) -> Array | None:
        """
        Variance of the pixels, of which the models have a relative one.

        A model has taken part of the noise of the pixels that it was fitted to, which
        makes them less noisy, and of their sensitivity, which makes it an error.
        """
        noise = self.noise(expected)
        if noise is None:
            return None
        scatter = self.scatter(expected)
        relative = noise / expected**2
        share = relative / np.maximum(relative + scatter, 1e-30)
        noise = np.fmax(np.asarray(self.variance), noise)
        own = of_models * divisor**2 * (1 - 2 * share)
        return np.asarray(np.maximum(noise + own, 0.1 * noise))

    def scatter(self, expected: Array) -> Array:
        """Variance of the sensitivity of the pixels of each column."""
        noise = self.noise(expected)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = self.image / expected
            noise = None if noise is None else noise / expected**2
        return pixel_scatter(relative, noise, self.usable & (expected > 0))


def _light_of_slit(
    image: Array, variance: Array | None, gap: Mask, edge_margin: float
) -> _Light:
    slit = lit_slit(image, edge_margin)
    light = _Light(
        image, variance, slit.lower, slit.upper, slit.lit & ~gap, gap, slit.position
    )
    if not light.usable.any():
        msg = "no part of the flat is lit"
        raise ValueError(msg)
    return light


def _fit_models(
    light: _Light, knot_spacing: float, degree: tuple[int, int]
) -> tuple[Illumination, Response]:
    """Fit response and illumination in turn, by the noise and the scatter of pixels."""
    illumination = np.ones(light.image.shape)
    scatter = None
    for _ in range(_ROUNDS):
        mean, error = light.columns(illumination, scatter)
        response = _fit_response(mean, error, light.gap, knot_spacing)
        # Columns that the response does not follow say nothing about the slit.
        usable = light.usable & ~response.dark & ~response.missed
        if not usable.any():
            usable = light.usable & ~response.dark
        expected = response.values * illumination
        scatter = light.scatter(expected)
        noise = light.noise(expected)
        model = fit_illumination(
            light.image / response.values,
            None if noise is None else noise / response.values**2 + scatter,
            usable,
            light.position,
            degree,
        )
        illumination = model.values
    mean, error = light.columns(illumination, scatter)
    return model, _fit_response(mean, error, light.gap, knot_spacing)


def _fit_response(
    mean: Array, error: Array, gap: Mask, knot_spacing: float
) -> Response:
    """Fit the response on each side of gaps."""
    if not gap.any():
        return fit_response(mean, error, knot_spacing=knot_spacing)
    ends = np.flatnonzero(np.diff(np.concatenate([[True], gap, [True]]).astype(int)))
    parts, failure = [], None
    for first, last in zip(ends[::2], ends[1::2], strict=True):
        columns = slice(int(first), int(last))
        try:
            found = fit_response(
                mean[columns], error[columns], knot_spacing=knot_spacing
            )
        except ValueError as err:
            failure = err
        else:
            parts.append((columns, found))
    if not parts:
        raise failure or ValueError("gaps cover all of the flat")
    whole = Response(
        np.full(mean.size, np.nan),
        np.zeros(mean.size),
        np.zeros(mean.size, np.bool_),
        ~gap,
    )
    for columns, found in parts:
        whole.values[columns] = found.values
        whole.relative_variance[columns] = found.relative_variance
        whole.missed[columns] = found.missed
        whole.dark[columns] = found.dark
    known = np.isfinite(whole.values)
    x = np.arange(mean.size)
    values = np.interp(x, x[known], whole.values[known])
    return replace(whole, values=values)


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
