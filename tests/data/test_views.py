"""Pictures of files and their images, and HTML for notebooks."""

import base64
import builtins
import io
import re

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import (
    IdentError,
    MissingPackageError,
    OutputExistsError,
    ShapeError,
)
from ndmapper.plot import thumbnail
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def large_file(tmp_path):
    return make_mef(tmp_path / "a.fits", n_ext=3, shape=(200, 300))


@pytest.fixture
def plt():
    plt = pytest.importorskip("matplotlib.pyplot", reason="needs the extra plot")
    yield plt
    plt.close("all")


def png(text):
    pytest.importorskip("matplotlib", reason="it reads PNG")
    from matplotlib.image import imread

    return imread(io.BytesIO(text), format="png")


# ---- HTML


@pytest.mark.parametrize(
    "of",
    [lambda df: df, lambda df: df[1], lambda df: DataFileList([df])],
    ids=["file", "ndd", "list"],
)
def test_html_reads_no_pixels(large_file, of):
    shown = of(DataFile(large_file))
    with count_reads() as reads:
        text = shown._repr_html_()
    assert reads.reads == 0
    assert "<img" not in text
    assert text.count("<table>") == text.count("</table>") == 1


def test_html_of_a_file_lists_groups_tables_and_extras(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=2, shape=(6, 8))
    fits.append(path, np.zeros((4, 4)), fits.Header([("EXTNAME", "EXTRA")]))
    df = DataFile(path)
    text = df._repr_html_()
    rows = [re.findall(r"<td>(.*?)</td>", r) for r in re.findall(r"<tr>.*?</tr>", text)]
    assert rows[1][:3] == ["1", "6 x 8", "float32"]
    assert [row[0] for row in rows[1:]] == ["1", "2", *df.tables, *df.extras]


def test_html_has_thumbnails_of_what_is_in_memory_alone(large_file):
    df = DataFile(large_file)
    df[1].data  # noqa: B018
    text = df._repr_html_()
    assert re.findall(r'title="(.*?)"', text) == ["2"]
    (code,) = re.findall(r"base64,([A-Za-z0-9+/=]+)", text)
    ny, nx = png(base64.b64decode(code)).shape[:2]
    assert (ny, nx) == (50, 75)


def test_html_thumbnail_reads_no_flags(large_file):
    ndd = DataFile(large_file)[0]
    ndd.data  # noqa: B018
    with count_reads() as reads:
        assert "<img" in ndd._repr_html_()
    assert reads.reads == 0


def test_html_is_safe_from_what_headers_say(tmp_path):
    ndd = NDLater(np.zeros((3, 3)), ident='<script>"&')
    df = DataFile(data=ndd)
    df.tables["<b>x</b>"] = {"a": [1]}
    text = ndd._repr_html_() + df._repr_html_()
    assert "<script>" not in text
    assert "<b>x</b>" not in text
    assert "&lt;script&gt;&quot;&amp;" in text


def test_html_of_a_long_list_is_short(large_file):
    text = DataFileList([str(large_file)] * 60)._repr_html_()
    assert text.count("<tr>") == 52
    assert "and 10 more" in text
    assert "1, 2, 3" in text


# ---- thumbnails


def test_thumbnail_is_a_png_with_the_first_row_below():
    image = np.zeros((10, 20))
    image[0] = 1
    picture = png(thumbnail(image))
    assert picture.shape == (10, 20, 3)
    assert picture[-1].min() > picture[0].max()


def test_thumbnail_marks_the_mask_red_and_survives_nan():
    image = np.full((8, 8), np.nan)
    mask = np.zeros((8, 8), bool)
    mask[0, 0] = True
    picture = png(thumbnail(image, mask))
    assert picture[-1, 0, 0] == 1
    assert picture[-1, 0, 1] < 0.5


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (97, 96)])
def test_thumbnail_is_never_larger_than_asked(shape):
    picture = png(thumbnail(np.ones(shape)))
    assert max(picture.shape) <= 96


# ---- plot


