"""Figures of several images or spectra: grey with zscale, flags in colour on top."""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.errors import MissingPackageError, ShapeError
from ndmapper.plot.images import zscale

__all__ = ["Panel", "draw_figure", "draw_panel", "picture"]

Array = npt.NDArray[Any]

_COLOURS = ("#ff2a1a", "#ffb000", "#00c8ff", "#8a5cff", "#33d17a", "#ff6ad5", "#c9a26b")
_ERROR = "#d0661a"
_SIZE = 3.2  # of one panel [inch]
_WIDE = 8.0  # of that of a spectrum, or of a wide image
_LONG = 2.5  # so many times its height a wide image is wide
# Room for ticks, labels and titles [inch]
_LEFT, _RIGHT, _ABOVE, _BELOW, _TITLE = 0.75, 0.15, 0.25, 0.4, 0.3


@dataclass(frozen=True, kw_only=True, eq=False)
class Panel:
    """
    What is drawn in one place.

    Parameters
    ----------
    values : ndarray, shape (n,) or (ny, nx)
        A spectrum or an image.
    title : str
        What it is.
    unit : str
        Unit of the values.
    error : ndarray, shape (n,), optional
        Standard deviation of a spectrum.
    marks : mapping of str to ndarray of bool
        Pixels to mark, each in a colour of its own, by the text of the legend.
    step : int
        Every so many pixels of the whole were taken.
    x : ndarray, shape (n,), optional
        Coordinates of the pixels of a spectrum, such as wavelengths; else their
        numbers are drawn.
    x_label : str
        What they are.
    labels : mapping of int to str
        What is written at pixels of a spectrum, upright.
    """

    values: Array
    title: str = ""
    unit: str = ""
    error: Array | None = None
    marks: Mapping[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    step: int = 1
    x: Array | None = None
    x_label: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)


def draw_panel(axis: Any, panel: Panel) -> None:
    """
    Draw one panel.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
        Where it goes.
    panel : Panel
        What is drawn. Levels are those of zscale, of the pixels without a mark.

    Raises
    ------
    ShapeError
        If it is neither a spectrum nor an image.
    """
    if panel.title:
        # A name or unit may hold a dollar sign, which would start a formula.
        axis.set_title(panel.title, fontsize=9, loc="left", parse_math=False)
    axis.tick_params(labelsize=7)
    if panel.values.size == 0 or panel.values.ndim == 0:
        axis.text(0.5, 0.5, "no pixels", ha="center", transform=axis.transAxes)
        return
    if panel.values.ndim > 2:
        msg = f"spectra and images are drawn, not arrays of {panel.values.ndim} axes"
        raise ShapeError(msg)
    bad = np.zeros(panel.values.shape, bool)
    for where in panel.marks.values():
        bad |= where
    if panel.values.ndim == 1:
        _draw_line(axis, panel, bad)
    else:
        low, high = zscale(np.where(bad, np.nan, panel.values.astype(np.float64)))
        _draw_image(axis, panel, low, high)
    for number, (name, where) in enumerate(panel.marks.items()):
        if where.any():
            axis.plot([], [], "s", color=_colour(number), markersize=4, label=name)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=6, loc="upper right", framealpha=0.7)


def _draw_image(axis: Any, panel: Panel, low: float, high: float) -> None:
    ny, nx = panel.values.shape
    # Edges in pixels of the whole, also where only some of them were taken.
    half = 0.5
    extent = (-half, nx * panel.step - half, -half, ny * panel.step - half)
    options = {"origin": "lower", "interpolation": "nearest", "extent": extent}
    axis.imshow(panel.values, cmap="gray", vmin=low, vmax=high, **options)
    for number, where in enumerate(panel.marks.values()):
        if where.any():
            layer = np.zeros((ny, nx, 4))
            layer[where] = (*_rgb(_colour(number)), 0.85)
            axis.imshow(layer, **options)
    # Long or wide images would be a thread.
    axis.set_aspect("equal" if 0.25 < ny / nx < 4 else "auto")


