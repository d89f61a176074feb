"""Extracting the spectra of objects from long-slit frames."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with, union_along
from ndmapper.lib.spec.axis import (
    Medium,
    WavelengthAxis,
    counterpart,
    medium_of,
    turned_wavelengths,
    wavelengths_of,
    with_wavelengths,
)
from ndmapper.lib.spec.flat_error import FlatErrors
from ndmapper.lib.spec.trace import TurnedFrame, find_spectra, read_traces
from ndmapper.lib.spectrograph import SpectrographTable
from ndmapper.numerics.extraction import (
    ExtractedSpectrum,
    ObjectLight,
    SlitBackground,
    cut_window,
    extract_boxcar,
    extract_optimal,
    fit_slit_background,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.spatial_profile import ProfileKind, SpectrumWindow
from ndmapper.numerics.trace import Trace
from ndmapper.plot.panels import Panel
from ndmapper.steps import Range, Unit, qc, run_task

__all__ = ["extract_spectra"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_RADIUS = {"boxcar": 1.5, "optimal": 3.0}
"""Default radius [FWHM]."""
_LEAST_RADIUS = 3.0
_WINDOW = (2.5, 8.0)
"""Distances from an object at which its background is, by default [FWHM]."""
_ROUNDS = 3
"""So often objects are extracted without the light of those near them."""
_JOINT = 4.5
"""
They are where they are nearer to each other [FWHM]. Farther away there is less light of
another than its profile may be wrong by.
"""
_APART = 1.25
"""Columns where objects are nearer to each other are flagged [FWHM]."""
_SAME = 0.5
"""Objects that are as near in more than this part of the columns are an error."""
_CLEAR = 2.0
"""So far from another object there is background [FWHM]."""
_MANY_HITS = 3
"""With so many rejected pixels within the FWHM, those that are kept may be the wrong
ones."""
_LEAST_FRACTION = 0.5
"""A column of which less of the light is on good pixels is flagged."""


@run_task(
    each="file", prefix="e", cals=["trace", "wavelengths"], options={"revision": 2}
)
def extract_spectra(
    df: DataFile,
    trace: DataFile | None = None,
    wavelengths: DataFile | None = None,
    *,
    method: Literal["optimal", "boxcar"] = "optimal",
    radius: Annotated[float | None, Range(gt=0), Unit("pixel")] = None,
    profile: ProfileKind = "empirical",
    background: Literal["none", "constant", "linear"] = "none",
    windows: Sequence[tuple[float, float]] | None = None,
    sigma: Annotated[float | None, Range(gt=0)] = 5.0,
    spectrograph: SpectrographTable = None,
) -> DataFile:
    """
    Extract spectra: ``extract_spectra(frames, trace=traces, wavelengths=waves)``.

    Parameters
    ----------
    df : DataFile
        A frame with variance, and without sky, unless `background` is given.
    trace : DataFile, optional
        The table of the traces, as `trace_spectra` makes it: product, file or table. By
        default they are found in the frame.
    wavelengths : DataFile, optional
        The wavelength of each pixel [Angstrom]. Its header says by WAVETYPE, WAVE or
        AWAV, whether in vacuum or in air. A rectified frame needs none; others have no
        wavelengths without it.
    method : {'optimal', 'boxcar'}
        Weigh the pixels by the profile of the object, or sum them.
    radius : float, optional
        So far from the trace light is taken [pixel]; a boxcar takes fractions of
        pixels. By default 1.5 times the FWHM for a boxcar, which has .9996 of a
        Gaussian, else 3 times. Pixels of another object and those beyond the end of the
        slit are not used; the light there is that of the profile.
    profile : {'empirical', 'gaussian', 'moffat'}
        A smooth profile of any form, or an analytic one, which is better for objects
        that are hardly seen. Its width changes with that of the trace.
    background : {'none', 'constant', 'linear'}
        What is fitted to the pixels beside the object in each column, and subtracted.
        Its error is part of the variance.
    windows : sequence of (float, float), optional
        First and last distance from the trace of the pixels beside [pixel]; by default
        from 2.5 to 8 times the FWHM, on both sides. Other objects do not count.
    sigma : float, optional
        Limit for cosmic rays, of the optimal method: pixels that are further from the
        model by its noise, and by what the profile misses of the light (1 to 10
        percent, which is measured). None rejects none.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    DataFile
        An extension for each object, in the order of rising wavelength, with variance
        and flags, in the unit of the frame. Headers have the number of the object
        (OBJNUM), its position along the slit in the middle column (SLITPOS [pixel],
        from 1), the extension (FROMEXT), METHOD and RADIUS. Columns without good pixels
        are NaN and flagged NO_DATA. Those are flagged BAD in which less than half of
        the light is on good pixels, a part of the core is off the slit, or another
        object is nearer than 1.25 times the FWHM; SATURATED if a pixel of the core is;
        COSMIC_RAY if three pixels within the FWHM of the trace were rejected.
        What the noise of each flat of the frame adds is in the extras FLAT_ERROR1, ...,
        by which `combine_spectra` counts it once.

    Raises
    ------
    ParameterError
        If the frame has no variance, the table is that of a frame of another shape, an
        object is off the slit, two are at one place, or there is no background beside.

    Notes
    -----
    The optimal weights are those of Horne (1986, PASP 98, 609), with a profile that
    follows the trace as that of Marsh (1989, PASP 101, 1032): a B-spline in the
    distance from the trace, which is sampled at fractions of a pixel. They are found
    from the variance of the model, profile times flux with sky and read noise, never
    from that of the pixel's own counts. A masked pixel costs no more than itself: a
    boxcar takes its light from the profile. A boxcar rejects no cosmic rays.

    A profile has the light of the whole object: what is beyond the end of the slit, or
    on the side of another object, is taken to be as on the other side. Objects near
    others are extracted again without the light of these, whose error counts.
    """
    made: list[NDLater] = []
    flats = FlatErrors(df)
    for ndd in df:
        where = f"{df.filename or 'the frame'}[{ndd.ident}]"
        frame = TurnedFrame.of(ndd, spectrograph, where)
        if trace is None:
            traces = list(enumerate(find_spectra(frame), start=1))
        else:
            traces = read_traces(trace, ndd, frame.data.shape)
        how = _Extraction(
            frame=frame, traces=traces, method=method, given_radius=radius,
            profile=profile, background=background, windows=windows, sigma=sigma,
            share=float(ndd.meta.get("SKYSHARE", 0.0)),
        )  # fmt: skip
        waves = None if wavelengths is None else counterpart(wavelengths, ndd)
        rectified = _of_rectified(ndd, frame)
        extracted = how.extract()
        for number, one in traces:
            found, window = extracted[number]
            spectrum = _spectrum(ndd, frame, found, window, how.is_doubtful(number))
            place = one.position(len(found.flux))
            if waves is not None:
                turned = turned_wavelengths(waves, frame.geometry, ndd)
                spectrum = _along(spectrum, turned, medium_of(waves), place, frame)
            elif rectified is not None:
                spectrum = with_wavelengths(
                    spectrum, rectified.values, rectified.medium
                )
            for key, value, comment in (
                ("OBJNUM", number, "number of the object"),
                ("SLITPOS", round(float(place[len(place) // 2]) + 1, 3),
                 "[pixel] along the slit, from 1"),
                ("FROMEXT", str(ndd.ident), "extension of the frame"),
                ("METHOD", method, "how it was extracted"),
                ("RADIUS", round(how.radius(one), 3), "[pixel] of the aperture"),
            ):  # fmt: skip
                spectrum.meta[key] = (value, comment)
            flats.write(spectrum, ndd, frame.geometry, found, window.rows)
            made.append(spectrum)
            _report(spectrum, found, window, f"{number}" if len(traces) > 1 else "")
    result = DataFile(data=made, meta=df.meta)
    result.renumber()
    return result


@dataclass(frozen=True, kw_only=True)
class _Extraction:
    """How the objects of a frame are extracted."""

    frame: TurnedFrame
    traces: Sequence[tuple[int, Trace]]
    method: Literal["optimal", "boxcar"]
    # Of the call; None for the default of the method.
    given_radius: float | None
    profile: ProfileKind
    background: Literal["none", "constant", "linear"]
    windows: Sequence[tuple[float, float]] | None
    sigma: float | None
    # Part of the variance of the sky that pixels of a column have in common.
    share: float

    def radius(self, one: Trace) -> float:
        """Give the radius of the aperture of an object [pixel]."""
        if self.given_radius is not None:
            return self.given_radius
        return max(_RADIUS[self.method] * self._fwhm(one), _LEAST_RADIUS)

    def extract(self) -> dict[int, tuple[ExtractedSpectrum, SpectrumWindow]]:
        """Extract the objects, those near others without the light of these."""
        nx = self.frame.data.shape[1]
        places = {number: one.position(nx) for number, one in self.traces}
        for number in places:
            self._check_place(number, places)
        near = {number: self._near(number, places) for number in places}
        found = {number: self._extract(number, places) for number in places}
        for _ in range(_ROUNDS if any(near.values()) else 0):
            for number, others in near.items():
                if others:
                    light = [self._light(found[n][0], places[n]) for n in others]
                    total = reduce(add, light)
                    found[number] = self._extract(number, places, total)
        return found

    def _near(self, number: int, places: dict[int, Array]) -> list[int]:
        """Tell which of the others have light in the window of an object."""
        reach, fwhm = self._reach(number), self._fwhm(dict(self.traces)[number])
        return [
            other
            for other, one in self.traces
            if other != number
            and np.min(np.abs(places[other] - places[number]))
            < min(reach + self._reach(other), _JOINT * max(fwhm, self._fwhm(one)))
        ]

    def _light(self, spectrum: ExtractedSpectrum, place: Array) -> ObjectLight:
        ny, nx = self.frame.data.shape
        return ObjectLight.of(spectrum, place, (ny, nx))

    def _reach(self, number: int) -> float:
        one = dict(self.traces)[number]
        radius = self.radius(one)
        if self.method == "optimal":
            return radius
        return max(radius, _RADIUS["optimal"] * self._fwhm(one))

    def _extract(
        self, number: int, places: dict[int, Array], light: ObjectLight | None = None
    ) -> tuple[ExtractedSpectrum, SpectrumWindow]:
        """Extract an object, without the light of others where it is given."""
        frame, one = self.frame, dict(self.traces)[number]
        window = cut_window(
            frame.data, frame.variance, frame.good, trace=places[number],
            fwhm=one.fwhm(frame.data.shape[1]), reach=self._reach(number),
            others=[place for n, place in places.items() if n != number], light=light,
        )  # fmt: skip
        others = [t for n, t in self.traces if n != number]
        words: dict[str, Any] = {
            "kind": self.profile,
            "background": self._background(number, others),
            "share": self.share,
        }
        if self.method == "boxcar":
            return extract_boxcar(window, radius=self.radius(one), **words), window
        return extract_optimal(window, sigma=self.sigma, **words), window

    def _fwhm(self, one: Trace) -> float:
        return float(np.max(one.fwhm(self.frame.data.shape[1])))

    def _check_place(self, number: int, places: dict[int, Array]) -> None:
        """Say where an object is off the slit, or its light is also that of another."""
        place, where = places[number], self.frame.where
        rows = self.frame.geometry.rows(len(self.frame.data))
        inside = (place >= rows.start - 0.5) & (place <= rows.stop - 0.5)
        if not inside.any():
            msg = (
                f"object {number} is off the slit of {where}: its trace has the rows "
                f"{np.min(place):.1f} to {np.max(place):.1f}, and the slit has "
                f"{rows.start} to {rows.stop - 1} [pixel, from 0]"
            )
            raise ParameterError(msg)
        if (cut := self._is_cut(number, places)).any():
            log.warning(
                "object %d is at the end of the slit of %s in %.0f%% of the columns, "
                "which are flagged: a part of its core is not seen",
                number, where, 100 * cut.mean(),
            )  # fmt: skip
        blended = self._is_blended(number, places)
        if blended.mean() > _SAME:
            msg = (
                f"object {number} of {where} is nearer to another than {_APART:g} FWHM "
                f"in {blended.mean():.0%} of the columns, so that their light cannot "
                "be told apart: give the trace of one of them, or of both as one"
            )
            raise ParameterError(msg)
        if blended.any():
            log.warning(
                "object %d of %s is nearer to another than %.3g FWHM in %.0f%% of the "
                "columns, which are flagged",
                number, where, _APART, 100 * blended.mean(),
            )  # fmt: skip

    def is_doubtful(self, number: int) -> Mask:
        """Tell the columns in which no profile tells the light of an object."""
        nx = self.frame.data.shape[1]
        places = {n: one.position(nx) for n, one in self.traces}
        return self._is_cut(number, places) | self._is_blended(number, places)

    def _is_cut(self, number: int, places: dict[int, Array]) -> Mask:
        rows = self.frame.geometry.rows(len(self.frame.data))
        place, half = places[number], self._fwhm_of(number) / 2
        first, last = rows.start - 0.5, rows.stop - 0.5
        return np.asarray((place - half < first) | (place + half > last))

    def _is_blended(self, number: int, places: dict[int, Array]) -> Mask:
        near = np.zeros(self.frame.data.shape[1], np.bool_)
        for other, place in places.items():
            if other != number:
                wider = np.maximum(self._fwhm_of(number), self._fwhm_of(other))
                near |= np.abs(place - places[number]) < _APART * wider
        return near

    def _fwhm_of(self, number: int) -> Array:
        return dict(self.traces)[number].fwhm(self.frame.data.shape[1])

    def _background(
        self, number: int, others: Sequence[Trace]
    ) -> SlitBackground | None:
        if self.background == "none":
            return None
        frame, one = self.frame, dict(self.traces)[number]
        nx = frame.data.shape[1]
        near, far = (edge * self._fwhm(one) for edge in _WINDOW)
        beside = [(-far, -near), (near, far)]
        good = frame.good.copy()
        rows = np.arange(len(good))[:, None]
        for other in others:
            good &= np.abs(rows - other.position(nx)) > _CLEAR * self._fwhm(other)
        found = fit_slit_background(
            frame.data, frame.variance, good, one.position(nx),
            beside if self.windows is None else self.windows, kind=self.background,
        )  # fmt: skip
        known = np.isfinite(found.coefficients[0])
        if known.sum() < 0.5 * frame.good.any(axis=0).sum():
            msg = (
                f"there are too few pixels for the background of object {number} of "
                f"{frame.where}: give windows=[(first, last), ...], in pixels from its "
                "trace, where no other object is, or subtract the sky before"
            )
            raise ParameterError(msg)
        return found


def _spectrum(
    ndd: NDLater,
    frame: TurnedFrame,
    found: ExtractedSpectrum,
    window: SpectrumWindow,
    doubtful: Mask,
) -> NDLater:
    """Make the spectrum, without coordinates."""
    columns = np.arange(found.flux.size)
    own = np.zeros(ndd.shape, np.uint16) if ndd.flags is None else ndd.flags
    flags = frame.geometry.turned(own)[window.rows, columns]
    poor = (found.fraction < _LEAST_FRACTION) | doubtful
    # Good columns have the flags of the pixels they are from, others those of all.
    core = np.abs(window.offset) <= window.fwhm / 2
    counted = core & (found.used | poor)
    # A saturated pixel has spilt its light, whatever the profile says of its own.
    spilt = np.where(core & window.inside, flags & np.uint16(Flag.SATURATED), 0)
    bits = union_along(np.where(counted, flags, spilt))
    # A section of one row or column has a header without the axis along the slit.
    line = ndd[0] if frame.geometry.axis == 1 else ndd[:, 0]
    line = line.replace(
        data=found.flux.astype(np.result_type(ndd.dtype, np.float32)),
        variance=narrowed(found.variance, np.dtype("f4")),
        flags=bits.astype(own.dtype),
    )
    line.wcs = None
    line.meta.remove("DISPAXIS", ignore_missing=True)
    unknown = ~np.isfinite(found.flux)
    near = np.abs(window.offset) <= window.fwhm
    hit = (found.rejected & near).sum(axis=0) >= _MANY_HITS
    marks = (
        (hit & ~unknown, Flag.COSMIC_RAY),
        (unknown, Flag.NO_DATA),
        (poor & ~unknown, Flag.BAD),
    )
    result: NDLater = line.replace(flags=flags_with(line, *marks))
    return result


def _along(
    spectrum: NDLater, turned: Array, medium: Medium, place: Array, frame: TurnedFrame
) -> NDLater:
    """Give a spectrum the wavelengths at its trace."""
    columns = np.arange(place.size)
    lower = np.clip(np.floor(place).astype(np.int_), 0, len(turned) - 2)
    part = place - lower
    values = (1 - part) * turned[lower, columns] + part * turned[lower + 1, columns]
    seen = np.isfinite(values)
    if seen.sum() < 2:
        msg = f"there are no wavelengths at the trace of {frame.where}"
        raise ParameterError(msg)
    if not seen.all():
        values = _continued(values, seen)
        spectrum = spectrum.replace(flags=flags_with(spectrum, (~seen, Flag.BAD)))
    return with_wavelengths(spectrum, values, medium)


def _continued(values: Array, seen: npt.NDArray[np.bool_]) -> Array:
    """Fill in wavelengths where there are none, linearly."""
    columns = np.arange(values.size)
    known, at = values[seen], columns[seen]
    filled = np.interp(columns, at, known)
    for end, side in (
        (slice(0, 2), columns < at[0]),
        (slice(-2, None), columns > at[-1]),
    ):
        slope = np.diff(known[end])[0] / np.diff(at[end])[0]
        filled[side] = known[end][0] + slope * (columns[side] - at[end][0])
    return filled


def _of_rectified(ndd: NDLater, frame: TurnedFrame) -> WavelengthAxis | None:
    """Give the wavelengths of a frame in which all rows have the same; else None."""
    along_rows = frame.geometry.axis == 1
    kind = str(ndd.meta.get("CTYPE1" if along_rows else "CTYPE2", ""))
    if not kind.startswith(("WAVE", "AWAV")):
        return None
    axis = wavelengths_of(ndd[0] if along_rows else ndd[:, 0])
    if frame.geometry.falls:
        return WavelengthAxis(axis.values[::-1], axis.medium)
    return axis


def _report(
    spectrum: NDLater, found: ExtractedSpectrum, window: SpectrumWindow, number: str
) -> None:
    """Report the signal-to-noise ratio, and draw spectrum, profile and what is left."""
    name = f"_{number}" if number else ""
    error = np.sqrt(found.variance)
    seen = np.isfinite(found.flux)
    pixels = found.used & window.inside
    model = found.flux * found.profile
    noise = np.sqrt(np.where(pixels, found.model_variance, 1.0))
    left = np.where(pixels, (window.data - found.background - model) / noise, 0.0)
    ratio = float(np.median((found.flux / error)[seen])) if seen.any() else 0.0
    qc(**{
        f"snr{name}": ratio,
        f"rejected{name}": int(found.rejected.sum()),
        f"incomplete{name}": float(np.mean(found.fraction < _LEAST_FRACTION)),
        f"residual_over_noise{name}": float(np.sqrt(np.mean(left[pixels] ** 2)))
        if pixels.any() else 0.0,
    })  # fmt: skip
    unit = "" if spectrum.unit is None else f"{spectrum.unit}"
    report_panels([
        Panel(
            values=found.flux, error=error, unit=unit,
            title=f"object {number}".strip(), x_label="column, wavelengths rise",
        ),
        image_panel(found.profile, "profile along the trace", {}),
        image_panel(
            left, "pixels - model [noise]", {"cosmic ray": found.rejected}
        ),
    ])  # fmt: skip
