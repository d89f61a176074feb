"""Flagging saturated pixels, the trails that bleed out of them, and edges."""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ndmapper.data import Flag, NDLater
from ndmapper.errors import MissingPackageError, ParameterError
from ndmapper.lib.ccd.readout import (
    image_of,
    pixel_map,
    readouts,
    saturated_pixels,
    with_values,
)
from ndmapper.lib.figures import image_panel, report_panels
from ndmapper.lib.flagging import flags_with
from ndmapper.numerics.saturation import find_bleeding
from ndmapper.steps import InstrumentTable, OfInstrument, Range, qc, run_task

__all__ = ["flag_edges", "flag_saturated"]

Mask = npt.NDArray[np.bool_]


@run_task(prefix="w")
def flag_saturated(
    ndd: NDLater,
    *,
    saturation: Annotated[float | None, Range(ge=0.1)] = None,
    bleeds_along: Annotated[Literal["x", "y", "none"] | None, OfInstrument()] = None,
    start: Annotated[float, Range(gt=0.7, le=1)] = 0.9,
    grow: Annotated[int, Range(ge=0, le=100)] = 1,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Flag saturated pixels, and the trails of charge that bleed out of them.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame, best without overscan and trimmed; before the flat.
    saturation : float, optional
        Level from which pixels are saturated [unit of the frame], instead of what
        header or instrument say. It is the lower one of what the converter and what
        the pixels can hold.
    bleeds_along : {'x', 'y', 'none'}, optional
        Axis of the image along which charge is moved at readout, and bleeds; by
        default what the TOML of the instrument says under ``[steps.flag_saturated]``,
        else ``'y'``. Use ``'none'`` for detectors whose pixels do not bleed, and for
        spectra whose wavelength runs along that axis, which look like trails.
    start : float
        Trails may begin at pixels from this part of the saturation level on, since
        full pixels are often somewhat below it.
    grow : int
        Flag so many pixels around these, too.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame, in which these are flagged SATURATED, beside those that were before.
        NSATUR and NBLED in its header are the numbers of saturated pixels, and of
        further ones in trails.

    Raises
    ------
    ParameterError
        If no saturation level is known.
    """
    ndd = image_of(ndd)
    amplifiers = with_values(
        readouts(ndd, instrument=instrument), saturation=saturation
    )
    level = pixel_map(amplifiers, ndd.shape, lambda r: r.saturation, "saturation")
    values = np.asarray(ndd.data)
    flagged = ndd.flagged("SATURATED")
    full = saturated_pixels(values, amplifiers)
    if flagged is not None:
        full |= flagged
    bled = np.zeros(ndd.shape, np.bool_)
    if bleeds_along != "none":
        axis = 1 if bleeds_along == "x" else 0
        bled = _bleeding(ndd, level, full, axis=axis, start=start) & ~full
    result = ndd.replace(
        flags=flags_with(ndd, (_grown(full | bled, grow), Flag.SATURATED))
    )
    result.meta["NSATUR"] = (int(full.sum()), "saturated pixels")
    result.meta["NBLED"] = (int(bled.sum()), "pixels into which charge bled")
    where = "" if ndd.ident is None else f"[{ndd.ident}]"
    qc(**{f"saturated{where}": int(full.sum()), f"bled{where}": int(bled.sum())})
    if full.any() or bled.any():
        marks = {"saturated": full, "bled": bled}
        report_panels([image_panel(values, "saturated pixels and trails", marks)])
    return result


def _bleeding(
    ndd: NDLater,
    level: npt.NDArray[np.floating],
    full: Mask,
    *,
    axis: int,
    start: float,
) -> Mask:
    try:
        return find_bleeding(
            ndd.data, level, full, variance=ndd.variance, axis=axis, start=start
        )
    except ImportError as err:
        msg = (
            f"trails of saturated pixels are found with scipy ({err}); install it "
            "with: pip install 'ndmapper[ccd]', or give bleeds_along='none'"
        )
        raise MissingPackageError(msg) from err


def _grown(where: Mask, by: int) -> Mask:
    """Add the pixels that are at most so many rows and columns away."""
    for axis in (0, 1):
        before, where = where, where.copy()
        for step in range(1, min(by, before.shape[axis] - 1) + 1):
            moved, still = (
                tuple(part if a == axis else slice(None) for a in (0, 1))
                for part in (slice(step, None), slice(None, -step))
            )
            where[moved] |= before[still]
            where[still] |= before[moved]
    return where


@run_task(prefix="e")
def flag_edges(
    ndd: NDLater,
    *,
    left: Annotated[int | None, Range(ge=0), OfInstrument()] = None,
    right: Annotated[int | None, Range(ge=0), OfInstrument()] = None,
    bottom: Annotated[int | None, Range(ge=0), OfInstrument()] = None,
    top: Annotated[int | None, Range(ge=0), OfInstrument()] = None,
    of: Annotated[Literal["image", "amplifiers"] | None, OfInstrument()] = None,
    instrument: InstrumentTable = None,
) -> NDLater:
    """
    Flag the first or last columns and rows, which many detectors have bad.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame.
    left, right : int, optional
        How many columns, at low and at high x; by default what the TOML of the
        instrument says under ``[steps.flag_edges]``, else none.
    bottom, top : int, optional
        How many rows, at low and at high y; likewise.
    of : {'image', 'amplifiers'}, optional
        Whether they are those of the image, or of the part of each amplifier; by
        default what the TOML says, else of the image.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    NDLater
        The frame, in which these are flagged BAD.

    Raises
    ------
    ParameterError
        If neither the call nor the TOML says how many, or nothing would be left.
    """
    ndd = image_of(ndd)
    if left is right is bottom is top is None:
        msg = (
            "nothing says how many columns and rows are bad at the edges: give left=, "
            "right=, bottom= or top=, or write them into the TOML of the instrument "
            "under [steps.flag_edges]"
        )
        raise ParameterError(msg)
    whole = tuple(slice(0, n) for n in ndd.shape)
    parts = [whole]
    if of == "amplifiers":
        parts = [readout.data for readout in readouts(ndd, instrument=instrument)]
    edge = np.zeros(ndd.shape, np.bool_)
    for rows, columns in parts:
        inner = (
            slice(rows.start + (bottom or 0), rows.stop - (top or 0)),
            slice(columns.start + (left or 0), columns.stop - (right or 0)),
        )
        if any(part.start >= part.stop for part in inner):
            size = f"{columns.stop - columns.start} x {rows.stop - rows.start}"
            msg = f"the edges leave nothing of a part of {size} pixels"
            raise ParameterError(msg)
        edge[rows, columns] = True
        edge[inner] = False
    return ndd.replace(flags=flags_with(ndd, (edge, Flag.BAD)))
