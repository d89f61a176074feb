"""Lines of an arc that the user identifies: asked for on a plot, kept, and replayed."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import MissingPackageError, ParameterError
from ndmapper.numerics.arc_lines import Lines
from ndmapper.numerics.dispersion import Kind
from ndmapper.numerics.identification import (
    DoubtfulSolutionError,
    Identification,
    LineList,
    solve_identified,
)
from ndmapper.plot.line_picker import PickedSolution, pick_lines
from ndmapper.steps import decide

__all__ = ["decide_lines"]

Array = npt.NDArray[np.float64]

_ORDER = 3
_NEAR = 0.7
"""Lines of arc and list that are nearer by the solution are the same [pixel]."""


def decide_lines(
    lines: Lines,
    listed: LineList,
    spectrum: Array,
    found: Identification | None,
    *,
    kind: Kind,
    order: int | None,
) -> Identification | None:
    """
    Give the solution by lines that the user has identified, now or earlier.

    What is kept is ``{"lines": [[pixel, wavelength], ...], "order": n}``; None means
    that the lines are identified by the program.

    Raises
    ------
    ParameterError
        If the lines that were identified do not make a solution.
    """
    length = len(spectrum)

    def solve(assigned: Mapping[int, float], degree: int) -> PickedSolution | None:
        return _picked(lines, listed, assigned, kind=kind, order=degree, length=length)

    def ask(old: Any) -> dict[str, Any]:
        start = _wavelengths_of(lines, old) if old else _found(lines, found)
        degree = order or (
            old["order"] if old else found.fit.order if found else _ORDER
        )
        try:
            assigned, degree = pick_lines(
                spectrum, lines.pixel, lines.peak,
                assigned={
                    i: float(start[i])
                    for i in np.flatnonzero(np.isfinite(start)).tolist()
                },
                order=int(degree), solve=solve,
            )  # fmt: skip
        except ImportError as err:
            msg = "lines are identified on a plot of matplotlib: pip install matplotlib"
            raise MissingPackageError(msg) from err
        except RuntimeError as err:
            raise ParameterError(str(err)) from err
        pairs = [
            [round(float(lines.pixel[i]), 3), w] for i, w in sorted(assigned.items())
        ]
        return {"lines": pairs, "order": degree}

    answer = decide("lines", ask, None)
    if answer is None:
        return None
    try:
        return solve_identified(
            lines, _wavelengths_of(lines, answer), listed, length,
            kind=kind, order=int(answer["order"]),
        )  # fmt: skip
    except (DoubtfulSolutionError, KeyError, TypeError, ValueError) as err:
        msg = f"the lines that were identified by hand make no solution: {err}"
        raise ParameterError(msg) from err


def _found(lines: Lines, found: Identification | None) -> Array:
    """Give the wavelengths of a solution that is more than chance, to start from."""
    says = {} if found is None else found.evidence
    if found is None or says.get("evidence", 0.0) <= says.get("tried", 0.0):
        return np.full(len(lines), np.nan)
    return found.wavelengths


def _wavelengths_of(lines: Lines, answer: Mapping[str, Any]) -> Array:
    """Give each line the wavelength that was kept for its place."""
    wavelengths = np.full(len(lines), np.nan)
    for pixel, wavelength in answer["lines"]:
        nearest = int(np.argmin(np.abs(lines.pixel - float(pixel))))
        if abs(lines.pixel[nearest] - float(pixel)) < lines.width:
            wavelengths[nearest] = float(wavelength)
    return wavelengths


def _picked(
    lines: Lines,
    listed: LineList,
    assigned: Mapping[int, float],
    *,
    kind: Kind,
    order: int,
    length: int,
) -> PickedSolution | None:
    """Solve for the lines that are identified so far; None while they are too few."""
    wavelengths = np.full(len(lines), np.nan)
    for i, wavelength in assigned.items():
        wavelengths[i] = wavelength
    # Few lines have a solution of a lower order.
    degree = min(order, len(assigned) - 3)
    if degree < 1:
        return None
    try:
        found = solve_identified(
            lines, wavelengths, listed, length, kind=kind, order=degree
        )
    except DoubtfulSolutionError:
        return None
    predicted = found.fit(lines.pixel)
    place = np.searchsorted(listed.wavelengths, predicted)
    place = place.clip(1, len(listed.wavelengths) - 1)
    below, above = listed.wavelengths[place - 1], listed.wavelengths[place]
    nearest = np.where(predicted - below < above - predicted, below, above)
    is_near = np.abs(nearest - predicted) < _NEAR * found.dispersion
    return PickedSolution(
        predicted=predicted,
        nearest=np.where(is_near, nearest, np.nan),
        residuals=found.residuals,
        text=f"{found.used.sum()} lines, rms {found.rms:.3f}, leave-one-out "
        f"{found.loo:.3f} pixel",
    )