def test_plot_draws_every_group_with_its_levels(large_file, plt):
    figure = DataFile(large_file).plot()
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.images]
    assert titles == ["[1] [adu]", "[2] [adu]", "[3] [adu]"]
    image = figure.axes[0].images[0]
    assert np.array_equal(image.get_array(), DataFile(large_file)[0].data)
    assert image.norm.vmin < image.norm.vmax
    assert figure.number in plt.get_fignums()


def test_plot_of_some_idents_into_a_figure_of_ones_own(large_file, plt):
    from matplotlib.figure import Figure

    mine = Figure()
    assert DataFile(large_file).plot(3, figure=mine) is mine
    assert [a.get_title(loc="left") for a in mine.axes] == ["[3] [adu]"]
    assert plt.get_fignums() == []


def test_plot_marks_flags_by_kind(plt):
    flags = np.zeros((20, 20), "u2")
    flags[2:5], flags[10, 10], flags[7, 7] = Flag.SATURATED, Flag.COSMIC_RAY, 1 << 12
    axis = NDLater(np.zeros((20, 20)), flags=flags).plot()
    texts = [text.get_text() for text in axis.get_legend().get_texts()]
    assert texts == ["saturated", "cosmic ray", "other"]
    overlays = [layer.get_array()[..., 3] > 0 for layer in axis.images[1:]]
    assert [int(where.sum()) for where in overlays] == [60, 1, 1]


def test_plot_marks_what_bad_flags_mask_alone(plt):
    ndd = NDLater(np.zeros((5, 5)), flags=np.full((5, 5), 4), bad_flags=1)
    assert len(ndd.plot().images) == 1


def test_plot_without_flags_reads_none(large_file, plt):
    with count_reads() as reads:
        DataFile(large_file)[0].plot(flags=False)
    assert reads.reads == 1


def test_plot_levels_leave_flagged_pixels_out(plt):
    image = np.random.default_rng(0).normal(10, 1, (50, 50))
    flags = np.zeros(image.shape, "u2")
    image[:20], flags[:20] = 1e6, Flag.SATURATED
    assert NDLater(image, flags=flags).plot().images[0].norm.vmax < 20


def test_plot_of_a_spectrum_has_its_error_and_marks(plt):
    ndd = NDLater(np.arange(9.0), variance=np.full(9, 4.0), flags=np.eye(9)[3])
    axis = ndd.plot()
    band = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (band.min(), band.max()) == (-2, 10)
    assert [3.0] in [list(line.get_ydata()) for line in axis.lines]


def test_plot_of_a_cube_reads_its_middle_plane(tmp_path, plt):
    cube = np.arange(5 * 6 * 7, dtype="f4").reshape(5, 6, 7)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(cube, name="SCI", ver=1)]).writeto(
        tmp_path / "cube.fits"
    )
    with count_reads() as reads:
        axis = DataFile(tmp_path / "cube.fits")[0].plot()
    assert reads.bytes == 6 * 7 * 4
    assert np.array_equal(axis.images[0].get_array(), cube[2])
    assert "plane 2" in axis.get_title(loc="left")


def test_plot_of_no_pixels_says_so(plt):
    axis = NDLater(np.zeros((0, 5))).plot()
    assert [text.get_text() for text in axis.texts] == ["no pixels"]


def test_plot_of_an_empty_file_is_an_error():
    with pytest.raises(ShapeError, match="no images to draw"):
        DataFile(data=[]).plot()


def test_plot_of_an_unknown_ident_is_an_error(large_file):
    with pytest.raises(IdentError, match=r"\[1, 2, 3\]"):
        DataFile(large_file).plot("CHAN07")


