"""Shift and rotation between two images of a field, to a small part of a pixel."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "ImageOffset",
    "PixelMapping",
    "Registration",
    "Smoothed",
    "correlation_shift",
    "phase_shift",
    "smooth_masked",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PixelMapping: TypeAlias = Callable[[Array, Array], tuple[Array, Array]]
"""Takes x and y of pixels of an image to those of the reference, from 0."""

_MOST = 2**15
"""Of larger images not every row and column is compared."""

_KNOWN = 0.95
"""A smoothed pixel is known if good ones have this part of the weight."""

_FEWEST = 100
"""Fewer common pixels do not tell."""

_ITERATIONS = 40
_SMALL = 1e-3
"""The fit ends when nothing moves by more [pixel]."""

_OVERLAP = 0.25
"""Shifts at which less of the image than this lies on the reference are not tried."""


@dataclass(frozen=True, kw_only=True)
class Smoothed:
    """An image that was smoothed, and where it is known."""

    values: Array
    good: Mask


@dataclass(frozen=True, kw_only=True)
class ImageOffset:
    """
    Where the pixels of an image really are, in its own pixels, and how bright it is.

    A pixel at p, from the middle of the image, is at ``R(angle) p + (dx, dy)``, and the
    value there of the reference is what the image has, less `level`, over `scale`.

    Parameters
    ----------
    dx, dy : float
        Shift [pixel].
    angle : float
        Rotation, from x towards y [degree].
    scale, level : float
        Relative brightness, and level of the image, as fitted to its pixels.
    blur : float
        Variance of the image's point spread function along an axis, less that of the
        reference [pixel**2].
    shift_error, angle_error : float
        Standard deviations [pixel; degree]; of a start, NaN.
    correlation : float
        Correlation coefficient of the image with the reference.
    significance : float
        The same, in standard deviations of what noise gives.
    """

    dx: float = 0.0
    dy: float = 0.0
    angle: float = 0.0
    scale: float = 1.0
    level: float = 0.0
    blur: float = 0.0
    shift_error: float = np.nan
    angle_error: float = np.nan
    correlation: float = np.nan
    significance: float = np.nan

    def __call__(self, x: Array, y: Array, middle: Array) -> tuple[Array, Array]:
        """Give where pixels really are; `middle` is that of the image, x and y."""
        turn = np.radians(self.angle)
        right = np.asarray(x, np.float64) - float(middle[0])
        above = np.asarray(y, np.float64) - float(middle[1])
        u = float(middle[0]) + self.dx + np.cos(turn) * right - np.sin(turn) * above
        v = float(middle[1]) + self.dy + np.sin(turn) * right + np.cos(turn) * above
        return np.asarray(u, np.float64), np.asarray(v, np.float64)


def smooth_masked(values: npt.ArrayLike, good: Mask, sigma: float) -> Smoothed:
    """
    Convolve an image with a Gaussian, without its bad pixels.

    Parameters
    ----------
    values : array_like, shape (ny, nx)
        The image.
    good : ndarray of bool, shape (ny, nx)
        Which pixels are good.
    sigma : float
        Standard deviation of the Gaussian [pixel]; 0 leaves the image as it is.

    Returns
    -------
    Smoothed
        Each pixel is the weighted mean of the good ones; it is known where these have
        nearly all of the weight, since one side alone would be another mean.
    """
    from scipy.ndimage import gaussian_filter

    filled = np.where(good, np.asarray(values, np.float64), 0.0)
    if sigma <= 0:
        return Smoothed(values=filled, good=good)
    weight = gaussian_filter(good.astype(np.float64), sigma, mode="constant")
    total = gaussian_filter(filled, sigma, mode="constant")
    known = good & (weight > _KNOWN)
    return Smoothed(values=np.where(known, total / np.fmax(weight, 0.5), 0), good=known)


def _grid(image: Array) -> tuple[Array, Array]:
    """Give y and x of the pixels of an image."""
    grid: Array = np.indices(image.shape).astype(np.float64)
    return np.asarray(grid[0]), np.asarray(grid[1])


def _filled(image: Smoothed) -> Array:
    """Put the median where an image is not known."""
    return np.where(image.good, image.values, np.median(image.values[image.good]))


class _Spline:
    """An image between its pixels, by cubic splines."""

    def __init__(self, image: Smoothed) -> None:
        from scipy.ndimage import spline_filter

        self._coefficients = spline_filter(_filled(image), order=3, mode="nearest")

    def __call__(self, x: Array, y: Array) -> Array:
        from scipy.ndimage import map_coordinates

        return np.asarray(
            map_coordinates(
                self._coefficients,
                [np.nan_to_num(y), np.nan_to_num(x)],
                order=3,
                mode="nearest",
                prefilter=False,
            )
        )


def _good_at(image: Smoothed, x: Array, y: Array) -> Mask:
    """Tell which places lie between good pixels."""
    from scipy.ndimage import map_coordinates

    known = np.isfinite(x) & np.isfinite(y)
    places = [np.where(known, y, -9.0), np.where(known, x, -9.0)]
    part = map_coordinates(
        image.good.astype(np.float64), places, order=1, mode="constant"
    )
    return np.asarray(part > 0.999)


def _standardised(values: Array, good: Mask) -> Array:
    """
    Subtract the level, and compress what is bright, for a first comparison.

    The compression is that of pymusepipe: the arc tangent, in units of ten times the
    scatter here, so that one bright star does not decide alone.
    """
    level = np.median(values[good])
    scatter = 1.4826 * np.median(np.abs(values[good] - level))
    compressed = np.arctan((values - level) / (10 * scatter)) if scatter > 0 else values
    return np.asarray(np.where(good, compressed - np.mean(compressed[good]), 0.0))


def correlation_shift(
    image: Smoothed, reference: Smoothed, reach: float
) -> ImageOffset | None:
    """
    Find the shift of two images on one grid at the peak of their cross-correlation.

    Parameters
    ----------
    image, reference : Smoothed, shape (ny, nx)
        The images.
    reach : float
        Largest shift along an axis [pixel].

    Returns
    -------
    ImageOffset or None
        The shift, by a parabola through the pixels around the peak; None where the
        images do not overlap, or the peak is at the edge of what is tried.

    Notes
    -----
    At each shift it is the correlation coefficient of the pixels that are good in both
    (D. Padfield, 2012, IEEE Transactions on Image Processing 21, 2706).
    """
    from scipy.signal import fftconvolve

    if not image.good.any() or not reference.good.any():
        return None
    ours = _standardised(image.values, image.good)
    theirs = _standardised(reference.values, reference.good)

    def sums(first: Array | Mask, second: Array | Mask) -> Array:
        flipped = first.astype(np.float64)[::-1, ::-1]
        return np.asarray(fftconvolve(second.astype(np.float64), flipped))

    count = np.fmax(sums(image.good, reference.good), 0)
    safe = np.fmax(count, 1)
    first, second = sums(ours, reference.good), sums(image.good, theirs)
    product = sums(ours, theirs) - first * second / safe
    spread = (sums(ours**2, reference.good) - first**2 / safe) * (
        sums(image.good, theirs**2) - second**2 / safe
    )
    least = _OVERLAP * min(image.good.sum(), reference.good.sum())
    ny, nx = image.values.shape
    y, x = (
        np.arange(size) - (n - 1) for size, n in zip(count.shape, (ny, nx), strict=True)
    )
    allowed = (np.abs(y)[:, None] <= reach + 1) & (np.abs(x) <= reach + 1)
    allowed &= (count >= least) & (spread > 1e-9 * np.max(spread))
    if not allowed.any():
        return None
    value = np.where(
        allowed, product / np.sqrt(np.where(allowed, spread, 1.0)), -np.inf
    )
    row, column = np.unravel_index(np.argmax(value), value.shape)
    around = value[row - 1 : row + 2, column - 1 : column + 2]
    if around.shape != (3, 3) or not np.isfinite(around).all():
        return None
    dx, dy = _vertex(around)
    return ImageOffset(
        dx=float(x[column]) + dx, dy=float(y[row]) + dy,
        correlation=float(value[row, column]),
    )  # fmt: skip


def _vertex(around: Array) -> tuple[float, float]:
    """Find the summit of a paraboloid through nine values."""
    y, x = (axis.ravel() for axis in np.mgrid[-1:2, -1:2])
    terms = np.column_stack([np.ones(9), x, y, x**2, x * y, y**2]).astype(np.float64)
    _, px, py, xx, xy, yy = np.linalg.lstsq(terms, around.ravel())[0]
    matrix = np.array([[2 * xx, xy], [xy, 2 * yy]])
    if np.linalg.det(matrix) <= 0:
        return 0.0, 0.0
    dx, dy = np.clip(np.linalg.solve(matrix, [-px, -py]), -1, 1)
    return float(dx), float(dy)


def phase_shift(image: Smoothed, reference: Smoothed) -> ImageOffset | None:
    """
    Find the shift of two images on one grid by the phases of their Fourier transforms.

    Parameters
    ----------
    image, reference : Smoothed, shape (ny, nx)
        The images.

    Returns
    -------
    ImageOffset or None
        The shift, to a twentieth of a pixel, of the pixels good in both; None where
        there are none.

    Raises
    ------
    ImportError
        If scikit-image is not installed.
    """
    from skimage.registration import phase_cross_correlation

    good = image.good & reference.good
    if not good.any():
        return None
    find: Callable[..., tuple[Array, float, float]] = phase_cross_correlation
    # Without a window the edges, which do not move, decide.
    window = np.outer(*(np.hanning(n) for n in good.shape))
    shift, _, _ = find(
        window * _standardised(reference.values, good),
        window * _standardised(image.values, good),
        upsample_factor=20,
    )  # fmt: skip
    return ImageOffset(dx=float(shift[1]), dy=float(shift[0]))


class Registration:
    """
    The comparison of an image with a reference of the same field.

    Parameters
    ----------
    image, reference : array_like, shape (ny, nx) and (my, mx)
        Both images.
    good, reference_good : ndarray of bool
        Which of their pixels are good.
    mapping : callable
        Takes x and y in the image to x and y in the reference, by the coordinates that
        both are believed to have.
    sigma : float
        Both are smoothed by a Gaussian of this standard deviation [pixel of the image].
    inner : ndarray of bool, shape (ny, nx), optional
        Only these pixels are compared; others serve to smooth them.
    """

    def __init__(
        self,
        image: npt.ArrayLike,
        good: Mask,
        reference: npt.ArrayLike,
        reference_good: Mask,
        mapping: PixelMapping,
        *,
        sigma: float = 1.5,
        inner: Mask | None = None,
    ) -> None:
        self.values = np.asarray(image, np.float64)
        self._good = good
        self._inner = np.ones_like(good) if inner is None else inner
        self.sigma = sigma
        self.middle = (np.array(self.values.shape[::-1]) - 1) / 2
        self._mapping = mapping
        self._reference = np.asarray(reference, np.float64)
        self._reference_good = reference_good
        self.scale = self._relative_scale()

    def _relative_scale(self) -> float:
        """Give the size of a pixel of the image in pixels of the reference."""
        x, y = (np.array([at, at + 1, at]) for at in self.middle)
        x[2], y[1], y[2] = self.middle[0], self.middle[1], self.middle[1] + 1
        u, v = self._mapping(x, y)
        return float(np.hypot(u[1:] - u[0], v[1:] - v[0]).mean())

    def image_at(self, *, sigma: float) -> Smoothed:
        """Smooth the image [pixel], and leave out what is not compared."""
        smoothed = smooth_masked(self.values, self._good, sigma)
        return Smoothed(values=smoothed.values, good=smoothed.good & self._inner)

    def reference_at(
        self, offset: ImageOffset, *, sigma: float = 0.0
    ) -> tuple[Array, Mask]:
        """
        Interpolate the reference where the pixels of the image really are.

        Parameters
        ----------
        offset : ImageOffset
            The offset.
        sigma : float
            It is smoothed by so much before [pixel of the image].

        Returns
        -------
        values : ndarray, shape (ny, nx)
            The reference, on the pixels of the image.
        good : ndarray of bool, shape (ny, nx)
            Where it is known.
        """
        y, x = _grid(self.values)
        return self._look(self._smoothed_reference(self._blurred(sigma)), offset, x, y)

    def _blurred(self, sigma: float) -> float:
        """Give what to smooth the reference by: its larger pixels smooth already."""
        return sigma * self.scale

    def _look(
        self, reference: Smoothed, offset: ImageOffset, x: Array, y: Array
    ) -> tuple[Array, Mask]:
        if not reference.good.any():
            return np.zeros_like(x), np.zeros(x.shape, np.bool_)
        u, v = self.places(offset, x, y)
        return _Spline(reference)(u, v), _good_at(reference, u, v)

    def on_grid(self, start: ImageOffset) -> tuple[Smoothed, Smoothed]:
        """Give image and reference, smoothed alike, on the pixels of the image."""
        ours = self.image_at(sigma=self.sigma)
        theirs, known = self.reference_at(start, sigma=self.sigma)
        return ours, Smoothed(values=theirs, good=known)

    def refine(self, start: ImageOffset, *, turns: bool = True) -> ImageOffset:
        """
        Fit shift, rotation, brightness, level and blur to all pixels.

        Parameters
        ----------
        start : ImageOffset
            Where to begin; it should be right within about the size of a star.
        turns : bool
            Whether the rotation is fitted as well.

        Returns
        -------
        ImageOffset
            The offset, with its errors.

        Raises
        ------
        ValueError
            If too few pixels are common, or the fit does not come to an end.

        Notes
        -----
        The image of better seeing is blurred by a Gaussian until both agree, so that
        the brightness does not depend on the seeing; symmetric blur moves nothing.
        Deviations count quadratically up to three standard deviations.
        """
        now = start
        for last in (False, False, True):
            now = self._fitted(now, turns=turns, judged=last)
        return now

    def _fitted(self, start: ImageOffset, *, turns: bool, judged: bool) -> ImageOffset:
        ours = self.image_at(
            sigma=float(np.sqrt(self.sigma**2 + max(0.0, -start.blur)))
        )
        width = self._blurred(float(np.sqrt(self.sigma**2 + max(0.0, start.blur))))
        fit = _Fit(self, ours, self._smoothed_reference(width), start, turns=turns)
        now = fit.run(_SMALL if judged else 10 * _SMALL)
        # To first order a blur by a variance adds half of it times the Laplacian.
        blur = start.blur + 2 * fit.bend / now.scale if now.scale else start.blur
        most = (min(self.values.shape) / 10) ** 2
        now = replace(now, blur=float(np.clip(blur, -most, most)))
        return fit.judged(now) if judged else now

    def _smoothed_reference(self, width: float) -> Smoothed:
        return smooth_masked(self._reference, self._reference_good, width)

    def matrix(self) -> Array:
        """Give how places in the reference move with those in the image."""
        x, y = (np.array([at, at, at]) for at in self.middle)
        x[1] += 1
        y[2] += 1
        u, v = self._mapping(x, y)
        return np.array([[u[1] - u[0], u[2] - u[0]], [v[1] - v[0], v[2] - v[0]]])

    def places(self, offset: ImageOffset, x: Array, y: Array) -> tuple[Array, Array]:
        """Give where in the reference pixels of the image really are."""
        return self._mapping(*offset(x, y, self.middle))


def _solved(terms: Array, values: Array, weight: Array) -> Array:
    """Solve for the factors of terms, by weighted least squares."""
    size = np.sqrt(np.mean(terms**2, axis=0)) + 1e-300
    scaled = terms / size
    normal = scaled.T @ (scaled * weight[:, None])
    found = np.linalg.lstsq(normal, scaled.T @ (weight * values), rcond=1e-12)[0]
    return np.asarray(found / size, np.float64)


class _Fit:
    """A fit of shift, rotation, brightness, level and blur, by Gauss and Newton."""

    def __init__(
        self,
        registration: Registration,
        ours: Smoothed,
        theirs: Smoothed,
        start: ImageOffset,
        *,
        turns: bool,
    ) -> None:
        from scipy.ndimage import laplace

        self.registration, self.turns, self.now = registration, turns, start
        y, x = _grid(ours.values)
        u, v = registration.places(start, x, y)
        both = ours.good & _good_at(theirs, u, v)
        self.step = int(np.ceil(np.sqrt(max(1.0, both.sum() / _MOST))))
        rows, columns = np.nonzero(both[:: self.step, :: self.step])
        if rows.size < _FEWEST:
            msg = f"only {int(both.sum())} good pixels are common to both images"
            raise ValueError(msg)
        self.x = (columns * self.step).astype(np.float64)
        self.y = (rows * self.step).astype(np.float64)
        self.values = ours.values[rows * self.step, columns * self.step]
        if not np.std(self.values) > 0:
            msg = "the image has the same value everywhere"
            raise ValueError(msg)
        self.theirs = _Spline(theirs)
        scale = registration.scale**2
        bent = laplace(_filled(theirs)) * scale
        self.curved = _Spline(Smoothed(values=bent, good=theirs.good))
        self.matrix = registration.matrix()
        self.bend = 0.0

    def run(self, small: float) -> ImageOffset:
        """Iterate until nothing moves by more [pixel]."""
        registration = self.registration
        far = float(np.max(registration.middle))
        for _ in range(_ITERATIONS):
            base, terms = self._terms()
            slope, level, self.bend, weight = self._brightness(base, terms)
            terms[:, :3] *= slope
            residual = self.values - slope * base - level - self.bend * terms[:, 5]
            used = terms if self.turns else np.delete(terms, 2, axis=1)
            found = _solved(used, residual, weight)
            moved = found if self.turns else np.insert(found, 2, 0.0)
            # Steps far beyond what is linear would lead astray.
            length = float(np.hypot(moved[0], moved[1]))
            part = min(1.0, registration.sigma / max(length, 1e-12))
            self.now = replace(
                self.now,
                dx=self.now.dx + part * float(moved[0]),
                dy=self.now.dy + part * float(moved[1]),
                angle=self.now.angle + part * float(np.degrees(moved[2])),
            )
            if max(length, abs(moved[2]) * far) < small:
                return replace(self.now, scale=slope, level=level)
        msg = "the fit of the shift does not come to an end"
        raise ValueError(msg)

    def _terms(self) -> tuple[Array, Array]:
        """Give the reference, and derivatives by what is fitted, at unit brightness."""
        u, v = self.registration.places(self.now, self.x, self.y)
        base = self.theirs(u, v)
        (ux, uy), (vx, vy) = self.matrix / 2
        right = self.theirs(u + ux, v + vx) - self.theirs(u - ux, v - vx)
        above = self.theirs(u + uy, v + vy) - self.theirs(u - uy, v - vy)
        # A small rotation moves what is there at right angles to its distance.
        x, y = self.now(self.x, self.y, self.registration.middle)
        x = x - self.registration.middle[0] - self.now.dx
        y = y - self.registration.middle[1] - self.now.dy
        terms = [right, above, above * x - right * y, base, np.ones_like(base)]
        return base, np.column_stack([*terms, self.curved(u, v)])

    def _brightness(
        self, base: Array, terms: Array
    ) -> tuple[float, float, float, Array]:
        """Fit brightness, level and blur here, with the weights of all pixels."""
        weight = np.ones_like(base)
        linear = terms[:, 3:]
        for _ in range(5):
            found = _solved(linear, self.values, weight)
            residual = self.values - linear @ found
            noise = 1.4826 * float(np.median(np.abs(residual)))
            self.noise = max(noise, 1e-9 * float(np.std(self.values)))
            weight = 1 / np.sqrt(1 + (residual / (3 * self.noise)) ** 2)
        return float(found[0]), float(found[1]), float(found[2]), weight

    def judged(self, now: ImageOffset) -> ImageOffset:
        """Add errors and correlation; neighbours share their noise, as it is smooth."""
        self.now = now
        base, terms = self._terms()
        slope, level, bend, weight = self._brightness(base, terms)
        terms[:, :3] *= slope
        used = terms if self.turns else np.delete(terms, 2, axis=1)
        residual = self.values - slope * base - level - bend * terms[:, 5]
        width = float(np.sqrt(self.registration.sigma**2 + abs(now.blur) / 2))
        bread = np.linalg.pinv(used.T @ (used * weight[:, None]))
        pushed = used * (weight * np.abs(residual))[:, None]
        error = np.sqrt(
            np.fmax(np.diag(bread @ self._shared(pushed, width) @ bread), 0)
        )
        # So many pixels are like one of independent noise.
        shared = max(1.0, 4 * np.pi * width**2 / self.step**2)
        root = np.sqrt(weight)
        correlation = float(
            np.corrcoef((self.values - level) * root, (slope * base) * root)[0, 1]
        ) * (1 if slope > 0 else -1)
        return replace(
            now,
            shift_error=float(np.hypot(error[0], error[1]) / np.sqrt(2)),
            angle_error=float(np.degrees(error[2])) if self.turns else np.nan,
            correlation=correlation,
            significance=correlation * float(np.sqrt(self.values.size / shared)),
        )

    def _shared(self, pushed: Array, width: float) -> Array:
        """
        Sum products over pairs of pixels, times the correlation of their noise.

        White noise that was smoothed by a Gaussian is correlated by one that is wider
        by the square root of two.
        """
        from scipy.ndimage import gaussian_filter

        rows, columns = (
            np.rint(at / self.step).astype(np.intp) for at in (self.y, self.x)
        )
        image = np.zeros((int(np.max(rows)) + 1, int(np.max(columns)) + 1))
        sigma = np.sqrt(2) * width / self.step
        smooth = np.empty_like(pushed)
        for n in range(pushed.shape[1]):
            image[rows, columns] = pushed[:, n]
            wide = gaussian_filter(image, sigma, mode="constant", truncate=5.0)
            smooth[:, n] = wide[rows, columns]
        # The sum of the filter's weights is one, and the correlation is one at zero.
        return np.asarray(pushed.T @ smooth * max(1.0, 2 * np.pi * sigma**2))
