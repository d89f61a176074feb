"""Finding spectra along the slit, and tracing them along the dispersion."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from astropy.table import Row, Table

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import MissingPackageError, ParameterError, StepError
from ndmapper.lib.figures import image_panel, new_figure
from ndmapper.lib.flagging import good_pixels
from ndmapper.lib.image.catalogue import pixel_flags, read_catalogue, rows_of
from ndmapper.lib.spectrograph import Spectrograph, SpectrographTable, spectrograph_of
from ndmapper.numerics.trace import Trace, find_traces, slit_profiles
from ndmapper.plot.panels import draw_panel
from ndmapper.steps import Range, qc, run_task

__all__ = ["TurnedFrame", "find_spectra", "read_traces", "trace_spectra"]

log = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_LEAST_COLUMNS = 8
_COLOURS = ("#ff2a1a", "#00c8ff", "#ffb000", "#33d17a", "#ff6ad5", "#8a5cff")
"""Of traces in figures."""
_BINS = (32, 8)
"""Spectra too faint for the first number of bins may be found in the second."""
_MEETING = 0.5
"""Traces that are as near to each other in any column meet [FWHM]."""
_SATURATED = (0.05, 0.5)
"""Shares of a spectrum's columns that are saturated, for a warning and an error."""


@run_task(
    each="file", outputs={"trace": "{root}_trace.ecsv"}, cals=["reference"],
    options={"revision": 2},
)  # fmt: skip
def trace_spectra(
    df: DataFile,
    reference: DataFile | None = None,
    *,
    objects: Annotated[int | None, Range(ge=1)] = None,
    positions: Sequence[float] | None = None,
    degree: Annotated[int, Range(ge=0, le=15)] = 3,
    threshold: Annotated[float, Range(gt=0)] = 5.0,
    spectrograph: SpectrographTable = None,
) -> Table:
    """
    Find the spectra of a long-slit frame, and trace them: ``trace_spectra(frames)``.

    Parameters
    ----------
    df : DataFile
        A frame with variance; best without sky, or lines of the sky hide faint objects.
    reference : DataFile, optional
        The table of a brighter object, such as a standard star taken with the same
        setup: product, file or table. Spectra have the form of its first trace, if they
        are too faint for one of their own.
    objects : int, optional
        Only so many of the brightest.
    positions : sequence of float, optional
        Where the objects are in the middle column, instead of finding them [pixel along
        the slit, from 0]. Each has to be right within the FWHM.
    degree : int
        Degree of the polynomials along the dispersion.
    threshold : float
        Objects stand out from the rows around by so many times the noise.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    Table
        A row for each object, the brightest first: its position in the middle column
        [pixel along the slit, from 0], FWHM, signal-to-noise ratio, the standard
        deviation of the positions about the polynomial (rms [pixel]) and their number
        (bins), and the polynomials of position (trace) and FWHM (width): coefficients
        of Legendre polynomials, from -1 in the first to 1 in the last of the columns,
        in the order of rising wavelength.

    Raises
    ------
    ParameterError
        If the frame has no variance, a position is not in the slit, or two are those of
        one spectrum.
    StepError
        If no spectrum is found, or it is saturated.

    Notes
    -----
    Columns are averaged in bins; positions are those of Gaussians, integrated over
    pixels, with a constant background. The brightest object is followed from bin to
    bin, the others are found after the frame is straightened by its trace, or that of
    the reference. An object that is seen in less than half of the bins has the form of
    that trace, and its offset from it. Objects nearer to each other than 3 FWHM are
    fitted together.

    Positions count from 0, as those of arrays do; SLITPOS in the headers of spectra and
    the rows of ``[spectrograph]`` count from 1, as FITS does.
    """
    rows = []
    for ndd in df:
        where = f"{df.filename or 'the frame'}[{ndd.ident}]"
        frame = TurnedFrame.of(ndd, spectrograph, where)
        shape = frame.data.shape
        form = None if reference is None else read_traces(reference, ndd, shape)[0][1]
        found = find_spectra(
            frame, form, objects=objects, positions=positions, degree=degree,
            threshold=threshold,
        )  # fmt: skip
        _draw(ndd, frame, found)
        rows += [_row(ndd, n, frame, one) for n, one in enumerate(found, start=1)]
    if not rows:
        msg = f"{df} has no image in which spectra could be traced"
        raise StepError(msg)
    table = _table(rows)
    table.meta["frame"] = "" if df.filename is None else df.filename.name
    rms = table["rms"][np.isfinite(table["rms"])]
    qc(objects=len(table), fwhm=float(table["fwhm"][0]), snr=float(table["snr"][0]))
    qc(rms=float(np.max(rms)) if len(rms) else "of no trace of its own")
    return table


