"""Figures of arcs with their lines, and of the residuals of dispersion solutions."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ndmapper.lib.figures import new_figure
from ndmapper.numerics.arc_lines import Lines
from ndmapper.numerics.identification import Identification
from ndmapper.numerics.line_traces import LineTraces
from ndmapper.steps import qc

__all__ = ["draw_arc", "draw_lines", "draw_slit"]

Array = npt.NDArray[np.float64]


def draw_arc(
    spectrum: Array,
    lines: Lines | None,
    found: Identification | None,
    title: str = "",
) -> None:
    """Draw an arc with its lines, if it has any, and residuals, as a figure."""
    if (figure := new_figure()) is None:
        return
    if lines is None:
        axes = figure.subplots()
        axes.plot(spectrum, color="0.3", linewidth=0.7)
        axes.set_xlabel("pixel")
        axes.set_title(title, fontsize=8, wrap=True)
        qc(figure=figure)
        return
    figure.set_size_inches(10, 6)
    margins = {"left": 0.08, "right": 0.99, "bottom": 0.08, "hspace": 0.05}
    margins["top"] = 0.9 if title else 0.98
    top, bottom = figure.subplots(2, 1, sharex=True, gridspec_kw=margins)
    draw_lines(top, spectrum, lines, found)
    top.set_xlim(0, len(spectrum) - 1)
    if title:
        figure.suptitle(title, fontsize=8, wrap=True)
    if found is not None:
        used = found.used
        known = np.isfinite(found.wavelengths)
        for where, style, word in (
            (used, "k.", "used"), (known & ~used, "rx", "not used"),
        ):  # fmt: skip
            bottom.errorbar(
                lines.pixel[where],
                found.residuals[where],
                np.minimum(lines.error[where], 10),
                fmt=style,
                label=word,
            )
        x = np.linspace(0, found.length - 1, 200)
        error = found.error(x)
        words = {"color": "0.8", "label": "error of the solution"}
        bottom.fill_between(x, -error, error, **words)
        bottom.legend(fontsize=7, loc="upper right")
        width = 4 * max(found.rms, 0.02)
        bottom.set_ylim(-width, width)
    bottom.set_xlabel("column, wavelengths rise")
    bottom.set_ylabel("residual [pixel]")
    qc(figure=figure)


def draw_lines(
    axes: Any, spectrum: Array, lines: Lines, found: Identification | None
) -> None:
    """Draw the spectrum of an arc, and mark the lines that are used, and the others."""
    level = float(np.median(spectrum))
    axes.plot(np.sqrt(np.maximum(spectrum - level, 0)), color="0.3", linewidth=0.7)
    height = np.sqrt(np.maximum(lines.peak, 0))
    used = np.zeros(len(lines), np.bool_) if found is None else found.used
    axes.plot(lines.pixel[~used], height[~used], "rx", markersize=4)
    axes.plot(lines.pixel[used], height[used], "g|", markersize=8)
    if found is not None:
        for i in np.flatnonzero(used).tolist():
            axes.annotate(
                f"{found.wavelengths[i]:.1f}",
                (lines.pixel[i], height[i]),
                xytext=(0, 4), textcoords="offset points",
                rotation=90, fontsize=6, ha="center", va="bottom",
            )  # fmt: skip
    axes.set_ylim(0, 1.35 * max(float(np.max(height)), 1e-9))
    axes.set_ylabel("square root of the arc")


def draw_slit(
    traces: LineTraces, residuals: Array, used: npt.NDArray[np.bool_]
) -> None:
    """Draw the residuals of lines along the slit as a figure of the product."""
    if (figure := new_figure()) is None:
        return
    figure.set_size_inches(10, 4)
    axes = figure.subplots(gridspec_kw={"left": 0.07, "right": 1.0, "bottom": 0.13})
    limit = max(3 * float(np.std(residuals[used])), 1e-3)
    points = axes.scatter(
        traces.x[used], traces.y[used], c=residuals[used], s=8, cmap="coolwarm",
        vmin=-limit, vmax=limit,
    )  # fmt: skip
    axes.plot(traces.x[~used], traces.y[~used], "kx", markersize=4)
    axes.set_xlabel("column, wavelengths rise")
    axes.set_ylabel("pixel along the slit")
    axes.set_title("places of lines less those of the solution", fontsize=9)
    figure.colorbar(points, label="residual [pixel]", pad=0.02)
    qc(figure=figure)
