"""Correcting the crosstalk between amplifiers that are read at the same time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.ccd.applied import applied_card, require_counts
from ndmapper.lib.ccd.readout import (
    Readout,
    image_of,
    keep_digitisation_step,
    readouts,
    saturated_pixels,
    stamp,
)
from ndmapper.lib.flagging import flags_with
from ndmapper.numerics.formulas import narrowed
from ndmapper.steps import InstrumentTable, OfInstrument, qc, run_task

__all__ = ["correct_crosstalk"]

Corner = Literal["lower left", "lower right", "upper left", "upper right"]
"""Where the pixel of an amplifier lies that is read first, x to the right, y up."""

_LARGEST = 0.1


@run_task(each="file", prefix="c")
def correct_crosstalk(
    df: DataFile,
    *,
    coefficients: Annotated[
        Mapping[str, Mapping[str, float]] | None, OfInstrument()
    ] = None,
    corners: Annotated[Mapping[str, Corner] | None, OfInstrument()] = None,
    again: bool = False,
    instrument: InstrumentTable = None,
) -> list[NDLater]:
    """
    Subtract what the amplifiers of a frame see of each other.

    Parameters
    ----------
    df : DataFile
        Frame without overscan level and bias [adu], before non-linearity, dark and
        flat, with all extensions that are read at the same time.
    coefficients : mapping of str to mapping of str to float, optional
        For each amplifier that is disturbed, by which others it is, and what part of
        their counts it gets: ``{'A': {'B': 1e-4}}`` subtracts 1e-4 of the counts of B
        from A. By default what the TOML of the instrument says under
        ``[steps.correct_crosstalk]``. Amplifiers go by their names; where several have
        the same, by the number of their extension (``'2'``), or both (``'2/A'``).
    corners : mapping of str to str, optional
        Corner in the array, of each of these amplifiers, at which the readout begins:
        ``'lower left'``, ``'lower right'``, ``'upper left'`` or ``'upper right'``. What
        as many pixels were read after the first disturbs each other. By default what
        the TOML says.
    again : bool
        Correct also a frame that was corrected before.
    instrument : str or path, optional
        Name of the instrument or path of its TOML; by default that of the
        configuration, else the header tells.

    Returns
    -------
    list of NDLater
        The frame. Crosstalk of crosstalk is taken into account, and the variance has
        that of the counts that were subtracted. Where a saturated pixel, whose counts
        are not known, disturbs another by more than the error of that (or at all,
        without variance), the other is flagged BAD, as is where such counts are NaN.

    Raises
    ------
    ParameterError
        If coefficients or corners are missing or of amplifiers that are not there; if
        no bias was subtracted, or non-linearity, dark or flat corrected already; or if
        the frame was corrected before.
    ShapeError
        If amplifiers that disturb each other have different shapes.
    UnitError
        If the frame is not in adu.
    """
    images = [image_of(ndd) for ndd in df]
    cards = [applied_card(ndd, "crosstalk table", again=again) for ndd in images]
    for ndd in images:
        require_counts(
            ndd,
            "correct_crosstalk",
            "crosstalk is a part of the counts above the bias",
            before=("linearity curve", "dark", "pixel flat", "illumination"),
        )
    known = [readouts(ndd, instrument=instrument) for ndd in images]
    parts = _parts(images, known)
    table = _checked(coefficients, corners, parts)
    assert corners is not None
    names = list(dict.fromkeys([*table, *(s for row in table.values() for s in row)]))
    involved = [parts[name].turned(corners[name]) for name in names]
    _check_shapes(names, involved)
    matrix = np.eye(len(names))
    for victim, row in table.items():
        for source, value in row.items():
            matrix[names.index(victim), names.index(source)] = value
    inverse = np.linalg.inv(matrix)
    results = [_Result(ndd) for ndd in images]
    for weights, direct, part in zip(inverse, matrix, involved, strict=True):
        results[part.index].correct(part, weights, direct != 0, involved)
    ghosts = {
        f"ghosts{'' if r.ndd.ident is None else f'[{r.ndd.ident}]'}": int(r.bad.sum())
        for r in results
    }
    qc(**ghosts)
    return [
        result.made(amplifiers, card)
        for result, amplifiers, card in zip(results, known, cards, strict=True)
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    """The pixels of an amplifier, in the order in which they are read."""

    index: int  # of the extension
    readout: Readout
    view: tuple[slice, ...]
    counts: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64] | None
    doubtful: npt.NDArray[np.bool_]

    def turned(self, corner: Corner) -> "_Part":
        """Turn the part so that its first pixel is the one that is read first."""
        view = (
            slice(None, None, -1 if corner.startswith("upper") else 1),
            slice(None, None, -1 if corner.endswith("right") else 1),
        )
        variance = None if self.variance is None else self.variance[view]
        return _Part(
            self.index, self.readout, view, self.counts[view], variance,
            self.doubtful[view],
        )  # fmt: skip


def _parts(
    images: Sequence[NDLater], known: Sequence[Sequence[Readout]]
) -> dict[str, _Part]:
    """Name all amplifiers of a frame."""
    count = Counter(r.name for amplifiers in known for r in amplifiers)
    parts = {}
    for index, (ndd, amplifiers) in enumerate(zip(images, known, strict=True)):
        flagged = ndd.flagged("SATURATED")
        full = saturated_pixels(np.asarray(ndd.data), amplifiers)
        variance = None if ndd.variance is None else np.asarray(ndd.variance, "f8")
        for readout in amplifiers:
            counts = np.asarray(ndd.data, np.float64)[readout.data]
            doubtful = ~np.isfinite(counts) | full[readout.data]
            if flagged is not None:
                doubtful |= flagged[readout.data]
            name = readout.name
            if count[name] > 1:
                ident = str(index + 1 if ndd.ident is None else ndd.ident)
                name = ident if len(amplifiers) == 1 else f"{ident}/{name}"
            whole = (slice(None), slice(None))
            noise = None if variance is None else variance[readout.data]
            parts[name] = _Part(index, readout, whole, counts, noise, doubtful)
    return parts


def _checked(
    coefficients: Mapping[str, Mapping[str, float]] | None,
    corners: Mapping[str, Corner] | None,
    parts: Mapping[str, _Part],
) -> Mapping[str, Mapping[str, float]]:
    """Check that all amplifiers are there, and their numbers can be right."""
    for what, given in (("coefficients", coefficients), ("corners", corners)):
        if given is None:
            msg = (
                f"correct_crosstalk needs {what}=, from the call or from the TOML of "
                "the instrument under [steps.correct_crosstalk]"
            )
            raise ParameterError(msg)
    assert coefficients is not None
    assert corners is not None
    for victim, row in coefficients.items():
        for name in (victim, *row):
            if name not in parts:
                msg = (
                    f"the frame has the amplifiers {', '.join(parts)}, but not {name}, "
                    "of which coefficients= tells"
                )
                raise ParameterError(msg)
            if name not in corners:
                msg = f"corners= does not say where amplifier {name} is read first"
                raise ParameterError(msg)
        for source, value in row.items():
            if source == victim or not abs(value) <= _LARGEST:
                msg = (
                    f"the crosstalk {value} from {source} to {victim} cannot be right: "
                    f"expected a part of the counts of another amplifier, at most "
                    f"{_LARGEST:g}"
                )
                raise ParameterError(msg)
    return coefficients


def _check_shapes(names: Sequence[str], parts: Sequence[_Part]) -> None:
    for name, part in zip(names, parts, strict=True):
        if part.counts.shape != parts[0].counts.shape:
            msg = (
                f"amplifiers {names[0]} and {name} have the shapes "
                f"{parts[0].counts.shape} and {part.counts.shape}, so that their "
                "pixels are not read at the same time; correct whole frames"
            )
            raise ShapeError(msg)


class _Result:
    """An extension whose amplifiers are corrected one by one."""

    def __init__(self, ndd: NDLater) -> None:
        self.ndd = ndd
        self.data = np.array(ndd.data, np.float64)
        variance = ndd.variance
        self.variance = None if variance is None else np.array(variance, np.float64)
        self.bad = np.zeros(ndd.shape, np.bool_)

    def correct(
        self,
        victim: _Part,
        weights: npt.NDArray[np.float64],
        is_direct: npt.NDArray[np.bool_],
        parts: Sequence[_Part],
    ) -> None:
        """Subtract from one amplifier what it has of the others."""
        section = victim.readout.data
        total = np.zeros(victim.counts.shape)
        noise = np.zeros(victim.counts.shape)
        ghost = np.zeros(victim.counts.shape, np.bool_)
        limit = 0.0 if victim.variance is None else np.sqrt(victim.variance)
        for weight, direct, source in zip(weights, is_direct, parts, strict=True):
            if weight == 0:
                continue
            if source is victim:
                total += weight * source.counts
            else:
                share = weight * np.where(
                    np.isfinite(source.counts), source.counts, 0.0
                )
                total += share
                unknown = ~np.isfinite(source.counts)
                if direct:
                    ghost |= unknown | (source.doubtful & (np.abs(share) > limit))
            if source.variance is not None:
                noise += weight**2 * np.nan_to_num(source.variance)
        self.data[section] = total[victim.view]
        if self.variance is not None:
            # Of a pixel without a number it stays what it was.
            known = np.isfinite(self.variance[section])
            self.variance[section] = np.where(
                known, noise[victim.view], self.variance[section]
            )
        self.bad[section] = ghost[victim.view]

    def made(self, amplifiers: Sequence[Readout], card: tuple[str, Any]) -> NDLater:
        """Make the extension."""
        ndd = self.ndd
        variance = None
        if self.variance is not None:
            variance = narrowed(self.variance, np.dtype("f4"))
        result = ndd.replace(
            data=self.data.astype(np.result_type(ndd.dtype, np.float32), copy=False),
            variance=variance,
            flags=flags_with(ndd, (self.bad, Flag.BAD)),
            unit=ndd.unit or u.adu,
        )
        keep_digitisation_step(ndd, result)
        stamp(result.meta, amplifiers)
        result.meta[card[0]] = card[1]
        return result
