"""ndmapper.qc in a step: numbers in the record, figures beside the products."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from shared_steps import double

import ndmapper
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.steps import chain, run_task
from ndmapper.steps.record.summary import summary


@run_task(prefix="m")
def measure(ndd):
    """Say the mean."""
    ndmapper.qc(mean=ndd.data.mean(), wave=500 * u.nm, n=np.int16(3), note="fine")
    return ndd


@run_task(each="file", prefix="w")
def measure_file(df):
    """Say the number of extensions."""
    ndmapper.qc(extensions=len(df))
    return df


def test_qc_of_one_extension_has_plain_names(make_raw):
    (entry,) = measure(make_raw("x1.fits", (10.0,))).record
    assert entry["qc"] == {
        "mean": 10,
        "wave": {"value": 500, "unit": "nm"},
        "n": 3,
        "note": "fine",
    }


def test_qc_of_several_extensions_says_of_which(make_raw):
    (entry,) = measure(make_raw("x1.fits", (10.0, 20.5))).record
    assert (entry["qc"]["mean[1]"], entry["qc"]["mean[2]"]) == (10, 20.5)
    assert "mean" not in entry["qc"]


def test_qc_of_a_whole_file_has_plain_names(make_raw):
    assert measure_file(make_raw("x1.fits")).record[0]["qc"] == {"extensions": 2}


def test_qc_of_a_step_that_says_nothing_is_absent(make_raw):
    assert "qc" not in double(make_raw("x1.fits")).record[0]


def test_qc_of_one_file_is_not_that_of_the_next(make_raw):
    names = [make_raw("x1.fits", (1.0,)), make_raw("x2.fits", (2.0,))]
    assert [df.record[0]["qc"]["mean"] for df in measure(names)] == [1, 2]


def test_qc_comes_back_from_workers(make_raw):
    names = [make_raw("x1.fits", (1.0,)), make_raw("x2.fits", (2.0,))]
    assert [df.record[0]["qc"]["mean"] for df in measure(names, workers=2)] == [1, 2]


def test_qc_of_a_product_in_memory_is_in_its_record(make_raw):
    product = measure(make_raw("x1.fits", (10.0,)), save=False)
    assert product.record[0]["qc"]["mean"] == 10
    product.save()
    assert DataFile("mx1.fits").record[0]["qc"]["mean"] == 10


def test_qc_in_a_chain_is_that_of_its_step(make_raw):
    record = chain(measure, double)(make_raw("x1.fits", (10.0,))).record
    assert record[0]["qc"]["mean"] == 10
    assert "qc" not in record[1]


def test_qc_does_not_count_for_reuse(make_raw):
    values = iter((1.0, 2.0))

    @run_task(prefix="r")
    def noisy(ndd):
        ndmapper.qc(rms=next(values))
        return ndd

    make_raw("x1.fits", (10.0,))
    summary.clear()
    noisy("x1.fits")
    noisy("x1.fits", reprocess="auto")
    assert summary.reused == ["rx1.fits"]
    summary.clear()


def test_qc_of_bare_function_and_ndd_does_nothing(make_raw, folder):
    ndd = DataFile(make_raw("x1.fits", (10.0,)))[0]
    assert measure.func(ndd) is ndd
    assert measure(ndd).data[0, 0] == 10
    assert [path.name for path in folder.iterdir()] == ["x1.fits"]


def test_qc_wrong_value_is_an_error_of_the_step(make_raw):
    @run_task(prefix="m")
    def wrong(ndd):
        ndmapper.qc(mean=ndd.data)
        return ndd

    with pytest.raises(ParameterError, match=r"wrong failed on x1.fits\[1\]: qc\(mean"):
        wrong(make_raw("x1.fits"))
    assert not Path("mx1.fits").exists()


@run_task(prefix="p")
def draw(ndd, *, plot: Path | None = None):
    """Draw a figure, or hand a picture on."""
    if plot is None:
        from matplotlib.figure import Figure

        figure = Figure()
        figure.subplots().plot(ndd.data[0])
    ndmapper.qc(figure=figure if plot is None else plot)
    return ndd


def test_qc_figures_are_kept_beside_the_products(make_raw):
    (entry,) = draw(make_raw("x1.fits"), outdir="made").record
    assert entry["run"]["figures"] == [
        "figures/px1.fits-1.png",
        "figures/px1.fits-2.png",
    ]
    for name in entry["run"]["figures"]:
        content = Path("made/.ndmapper", name).read_bytes()
        assert content.startswith(b"\x89PNG")


def test_qc_figures_drawn_in_workers_are_kept(make_raw):
    for df in draw([make_raw("x1.fits"), make_raw("x2.fits")], workers=2):
        (name, _) = df.record[0]["run"]["figures"]
        assert Path(".ndmapper", name).exists()


def test_qc_pictures_are_copied_with_their_type(make_raw):
    Path("picture.jpg").write_bytes(b"picture")
    (entry,) = draw(make_raw("x1.fits", (1.0,)), plot="picture.jpg").record
    assert entry["run"]["figures"] == ["figures/px1.fits-1.jpg"]
    assert Path(".ndmapper/figures/px1.fits-1.jpg").read_bytes() == b"picture"


def test_qc_picture_that_is_not_there_fails_and_publishes_nothing(make_raw):
    @run_task(prefix="p")
    def lose(ndd):
        ndmapper.qc(figure="nowhere.png")
        return ndd

    with pytest.raises(OSError, match=r"nowhere\.png"):
        lose(make_raw("x1.fits"))
    assert not Path("px1.fits").exists()


def test_qc_goes_to_the_side_record(make_raw):
    with config.using(record="side"):
        assert measure(make_raw("x1.fits", (10.0,))).record[0]["qc"]["mean"] == 10
