"""What the record of a product says: all that was done, from the declaration alone."""

from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from shared_steps import subtract

from ndmapper._version import __version__
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import RecordError
from ndmapper.io.record import entry_key
from ndmapper.report import history
from ndmapper.steps import run_task


@run_task(prefix="d")
def double(ndd):
    """Double the data; what the text of a step refers to goes into the record."""
    return ndd * 2


def test_record_names_inputs_calibrations_and_parameters(make_raw):
    make_raw("x1.fits")
    make_raw("bias.fits")
    (entry,) = subtract("x1.fits", bias="bias.fits", scale=2).record
    assert [ref["name"] for ref in entry["inputs"]] == ["x1.fits"]
    assert entry["calibrations"]["bias"]["name"] == "bias.fits"
    assert entry["parameters"] == {"scale": 2, "table": None}


def test_record_travels_with_the_file(make_raw):
    subtract(make_raw("x1.fits"), bias=make_raw("bias.fits"))
    Path("bx1.fits").rename("elsewhere.fits")
    assert DataFile("elsewhere.fits").record[0]["step"] == "subtract"


def test_record_goes_back_to_raw_oldest_first(make_raw):
    bias = double(make_raw("bias.fits"))
    record = double(subtract(make_raw("x1.fits"), bias=bias)).record
    assert [entry["step"] for entry in record] == ["double", "subtract", "double"]


def test_record_has_each_ancestor_once(make_raw):
    bias = double(make_raw("bias.fits"))
    one = subtract(make_raw("x1.fits"), bias=bias)
    record = subtract(one, bias=bias).record
    assert [e["product"] for e in record] == ["dbias.fits", "bx1.fits", "bbx1.fits"]


def test_record_refers_to_products_by_key_and_to_raws_by_digest(make_raw):
    record = subtract(double(make_raw("x1.fits")), bias=make_raw("bias.fits")).record
    assert record[1]["inputs"] == [{"name": "dx1.fits", "key": record[0]["key"]}]
    assert record[1]["calibrations"]["bias"]["digest"].startswith("sha256:")


def test_record_key_is_that_of_its_entry(make_raw):
    (entry,) = double(make_raw("x1.fits")).record
    assert entry["key"] == entry_key(entry)


def test_record_of_a_step_in_a_script_holds_its_source(make_raw):
    (entry,) = double(make_raw("x1.fits")).record
    assert "return ndd * 2" in entry["source"]
    assert entry["tool"] == {"name": "script", "version": None}


def test_record_of_a_step_in_a_package_holds_its_version(make_raw):
    def packaged(ndd):
        return ndd * 2

    packaged.__module__ = "ndmapper.lib.ccd"
    (entry,) = run_task(packaged, prefix="p")(make_raw("x1.fits")).record
    assert entry["tool"] == {"name": "ndmapper", "version": __version__}
    assert (entry["module"], entry["source"]) == ("ndmapper.lib.ccd", None)


def test_record_holds_the_digest_of_a_reference_file(make_raw):
    Path("lines.dat").write_text("5460.7\n")
    first = subtract(make_raw("x1.fits"), bias=make_raw("bias.fits"), table="lines.dat")
    Path("lines.dat").write_text("5461.0\n")
    second = subtract(
        "x1.fits", bias="bias.fits", table="lines.dat", out_names="other.fits"
    )
    digests = [df.record[0]["references"]["table"]["digest"] for df in (first, second)]
    assert digests[0] != digests[1]


def test_record_of_changed_memory_is_not_that_of_the_file(make_raw):
    df = DataFile(make_raw("x1.fits"))
    plain = double(df, out_names="a.fits").record[0]["inputs"][0]
    df[0].data[:] = 7
    changed = double(df, out_names="b.fits").record[0]["inputs"][0]
    assert plain["digest"] != changed["digest"]


def test_record_holds_what_config_changes(make_raw):
    with config.using(use_uncert=False):
        (entry,) = double(make_raw("x1.fits")).record
    assert entry["config"]["use_uncert"] is False