def _draw_line(axis: Any, panel: Panel, bad: npt.NDArray[np.bool_]) -> None:
    x = np.arange(panel.values.size) * panel.step if panel.x is None else panel.x
    axis.plot(x, panel.values, "k-", linewidth=0.7, drawstyle="steps-mid")
    if panel.error is not None:
        axis.fill_between(
            x, panel.values - panel.error, panel.values + panel.error,
            color="#a9c7ea", step="mid", linewidth=0,
        )  # fmt: skip
    for number, where in enumerate(panel.marks.values()):
        axis.plot(x[where], panel.values[where], ".", color=_colour(number))
    good = panel.values[~bad & np.isfinite(panel.values)]
    if good.size and np.max(good) > np.min(good):
        # What is flagged does not set the scale.
        low, high = float(np.min(good)), float(np.max(good))
        margin = 0.05 * (high - low)
        axis.set_ylim(low - margin, high + margin)
    for place, text in panel.labels.items():
        axis.annotate(
            text, (x[place], panel.values[place]), xytext=(0, 4),
            textcoords="offset points", rotation=90, fontsize=6, ha="center",
            va="bottom", parse_math=False,
        )  # fmt: skip
    if panel.labels:
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.35 * (high - low))
    if panel.error is not None and (panel.error > axis.get_ylim()[0]).any():
        axis.plot(x, panel.error, color=_ERROR, linewidth=0.6, label="error")
    if x.size > 1:
        axis.set_xlim(np.min(x), np.max(x))
    axis.set_ylabel(panel.unit, fontsize=7, parse_math=False)
    axis.set_xlabel(panel.x_label, fontsize=7, parse_math=False)
    axis.yaxis.get_offset_text().set_fontsize(7)
    if panel.title:  # beside the power of ten, not over it
        axis.set_title(panel.title, fontsize=9, loc="center", parse_math=False)
        axis.set_title("", loc="left")


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def draw_figure(panels: Sequence[Panel], figure: Any, title: str = "") -> Any:
    """
    Draw panels in rows and columns.

    Parameters
    ----------
    panels : sequence of Panel
        What is drawn.
    figure : matplotlib.figure.Figure
        Where it goes; it is made as large as the panels need.
    title : str
        What they are.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    ShapeError
        If there is nothing to draw.
    """
    if not panels:
        msg = f"there are no images to draw{' in ' + title if title else ''}"
        raise ShapeError(msg)
    rows = _rows_of(panels)
    sizes = {id(panel): _size(panel, len(rows[0])) for panel in panels}
    heights = [max(sizes[id(panel)][1] for panel in row) for row in rows]
    wide = max(sum(sizes[id(p)][0] + _LEFT + _RIGHT for p in row) for row in rows)
    lower = sum(heights) + len(rows) * (_BELOW + _ABOVE) + (_TITLE if title else 0.0)
    figure.set_size_inches(wide, lower)
    if title:
        place = 1 - 0.5 * _TITLE / lower
        figure.suptitle(title, y=place, va="center", fontsize=10, parse_math=False)
        lower -= _TITLE
    inches = np.tile([wide, figure.get_figheight()], 2)
    # The places are known, and need not be found by drawing all of it first.
    for row, high in zip(rows, heights, strict=True):
        lower -= high + _ABOVE
        left = 0.0
        for panel in row:
            left += _LEFT
            box = np.array([left, lower, sizes[id(panel)][0], high])
            draw_panel(figure.add_axes(tuple(box / inches)), panel)
            left += box[2] + _RIGHT
        lower -= _BELOW
    return figure


def _rows_of(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    """Put panels into rows: what is wide in one of its own, so that columns compare."""
    if any(_is_wide(panel) for panel in panels):
        return [[panel] for panel in panels]
    columns = math.ceil(math.sqrt(len(panels)))
    return [panels[n : n + columns] for n in range(0, len(panels), columns)]


def _is_wide(panel: Panel) -> bool:
    ny, nx = panel.values.shape if panel.values.ndim == 2 else (0, 1)
    return bool(nx > _LONG * ny)


def _size(panel: Panel, columns: int) -> tuple[float, float]:
    """Give width and height of a panel in a row of so many [inch]."""
    if not _is_wide(panel):
        size = max(_SIZE, 2 * _SIZE / columns)
        return size, size
    ny, nx = panel.values.shape if panel.values.ndim == 2 else (0, 1)
    return _WIDE, max(_WIDE * ny / nx, _WIDE / 5)


def picture(panels: Sequence[Panel], title: str = "", *, dpi: float = 100) -> bytes:
    """
    Draw panels as a PNG; no window, and nothing of pyplot, is touched.

    Parameters
    ----------
    panels : sequence of Panel
        What is drawn.
    title : str
        What they are.
    dpi : float
        Resolution [pixel/inch].

    Returns
    -------
    bytes
        The PNG.

    Raises
    ------
    MissingPackageError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as err:
        raise missing(err) from err
    figure = Figure()
    FigureCanvasAgg(figure)
    draw_figure(panels, figure, title)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=dpi)
    return target.getvalue()


def missing(err: ImportError) -> MissingPackageError:
    """
    Say that matplotlib is missing, and how it is got.

    Parameters
    ----------
    err : ImportError
        Why it cannot be imported.

    Returns
    -------
    MissingPackageError
        To be raised.
    """
    msg = (
        f"pictures are drawn with matplotlib ({err}); install it with: "
        "pip install 'ndmapper[plot]'"
    )
    return MissingPackageError(msg)
