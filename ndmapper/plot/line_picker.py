"""Identifying the lines of an arc on a plot, with mouse and keys."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["LinePicker", "PickedSolution", "pick_lines", "wait_for_user"]

Array = npt.NDArray[np.float64]

HELP = (
    "click: choose a line | digits, then Enter: its wavelength (Enter alone: that of "
    "the solution) | d: not this line | l: all lines of the list | + -: order | q: done"
)


@dataclass(frozen=True, kw_only=True)
class PickedSolution:
    """What the identified lines give: nothing while they are too few."""

    # Wavelength of each line by the solution; of the list, NaN where none is near.
    predicted: Array
    nearest: Array
    # Of the lines that are identified [pixel].
    residuals: Array
    text: str


Solve = Callable[[Mapping[int, float], int], PickedSolution | None]


class LinePicker:
    """
    A plot on which the lines of an arc are identified.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    spectrum : ndarray, shape (n,)
        The arc.
    pixel, height : ndarray, shape (m,)
        Centres and peaks of its lines.
    assigned : mapping of int to float
        Lines that are identified already, and their wavelengths.
    order : int
        Order of the solution.
    solve : callable
        Takes wavelengths of lines and the order, and gives the solution, or None.
    """

    def __init__(
        self,
        figure: Any,
        spectrum: Array,
        pixel: Array,
        height: Array,
        *,
        assigned: Mapping[int, float],
        order: int,
        solve: Solve,
    ) -> None:
        self.figure = figure
        self.assigned = dict(assigned)
        self.order = order
        self.chosen: int | None = None
        self.typed = ""
        self._spectrum, self._pixel, self._height = spectrum, pixel, height
        self._solve = solve
        self._top, self._bottom = figure.subplots(2, 1, sharex=True)
        self._limits: tuple[float, float] | None = None
        self._text = ""
        self._solved: tuple[Any, PickedSolution | None] | None = None
        figure.canvas.mpl_connect("button_press_event", self._on_click)
        figure.canvas.mpl_connect("key_press_event", self._on_key)
        self.draw()

    def draw(self) -> None:
        """Draw the arc, its lines and the residuals."""
        solution = self._solution()
        top, bottom = self._top, self._bottom
        limits = top.get_xlim() if self._limits else (0.0, float(len(self._spectrum)))
        self._limits = limits
        top.clear()
        bottom.clear()
        level = float(np.median(self._spectrum))
        top.plot(np.sqrt(np.maximum(self._spectrum - level, 0)), "0.3", linewidth=0.7)
        height = np.sqrt(np.maximum(self._height, 0))
        known = np.isin(np.arange(len(self._pixel)), list(self.assigned))
        top.plot(self._pixel[~known], height[~known], "rx", markersize=4)
        for i, wavelength in self.assigned.items():
            top.text(
                self._pixel[i], height[i], f" {wavelength:.2f}", rotation=90,
                fontsize=7, color="green", ha="center", va="bottom",
            )  # fmt: skip
        if self.chosen is not None:
            top.axvline(self._pixel[self.chosen], color="C1")
        text = "more lines are needed for a solution"
        if solution is not None:
            text = solution.text
            bottom.plot(self._pixel[known], solution.residuals[known], "k.")
            bottom.axhline(0, color="0.7")
        self._text = f"{HELP}\norder {self.order}: {text}"
        self._show_typed()
        top.set_ylim(0, 1.35 * float(np.max(height)))
        top.set_xlim(limits)
        bottom.set_xlabel("pixel")
        bottom.set_ylabel("residual [pixel]")
        self.figure.canvas.draw_idle()

    def _show_typed(self) -> None:
        shown = f" | {self.typed}" if self.typed else ""
        self._top.set_title(self._text + shown, fontsize=8)

    def _solution(self) -> PickedSolution | None:
        """Solve for the lines as they are now, once."""
        state = (tuple(sorted(self.assigned.items())), self.order)
        if self._solved is None or self._solved[0] != state:
            self._solved = (state, self._solve(self.assigned, self.order))
        return self._solved[1]

    def _on_click(self, event: Any) -> None:
        """Choose the line that is nearest to the mouse."""
        if event.inaxes is None or event.xdata is None:
            return
        self.chosen = int(np.argmin(np.abs(self._pixel - event.xdata)))
        self.typed = ""
        self.draw()

    def _on_key(self, event: Any) -> None:
        key = event.key or ""
        if key == "backspace" or (key and key in "0123456789."):
            typed = self.typed
            self.typed = typed[:-1] if key == "backspace" else typed + key
            self._show_typed()
            return
        if key in ("enter", "return"):
            self._assign()
        elif key == "d" and self.chosen is not None:
            self.assigned.pop(self.chosen, None)
        elif key == "l":
            self._assign_all()
        elif key in ("+", "-"):
            self.order = max(1, self.order + (1 if key == "+" else -1))
        elif key == "q":
            self._close()
            return
        else:
            return
        self.draw()

    def _assign(self) -> None:
        """Give the chosen line the wavelength that was typed, or that of the list."""
        if self.chosen is None:
            return
        typed, self.typed = self.typed, ""
        try:
            wavelength = float(typed) if typed else np.nan
        except ValueError:
            return
        solution = self._solution()
        if not typed and solution is not None:
            wavelength = float(solution.nearest[self.chosen])
        if np.isfinite(wavelength) and wavelength > 0:
            self.assigned[self.chosen] = wavelength

    def _assign_all(self) -> None:
        """Give all lines the wavelengths of the list, where the solution has them."""
        solution = self._solution()
        if solution is None:
            return
        for i in np.flatnonzero(np.isfinite(solution.nearest)).tolist():
            wavelength = float(solution.nearest[i])
            if i not in self.assigned and wavelength not in self.assigned.values():
                self.assigned[i] = wavelength

    def _close(self) -> None:
        import matplotlib.pyplot as plt

        plt.close(self.figure)


def pick_lines(
    spectrum: Array,
    pixel: Array,
    height: Array,
    *,
    assigned: Mapping[int, float],
    order: int,
    solve: Solve,
) -> tuple[dict[int, float], int]:
    """
    Let the user identify lines; give the wavelength of each, and the order.

    Raises
    ------
    RuntimeError
        If there is no display.
    """
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12, 7))
    try:
        manager = figure.canvas.manager
        if manager is not None and manager.key_press_handler_id is not None:
            # Of matplotlib's own keys, l and q would do something else.
            figure.canvas.mpl_disconnect(manager.key_press_handler_id)
        picker = LinePicker(
            figure, spectrum, pixel, height, assigned=assigned, order=order, solve=solve
        )
        wait_for_user(figure)
    finally:
        plt.close(figure)
    return picker.assigned, picker.order


def wait_for_user(figure: Any) -> None:
    """Show a figure until the user closes it."""
    import matplotlib.pyplot as plt
    from matplotlib import get_backend

    if figure.canvas.required_interactive_framework is None:
        msg = (
            f"there is no display to identify lines on (matplotlib's backend is "
            f"{get_backend()}); run it where windows can be opened"
        )
        raise RuntimeError(msg)
    plt.show(block=True)
