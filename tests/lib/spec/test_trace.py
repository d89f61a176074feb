"""The step that traces spectra: what it finds, and what it says when it does not."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, PlainFile
from ndmapper.errors import ParameterError, StepError
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spec import extract_spectra, trace_spectra
from ndmapper.lib.spec.trace import read_traces

SLIT = SlitSpectrograph(shape=(80, 240), trace_shift=5, slit=(4, 76))
SOURCES = [SlitSource(row=25, flux=6000), SlitSource(row=55, flux=2000)]


def frame(tmp_path, slit=SLIT, sources=SOURCES, *, name="f.fits", change=None, **words):
    scene = slit.science(sources, **words)
    ndd = slit.observe(scene.light - scene.sky, seed=1)
    if change is not None:
        change(ndd)
    df = DataFile(tmp_path / name, data=[ndd], mode="new")
    df.save()
    return df, scene


def traced(df, slit=SLIT, **words):
    given = {"spectrograph": slit.table, "reprocess": True} | words
    return trace_spectra(df, outdir=df.filename.dir, **given)


@pytest.mark.parametrize(
    ("axis", "wavelength"), [("x", "rises"), ("x", "falls"), ("y", "falls")]
)
def test_table_has_a_row_for_each_object(tmp_path, axis, wavelength):
    slit = SlitSpectrograph(
        shape=(80, 240),
        trace_shift=5,
        trace_bend=1,
        dispersion_axis=axis,
        wavelength=wavelength,
        gap=(100, 110),
    )
    df, scene = frame(tmp_path, slit, fwhm=(4, 5))
    product = traced(df, slit)
    table = product.table()
    assert str(product).endswith("f_trace.ecsv")
    assert table["object"].tolist() == [1, 2]
    assert table["position"] == pytest.approx(scene.traces[:, 120], abs=0.02)
    assert table["fwhm"] == pytest.approx([4.5, 4.5], abs=0.1)
    assert (table["rms"] < 0.1).all()
    assert table["trace"].unit == "pix"
    numbers, traces = zip(*read_traces(product, df[0]), strict=True)
    assert numbers == (1, 2)
    for one, truth in zip(traces, scene.traces, strict=True):
        assert np.abs(one.position(240) - truth).max() < 0.05
        assert np.abs(one.fwhm(240) / scene.fwhm - 1).max() < 0.05
    quality = product.record[-1]["qc"]
    assert quality["objects"] == 2
    assert quality["rms"] < 0.1
    assert len(list((tmp_path / ".ndmapper" / "figures").glob("*.png"))) == 1


def test_brightest_objects_and_given_positions(tmp_path, caplog):
    df, _ = frame(tmp_path)
    assert len(traced(df, objects=1).table()) == 1
    assert traced(df, positions=[56]).table()["position"] == pytest.approx(55, abs=0.05)
    traced(df, objects=5)
    assert "has 2 spectra, and 5 were asked for" in caplog.text


def test_faint_object_has_the_form_of_a_reference(tmp_path, caplog):
    bright, _ = frame(tmp_path, name="standard.fits")
    faint, scene = frame(
        tmp_path, sources=[SlitSource(row=45.3, flux=40)], name="faint.fits"
    )
    reference = traced(bright)
    product = traced(faint, reference=reference)
    (row,) = product.table()
    ((_, one),) = read_traces(product, faint[0])
    # Signal-to-noise ratio of 40.
    assert np.abs(one.position(240) - scene.traces[0]).max() < 0.2
    assert np.isnan(row["rms"])
    assert "too faint" not in caplog.text
    # Where nothing is seen, an object is where the call says.
    (blind,) = traced(faint, reference=reference, positions=[20]).table()
    assert blind["position"] == pytest.approx(20, abs=0.1)
    assert "nothing at row 20.0" in caplog.text


def saturate(ndd):
    ndd.flags = np.where(np.asarray(ndd.data) > 300, int(Flag.SATURATED), 0)


def saturate_all(ndd):
    ndd.flags = np.full(ndd.shape, int(Flag.SATURATED), np.uint16)


def test_what_cannot_be_traced_is_said(tmp_path):
    df, _ = frame(tmp_path)
    with pytest.raises(
        ParameterError, match=r"the position 2 is off the slit .* 4 to 7"
    ):
        traced(df, positions=[2])
    with pytest.raises(StepError, match=r"nothing at row 40\.0 .* stands out"):
        traced(df, positions=[40])
    empty, _ = frame(tmp_path, sources=[], name="empty.fits")
    with pytest.raises(StepError, match=r"no spectrum of .* stands out .*reference="):
        traced(empty)
    full, _ = frame(tmp_path, change=saturate_all, name="full.fits")
    with pytest.raises(StepError, match=r"hardly a good pixel .* 100% are saturated"):
        traced(full)
    core, _ = frame(tmp_path, change=saturate, name="core.fits")
    with pytest.raises(StepError, match=r"is saturated in \d+% of the columns"):
        traced(core)


def test_frames_that_are_none(tmp_path):
    df, _ = frame(tmp_path)
    column = DataFile(tmp_path / "column.fits", data=[df[0][:, :1]], mode="new")
    column.save()
    with pytest.raises(ParameterError, match=r"has 1 column along .*dispersion_axis"):
        traced(column)
    bare = DataFile(tmp_path / "bare.fits", data=[df[0].replace(variance=None)])
    bare.save()
    with pytest.raises(ParameterError, match="has no variance; use add_variance"):
        traced(bare)
    (tmp_path / "list.ecsv").write_text(
        "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: x, datatype: float64}\nx\n3.0\n"
    )
    with pytest.raises(ParameterError, match="has no column 'object'; a table of"):
        traced(df, reference=PlainFile(tmp_path / "list.ecsv"))


def test_positions_of_one_spectrum_are_refused(tmp_path):
    df, _ = frame(tmp_path)
    with pytest.raises(ParameterError, match=r"2 positions .* same spectrum.* 25\.0"):
        traced(df, positions=[25, 25.4])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"columns": 120}, "traced in a frame of 120 columns, and this one has 240"),
        ({"rows": 40}, "traced in a frame of 40 rows, and this one has 80"),
        ({"object": 2}, "object 2 more than once"),
        ({"trace": [np.nan, 0, 0, 0]}, "trace or the width of object 1 .* not a numb"),
        ({"width": [-1.0, 0, 0]}, "FWHM of object 1 .* is -1 pixel"),
    ],
)
def test_tables_of_other_frames_and_broken_ones_are_refused(tmp_path, change, match):
    df, _ = frame(tmp_path)
    table = traced(df).table()
    for name, value in change.items():
        table[name][0] = np.resize(value, table[name][0].shape)
    with pytest.raises(ParameterError, match=match):
        extract_spectra(df, trace=table, spectrograph=SLIT.table, outdir=tmp_path)
