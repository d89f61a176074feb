"""Figures of several panels: where they lie, and that nothing is cut off."""

import numpy as np
import pytest

from ndmapper.plot import Panel, draw_figure

figures = pytest.importorskip("matplotlib.figure", reason="the extra plot is missing")

SPECTRUM = Panel(
    values=np.linspace(-1e-17, 3e-17, 50), title="$object$", unit="erg / (s cm2 nm)",
    error=np.full(50, 1e-18), x=np.linspace(4000, 5000, 50), x_label="Angstrom in air",
)  # fmt: skip
WIDE = Panel(values=np.ones((100, 300)), title="frame")
SQUARE = Panel(values=np.ones((1000, 1000)), title="square")


@pytest.mark.parametrize(
    ("panels", "columns"),
    [
        ([SPECTRUM, WIDE, WIDE], 1),
        ([WIDE, SQUARE], 1),
        ([SPECTRUM], 1),
        ([SQUARE, SQUARE, SQUARE], 2),
        ([SQUARE], 1),
    ],
    ids=["spectrum", "wide", "single", "squares", "square"],
)
@pytest.mark.parametrize("title", ["", "a file"])
def test_panels_do_not_overlap_and_nothing_is_cut_off(panels, columns, title):
    figure = draw_figure(panels, figures.Figure(), title)
    figure.canvas.draw()
    page = figure.bbox
    boxes = [axis.get_tightbbox() for axis in figure.axes]
    if title:
        boxes.append(figure.texts[0].get_window_extent())
    for box in boxes:
        assert box.x0 >= page.x0
        assert box.x1 <= page.x1
        assert box.y0 >= page.y0
        assert box.y1 <= page.y1
    for n, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:n])
    lefts = {round(axis.get_position().x0, 3) for axis in figure.axes}
    assert len(lefts) == columns


def test_spectra_and_wide_images_have_columns_below_one_another():
    figure = draw_figure([SPECTRUM, WIDE], figures.Figure())
    first, second = (axis.get_position() for axis in figure.axes)
    assert (first.x0, first.x1) == (second.x0, second.x1)
    assert first.y0 > second.y1