def test_record_run_block_is_all_that_differs_between_runs(make_raw):
    make_raw("x1.fits")
    first, second = (
        double("x1.fits", outdir=folder).record[0] for folder in ("a", "b")
    )
    differing = {name for name in first if first[name] != second[name]}
    assert differing == {"run"}


def test_record_parameters_take_arrays_and_quantities(make_raw):
    @run_task(prefix="w")
    def weigh(ndd, *, weights: np.ndarray, width: u.Quantity):
        return ndd

    (entry,) = weigh(
        make_raw("x1.fits"), weights=np.array([1.0, 2.0]), width=3 * u.nm
    ).record
    assert entry["parameters"] == {
        "weights": [1.0, 2.0],
        "width": {"value": 3.0, "unit": "nm"},
    }


def test_history_tells_every_step_and_the_raw_files(make_raw):
    product = double(subtract(make_raw("x1.fits"), bias=make_raw("bias.fits"), scale=3))
    text = history({"dbx1.fits": product.record})
    assert text.startswith("dbx1.fits was made by 2 steps from 2 raw files: bias.fits,")
    for words in ("bx1.fits  by subtract", "bias: bias.fits", "scale = 3"):
        assert words in text


def test_history_says_where_a_calibration_was_not_applied(make_raw):
    product = subtract(make_raw("x1.fits"), bias=None)
    assert "bias: not applied" in history({"bx1.fits": product.record})


def test_history_without_record_says_so():
    assert "no record" in history({"raw.fits": []})


@pytest.mark.parametrize("count", [1, 3])
def test_record_survives_a_save_without_changes(make_raw, count):
    df = double(make_raw("x1.fits"))
    before = df.record
    for _ in range(count):
        again = DataFile("dx1.fits", mode="update")
        again.save()
    assert DataFile("dx1.fits").record == before


def test_record_after_an_edit_says_edited(make_raw):
    double(make_raw("x1.fits"))
    df = DataFile("dx1.fits", mode="update")
    df[0].data[0, 0] = -1
    df.save()
    record = DataFile("dx1.fits").record
    assert [entry["step"] for entry in record] == ["double", "edited"]
    assert record[1]["inputs"][0]["key"] == record[0]["key"]


def test_reuse_after_an_edit_says_in_words_what_happened(make_raw, caplog):
    product = double(make_raw("x1.fits"))
    with_edit = DataFile(str(product), mode="update")
    with_edit[0].data[0, 0] = 99
    with_edit.save()
    double(DataFile("x1.fits"), reprocess=False)
    assert "would be made now: it was edited and saved in Python" in caplog.text


@pytest.mark.parametrize("name", ["a.fits", "a.fits.gz"])
def test_record_provenance_tables_on_request(make_raw, name):
    raw = make_raw("x1.fits")
    with config.using(provenance_tables=True):
        df = double(raw, out_names=name)
    with fits.open(name) as hdus:
        assert [hdu.name for hdu in hdus[-3:]] == [
            "PROVENANCE",
            "HISTORY",
            "NDM_RECORD",
        ]
        assert list(hdus["PROVENANCE"].data["filename"]) == ["x1.fits"]
        assert list(hdus["HISTORY"].data["primitive"]) == ["double"]
    assert list(df.tables) == []
    assert double(raw, out_names=name, reprocess="auto").record == df.record


def test_a_damaged_record_of_an_input_is_told_before_anything_runs(make_raw):
    ran = []

    @run_task(prefix="t")
    def told(ndd):
        ran.append(ndd)
        return ndd

    double(double(make_raw("x1.fits")))
    path = Path("ddx1.fits")
    # The first entry, while the last one, by which a re-run goes, is whole.
    whole = path.read_bytes()
    first = whole.index(b'"calibrations"')
    path.write_bytes(whole[:first] + b"[" + whole[first + 1 :])
    with pytest.raises(RecordError, match=r"ddx1\.fits: .* not JSON"):
        told(path)
    assert not ran
