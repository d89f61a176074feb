"""Figures of images, with marks, and quality numbers, of what steps have measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.data import NDLater
from ndmapper.data.display import panel_of
from ndmapper.engines.quality import current_findings
from ndmapper.plot.panels import Panel, draw_figure
from ndmapper.steps import qc

__all__ = [
    "image_panel",
    "new_figure",
    "report_image",
    "report_master",
    "report_panels",
    "report_spectra",
]

_MOST = 600 * 600
"""A panel shows at most about this many pixels, and 2000 along an axis."""

_SAMPLE = 2**20
"""Medians are those of about so many pixels."""


def image_panel(
    values: npt.ArrayLike, title: str, marks: Mapping[str, npt.NDArray[np.bool_]]
) -> Panel:
    """Thin out an image to what a figure can show."""
    array = np.asarray(values)
    # Of a long slit no more than what the long axis asks for is left out.
    step = math.ceil(max(1.0, math.sqrt(array.size / _MOST), max(array.shape) / 2000))
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


def report_image(
    ndd: NDLater, marks: Mapping[str, npt.NDArray[np.bool_]], title: str = ""
) -> None:
    """Draw an image with marks as a figure of the product."""
    if ndd.ndim == 2:
        report_panels([image_panel(ndd.data, title, marks)])


def report_spectra(spectra: Sequence[NDLater], titles: Sequence[str] = ()) -> None:
    """Draw spectra with their errors as a figure of the product."""
    panels = [panel_of(spectrum) for spectrum in spectra]
    for number, title in enumerate(titles):
        panels[number] = replace(panels[number], title=title)
    report_panels(panels)


def report_master(ndds: Sequence[NDLater], title: str) -> None:
    """
    Report level and noise of each extension of a master frame, and draw it.

    The level is the median of the good pixels, the noise that of their standard
    deviations, and the bad share that of flagged pixels.
    """
    panels = []
    for ndd in ndds:
        where = "" if ndd.ident is None else f"[{ndd.ident}]"
        values, mask = np.asarray(ndd.data), ndd.mask
        bad = ~np.isfinite(values) if mask is None else np.asarray(mask)
        # A sample tells a median well enough, and soon.
        step = max(1, values.size // _SAMPLE)
        good = np.flatnonzero(~bad)[::step]
        qc(**{f"bad{where}": float(bad.mean())})
        if good.size:
            qc(**{f"level{where}": float(np.median(values.reshape(-1)[good]))})
            if ndd.variance is not None:
                variance = np.asarray(ndd.variance).reshape(-1)[good]
                qc(**{f"noise{where}": float(np.sqrt(np.median(variance)))})
        if ndd.ndim == 2:
            panels.append(image_panel(values, where.strip("[]"), {"flagged": bad}))
    if panels:
        report_panels(panels, title)


def new_figure() -> Any:
    """Make a figure that pyplot does not know; None outside of a step."""
    if current_findings() is None:
        return None
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    return Figure()