_COLUMNS: dict[str, tuple[str | None, str]] = {
    "extension": (None, "name of the extension of the frame (EXTVER)"),
    "object": (None, "number of the object"),
    "position": ("pixel", "in the middle column, along the slit, from 0 (FITS: 1)"),
    "fwhm": ("pixel", "mean FWHM along the slit"),
    "snr": (None, "signal-to-noise ratio of all columns together"),
    "rms": ("pixel", "of positions about the trace; none for the form of another"),
    "bins": (None, "positions that the trace was fitted to"),
    "rows": (None, "rows of the frame, along the slit"),
    "columns": (None, "columns of the frame, along the dispersion"),
    "trace": ("pixel", "Legendre coefficients of the position, from 0"),
    "width": ("pixel", "Legendre coefficients of the FWHM"),
}


def _row(ndd: NDLater, number: int, frame: "TurnedFrame", one: Trace) -> dict[str, Any]:
    ny, n = frame.data.shape
    return {
        "extension": str(ndd.ident),
        "object": number,
        "position": round(float(one.position(n)[n // 2]), 3),
        "fwhm": round(float(np.mean(one.fwhm(n))), 3),
        "snr": round(one.snr, 1),
        "rms": round(one.rms, 4),
        "bins": int(one.kept.sum()),
        "rows": ny,
        "columns": n,
        "trace": one.coefficients,
        "width": one.fwhm_coefficients,
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    """Make a table, the coefficients of which all have one number."""
    table = Table()
    for name, (unit, text) in _COLUMNS.items():
        values = [row[name] for row in rows]
        if name in ("trace", "width"):
            longest = max(map(len, values))
            values = [np.pad(v, (0, longest - len(v))).round(6) for v in values]
        table[name] = values
        table[name].unit, table[name].description = unit, text
    return table


def read_traces(
    file: DataFile, ndd: NDLater, shape: tuple[int, ...] | None = None
) -> list[tuple[int, Trace]]:
    """
    Read the number and the trace of each object of an extension.

    Raises
    ------
    ParameterError
        If the table is none of traces, has none of the extension, has numbers twice or
        positions that are no numbers, or is that of a frame that has not the shape:
        rows along the slit, and columns.
    """
    table = read_catalogue(file, "table of traces")
    if missing := {"object", "trace", "width"} - set(table.colnames):
        msg = (
            f"{file} has no column {sorted(missing)[0]!r}; a table of traces is made "
            "by trace_spectra"
        )
        raise ParameterError(msg)
    several = "extension" in table.colnames and len(set(table["extension"])) > 1
    rows = rows_of(table, ndd) if several else range(len(table))
    if not len(rows):
        msg = f"{file} has no trace in the extension {ndd.ident}"
        raise ParameterError(msg)
    found = []
    for row in rows:
        one = Trace(
            coefficients=_numbers(table["trace"][row]),
            fwhm_coefficients=_numbers(table["width"][row]),
        )
        number = int(table["object"][row])
        _check_row(f"object {number} of {file}", one, table[row], shape)
        found.append((number, one))
    numbers = [number for number, _ in found]
    if twice := {n for n in numbers if numbers.count(n) > 1}:
        msg = f"{file} has the object {min(twice)} more than once in {ndd.ident!r}"
        raise ParameterError(msg)
    return found


def _numbers(values: Any) -> Array:
    filled = np.ma.filled(np.ma.asarray(values, np.float64), np.nan)
    return np.atleast_1d(np.asarray(filled, np.float64))


def _check_row(what: str, one: Trace, row: Row, shape: tuple[int, ...] | None) -> None:
    """Refuse a trace that has no position or width, or is of a frame of other shape."""
    n = 100 if shape is None else shape[1]
    trace, width = one.position(n), one.fwhm(n)
    if not (np.isfinite(trace).all() and np.isfinite(width).all()):
        msg = f"the trace or the width of {what} is not a number"
        raise ParameterError(msg)
    if np.min(width) <= 0:
        msg = f"the FWHM of {what} is {np.min(width):.3g} pixel in a column"
        raise ParameterError(msg)
    if shape is None:
        return
    for name, size in zip(("rows", "columns"), shape, strict=True):
        if name in row.colnames and int(row[name]) != size:
            msg = (
                f"{what} was traced in a frame of {row[name]} {name}, and this one has "
                f"{size} (other binning, window or dispersion axis): trace one that is "
                "read out in the same way"
            )
            raise ParameterError(msg)


@dataclass(frozen=True, kw_only=True)
class TurnedFrame:
    """A frame with the slit along axis 0, and wavelengths that rise along axis 1."""

    data: Array
    variance: Array
    # In the slit, in no gap, and not masked.
    good: Mask
    # In our own bits.
    flags: npt.NDArray[np.uint16]
    geometry: Spectrograph
    # What errors call it.
    where: str

    @classmethod
    def of(cls, ndd: NDLater, spectrograph: Any, where: str) -> Self:
        """Turn an image with variance; a ParameterError if it has none, or is small."""
        _require_scipy()
        geometry = spectrograph_of(spectrograph, ndd)
        if ndd.variance is None:
            msg = f"{where} has no variance; use add_variance before"
            raise ParameterError(msg)
        data = geometry.turned(np.asarray(ndd.data, np.float64))
        variance = geometry.turned(np.asarray(ndd.variance, np.float64))
        ny, nx = data.shape
        if nx < _LEAST_COLUMNS:
            msg = (
                f"{where} has {nx} column{'s' * (nx != 1)} along the dispersion, and a "
                f"trace needs {_LEAST_COLUMNS}; look whether spectrograph="
                "{'dispersion_axis': ...} is right"
            )
            raise ParameterError(msg)
        lit = np.zeros(ny, np.bool_)
        lit[geometry.rows(ny)] = True
        good = geometry.turned(good_pixels(ndd)) & np.isfinite(variance)
        good = good & (variance > 0) & lit[:, None] & ~geometry.in_gap(nx)
        return cls(
            data=np.where(good, data, 0.0),
            variance=np.where(good, variance, 1.0),
            good=good,
            flags=geometry.turned(pixel_flags(ndd)),
            geometry=geometry,
            where=where,
        )

    @property
    def saturated(self) -> Mask:
        """Which pixels are saturated."""
        return np.asarray((self.flags & np.uint16(Flag.SATURATED)) != 0)


def _require_scipy() -> None:
    try:
        import scipy  # noqa: F401
    except ImportError as err:
        msg = (
            f"spectra are traced and extracted with scipy ({err}); install it with: "
            "pip install 'ndmapper[spec]'"
        )
        raise MissingPackageError(msg) from err


def find_spectra(
    frame: TurnedFrame,
    reference: Trace | None = None,
    *,
    objects: int | None = None,
    positions: Sequence[float] | None = None,
    degree: int = 3,
    threshold: float = 5.0,
) -> list[Trace]:
    """Find and trace the spectra of a frame, the brightest first, or say why not."""
    _check_light(frame)
    rows = None if positions is None else _rows(frame, positions)
    found: list[Trace] = []
    for n_bins in _BINS:
        profiles = slit_profiles(frame.data, frame.variance, frame.good, n_bins=n_bins)
        found = find_traces(
            profiles, degree=degree, threshold=threshold, n_most=objects, rows=rows,
            reference=reference,
        )  # fmt: skip
        if found and not all(np.isnan(one.snr) for one in found):
            break
    if not found:
        msg = (
            f"no spectrum of {frame.where} stands out from the slit by {threshold:g} "
            "times the noise: give positions=, the reference= trace of a brighter "
            "object, or a lower threshold"
        )
        raise StepError(msg)
    found = _apart(frame, found, rows, objects)
    for one in found:
        _check_found(frame, one, reference)
    if objects is not None and len(found) < objects:
        log.warning(
            "%s has %d spectra, and %d were asked for", frame.where, len(found), objects
        )
    return found


def _check_light(frame: TurnedFrame) -> None:
    if frame.good.mean() > 0.02:
        return
    saturated = frame.saturated.mean()
    msg = (
        f"{frame.where} has hardly a good pixel in the slit: {saturated:.0%} are "
        f"saturated, {1 - frame.good.mean():.0%} are masked, or beside slit and chips"
    )
    raise StepError(msg)


def _rows(frame: TurnedFrame, positions: Sequence[float]) -> list[float]:
    slit = frame.geometry.rows(len(frame.data))
    for row in positions:
        if not slit.start <= row <= slit.stop - 1:
            msg = (
                f"the position {row:g} is off the slit of {frame.where}, which covers "
                f"the rows {slit.start} to {slit.stop - 1} [pixel, from 0]"
            )
            raise ParameterError(msg)
    return [float(row) for row in positions]


def _apart(
    frame: TurnedFrame,
    found: Sequence[Trace],
    rows: Sequence[float] | None,
    objects: int | None,
) -> list[Trace]:
    """Leave out traces that meet a brighter one; an error if their place was given."""
    n = frame.data.shape[1]
    kept: list[Trace] = []
    for one in found:
        place = one.position(n)
        meets = [
            other
            for other in kept
            if np.any(np.abs(other.position(n) - place) < _MEETING * other.fwhm(n))
        ]
        if meets and rows is None:
            log.warning(
                "what is found at row %.1f of %s meets the trace at row %.1f, and is "
                "left out", place[n // 2], frame.where, meets[0].position(n)[n // 2],
            )  # fmt: skip
        if not meets:
            kept.append(one)
    if rows is not None and len(kept) < min(len(rows), objects or len(rows)):
        places = ", ".join(f"{one.position(n)[n // 2]:.1f}" for one in kept)
        msg = (
            f"of the {len(rows)} positions for {frame.where}, some lead to the same "
            f"spectrum, or to traces that meet: the spectra are at the rows {places} "
            "[pixel, from 0]; give one position for each"
        )
        raise ParameterError(msg)
    return kept


def _check_found(frame: TurnedFrame, one: Trace, reference: Trace | None) -> None:
    """Warn of traces that are not their own; an error if there is no light at all."""
    n = frame.data.shape[1]
    trace, width = one.position(n), one.fwhm(n)
    middle = float(trace[n // 2])
    rows = np.arange(len(frame.data))[:, None]
    core = np.abs(rows - trace) <= width / 2
    share = float((core & frame.saturated).any(axis=0).mean())
    if share > _SATURATED[1]:
        msg = (
            f"the spectrum at row {middle:.1f} of {frame.where} is saturated in "
            f"{share:.0%} of the columns, so its trace and light are not known; give "
            "the trace of another exposure to extract_spectra for what is left"
        )
        raise StepError(msg)
    if share > _SATURATED[0]:
        log.warning(
            "the spectrum at row %.1f of %s is saturated in %.0f%% of the columns",
            middle, frame.where, 100 * share,
        )  # fmt: skip
    if np.isnan(one.snr):
        msg = (
            f"nothing at row {middle:.1f} of {frame.where} stands out from the slit; "
            "it is off the position given, or too faint"
        )
        if reference is None:
            raise StepError(msg)
        log.warning("%s; its trace is that of the reference", msg)
    elif not one.kept.size and reference is None:
        log.warning(
            "the spectrum at row %.1f of %s is too faint for a trace of its own; it "
            "has the form of the brightest, or none: give reference=, the trace of a "
            "brighter object", middle, frame.where,
        )  # fmt: skip


def _draw(ndd: NDLater, frame: TurnedFrame, found: Sequence[Trace]) -> None:
    """Draw the frame with the traces, and the positions about them."""
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(8.9, 5)
    upper, lower = figure.subplots(2, 1, height_ratios=(2, 1))
    data = np.where(frame.good, frame.data, np.nan)
    draw_panel(upper, image_panel(data, f"spectra of {ndd.ident}", {}))
    n = data.shape[1]
    for number, one in enumerate(found, start=1):
        (line,) = upper.plot(
            one.position(n), linestyle=(0, (6, 6)), linewidth=1.2,
            color=_COLOURS[(number - 1) % len(_COLOURS)], label=f"{number}",
        )  # fmt: skip
        places = np.interp(one.columns, np.arange(n), one.position(n))
        residual = one.positions - places
        words = {"color": line.get_color(), "markersize": 4}
        lower.plot(one.columns[one.kept], residual[one.kept], "o", **words)
        lower.plot(one.columns[~one.kept], residual[~one.kept], "x", **words)
    upper.legend(fontsize=6)
    lower.axhline(0, color="0.5", linewidth=0.5)
    lower.set_xlim(upper.get_xlim())
    lower.set_xlabel("column, wavelengths rise", fontsize=7)
    lower.set_ylabel("position - trace [pixel]", fontsize=7)
    lower.tick_params(labelsize=7)
    figure.tight_layout(pad=0.5)
    qc(figure=figure)
