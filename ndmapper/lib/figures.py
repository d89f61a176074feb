"""Figures of images, with marks, of what steps have measured."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.engines.quality import current_findings
from ndmapper.plot.panels import Panel, draw_figure
from ndmapper.steps import qc

__all__ = ["image_panel", "new_figure", "report_panels"]

_MOST = 600
"""A panel shows at most about this many pixels along an axis."""


def image_panel(
    values: npt.ArrayLike, title: str, marks: Mapping[str, npt.NDArray[np.bool_]]
) -> Panel:
    """Thin out an image to what a figure can show."""
    array = np.asarray(values)
    step = max(1, *(-(-n // _MOST) for n in array.shape))
    return Panel(
        values=array[::step, ::step],
        title=title,
        marks={name: where[::step, ::step] for name, where in marks.items()},
        step=step,
    )


def report_panels(panels: Sequence[Panel], title: str = "") -> None:
    """Draw panels as a figure of the product, if there is one and matplotlib, too."""
    if (figure := new_figure()) is not None:
        qc(figure=draw_figure(panels, figure, title))


def new_figure() -> Any:
    """Make a figure that pyplot does not know; None outside of a step."""
    if current_findings() is None:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    return Figure()