def test_plot_without_matplotlib_says_what_to_install(large_file, monkeypatch):
    real = builtins.__import__

    def guarded(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", guarded)
    df = DataFile(large_file)
    for draw in (df.plot, df.preview, df[0].plot):
        with pytest.raises(MissingPackageError, match=r"ndmapper\[plot\]"):
            draw()


# ---- preview


def test_preview_of_large_images_reads_a_part_of_their_pixels(large_file):
    pytest.importorskip("matplotlib")
    with count_reads() as reads:
        preview = DataFile(large_file).preview(size=50)
    whole = 3 * 200 * 300 * (4 + 2)
    assert reads.bytes < whole / 30
    assert png(preview.png).shape[2] == 4


def test_preview_keeps_nothing_in_memory(large_file):
    pytest.importorskip("matplotlib")
    df = DataFile(large_file)
    df.preview(size=50)
    assert not any(part.is_loaded for ndd in df for part in ndd.content.arrays.values())


def test_preview_leaves_pyplot_alone(large_file, plt):
    DataFile(large_file).preview()
    assert plt.get_fignums() == []


def test_preview_is_saved_and_never_replaces_a_file_unasked(large_file, tmp_path):
    pytest.importorskip("matplotlib")
    preview = DataFile(large_file).preview(1)
    target = preview.save(tmp_path / "p.png")
    assert target.read_bytes() == preview.png == preview._repr_png_()
    with pytest.raises(OutputExistsError, match="overwrite=True"):
        preview.save(target)
    assert preview.save(target, overwrite=True) == target


def test_preview_of_a_name_with_dollar_signs_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    path = make_mef(tmp_path / "a$x^$^.fits", n_ext=1)
    assert DataFile(path).preview().png[:4] == b"\x89PNG"


def test_spectra_are_drawn_by_wavelength_with_their_errors(tmp_path):
    from ndmapper.data.display import panel_of

    header = {"CTYPE1": "AWAV", "CUNIT1": "Angstrom", "CRVAL1": 5000.0, "CDELT1": 2.0}
    ndd = NDLater(
        data=np.arange(5000.0),
        variance=np.full(5000, 4.0),
        meta={**header, "CRPIX1": 1},
    )
    panel = panel_of(ndd, size=256)
    assert panel.values.size == 5000  # every so many pixels would miss lines
    np.testing.assert_allclose(panel.x[[0, -1]], [5000, 5000 + 2 * 4999])
    assert panel.x_label == "wavelength in air [Angstrom]"
    np.testing.assert_allclose(panel.error, 2)
    assert panel_of(ndd.replace(meta={}), size=256).x is None


def test_flagged_pixels_do_not_set_the_scale_of_a_spectrum():
    from matplotlib.figure import Figure

    from ndmapper.plot.panels import Panel, draw_figure

    values = np.ones(100)
    values[10:20], values[50] = 3.0, 1e6
    bad = np.arange(100) == 50
    figure = Figure()
    panels = [Panel(values=values, marks={"bad": bad}, x=np.arange(100.0) + 7)] * 3
    draw_figure(panels, figure)
    assert len({round(axis.get_position().x0, 3) for axis in figure.axes}) == 1
    axis = figure.axes[0]
    assert axis.get_ylim()[1] < 4
    assert axis.get_xlim() == (7, 106)


@pytest.mark.parametrize("whole", [True, False], ids=["arc", "other table"])
def test_wavelengths_are_drawn_with_the_lines_of_their_arc(tmp_path, plt, whole):
    df = DataFile(tmp_path / "w.fits", data=[NDLater(np.ones((20, 100)))], mode="new")
    columns = {
        "pixel": [20.2, 60.0, 97.5], "fwhm": [3.0, 3.0, 3.0],
        "peak": [100.0, 400.0, 25.0], "wavelength": [4046.563, np.nan, 4358.328],
        "used": [True, False, True],
    }  # fmt: skip
    if not whole:
        del columns["used"]
    df[0].tables["ARCLINES"] = Table(columns)
    df.save()
    figure = DataFile(df.filename).plot()
    if not whole:
        assert len(figure.axes) == 1
        return
    _, axis = figure.axes
    assert [text.get_text() for text in axis.texts] == ["4046.6", "4358.3"]
    x, drawn = axis.lines[0].get_data()
    # A line of 400 counts, and one of 100, of which the root is drawn.
    assert drawn[60] == pytest.approx(20)
    assert drawn[20] == pytest.approx(10, rel=0.02)
    assert len(x) > 97
    (marks,) = (line for line in axis.lines if line.get_marker() == ".")
    assert marks.get_xdata().tolist() == [60]
    assert DataFile(df.filename).preview()._repr_png_()
