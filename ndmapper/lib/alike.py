"""Whether frames belong together, by their shapes and by what their headers say."""

from collections.abc import Collection, Sequence

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.instruments import load, recognise
from ndmapper.instruments.conditions import Value

__all__ = ["SETUP", "called", "check_alike", "check_shape"]

SETUP = (
    "binning", "exptime", "filter", "filters", "gain_setting", "read_mode",
    "read_speed",
)  # fmt: skip
"""Descriptors of instruments that the frames of a stack have in common."""

_SECONDS = 0.02
_SHARE = 0.005
"""Exposure times that differ by less are equal: shutters are no better."""


def called(ndd: NDLater) -> str:
    """Give what messages call an image: the file that it is from, and its extension."""
    place = ndd.content.stored.place
    if place is None:
        return repr(ndd)
    return f"{place.path}[{place.hdu if ndd.ident is None else ndd.ident}]"


def check_alike(
    files: Sequence[DataFile], *, mixed: Collection[str] = (), is_scaled: bool = False
) -> None:
    """
    Refuse files whose instrument tables tell different binning, exposure, filter, gain.

    What a header does not say is not compared, nor what is in `mixed`, nor exposure
    times of frames that are scaled.
    """
    unknown = sorted(set(mixed) - set(SETUP))
    if unknown:
        msg = f"mixed = {unknown} is none of {SETUP}, by which frames may differ"
        raise ParameterError(msg)
    compared = [name for name in SETUP if name not in mixed]
    if is_scaled and "exptime" in compared:
        compared.remove("exptime")
    known: dict[str, tuple[str, Value]] = {}
    for number, df in enumerate(files, start=1):
        values = _values(df)
        name = str(df.filename or f"file {number}")
        for what in compared:
            value = values.get(what)
            if value is None:
                continue
            first, expected = known.setdefault(what, (name, value))
            if not _is_equal(expected, value):
                scaled = (
                    "give scale= (such as scale='EXPTIME'), "
                    if what == "exptime"
                    else ""
                )
                msg = (
                    f"{name} has {what} = {value}, but {first} has {expected}: "
                    f"frames that were not taken alike are not combined; leave it out, "
                    f"{scaled}or allow it by mixed={what!r}"
                )
                raise ParameterError(msg)


def check_shape(ndd: NDLater, calibration: NDLater, what: str) -> None:
    """Refuse a calibration of another shape, which arithmetic may stretch to fit."""
    if calibration.shape != ndd.shape:
        msg = f"the {what} has shape {calibration.shape}, the image {ndd.shape}"
        raise ShapeError(msg)


def _values(df: DataFile) -> dict[str, Value]:
    primary = df.header_values
    extension = df[0].header_values if len(df) else None
    # For a camera without a table the usual keywords may be enough.
    instrument = recognise(primary) or load("ccd")
    return instrument.describe(primary, extension)


def _is_equal(one: Value, other: Value) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= _SECONDS + _SHARE * max(abs(one), abs(other))
    return one == other
