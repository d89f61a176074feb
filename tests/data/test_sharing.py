"""Copies, sections and saves: whose change shows where, and what is never lost."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import CCDData

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import OutputExistsError
from ndmapper.io.record import encode
from ndmapper.testing import make_mef


def changed(ndd):
    ndd.data[0, 0] = 99
    ndd.variance[0, 0] = 99
    ndd.uncertainty.array[0, 1] = 99
    ndd.flags[0, 0] = 99


def state(ndd):
    return (
        float(ndd.data[0, 0]),
        float(ndd.variance[0, 0]),
        float(ndd.variance[0, 1]),
        int(ndd.flags[0, 0]),
    )


@pytest.fixture
def ndd():
    return NDLater(
        np.ones((3, 4)), variance=np.ones((3, 4)), flags=np.ones((3, 4), np.uint16)
    )


TAKE = {
    "copy": lambda ndd: ndd.copy(),
    "replace": lambda ndd: ndd.replace(unit="adu"),
    "section": lambda ndd: ndd[:2, :3],
    "NDLater(copy=True)": lambda ndd: NDLater(ndd, copy=True),
    "DataFile": lambda ndd: DataFile(data=DataFile(data=[ndd]))[0],
}


@pytest.mark.parametrize("how", TAKE)
def test_change_to_the_original_does_not_show_in_what_was_taken(ndd, how):
    _ = ndd.uncertainty
    taken = TAKE[how](ndd)
    changed(ndd)
    assert state(taken) == (1, 1, 1, 1)


@pytest.mark.parametrize("how", TAKE)
def test_change_to_what_was_taken_does_not_show_in_the_original(ndd, how):
    taken = TAKE[how](ndd)
    changed(taken)
    assert state(ndd) == (1, 1, 1, 1)


def test_ndlater_with_copy_does_not_share_an_array_of_the_user():
    array = np.ones((3, 4))
    ndd = NDLater(array, copy=True)
    array[0, 0] = 5
    assert ndd.data[0, 0] == 1


def test_ndlater_takes_mask_and_flags_of_ccddata():
    ccd = CCDData(np.ones((2, 2)), unit="adu", mask=[[True, False], [False, False]])
    ccd.flags = np.array([[0, 8], [0, 0]], np.uint16)
    assert NDLater(ccd).flags.tolist() == [[Flag.BAD, 8], [0, 0]]


def test_ndlater_of_ccddata_says_nothing_twice():
    ccd = CCDData(np.ones((1, 2)), unit="adu", mask=[[True, False]])
    ccd.flags = np.array([[8, 0]], np.uint16)
    assert NDLater(ccd).flags.tolist() == [[8, 0]]


def test_save_after_renaming_never_replaces_another_file(folder):
    make_mef("a.fits")
    make_mef("b.fits")
    before = Path("b.fits").read_bytes()
    df = DataFile("a.fits", mode="update")
    df.filename = "b.fits"
    with pytest.raises(OutputExistsError, match=r"b\.fits exists already"):
        df.save()
    assert Path("b.fits").read_bytes() == before


def test_save_after_renaming_takes_the_new_name(folder):
    make_mef("a.fits")
    df = DataFile("a.fits", mode="update")
    df.filename = "c.fits"
    df.save()
    df.save()
    assert Path("c.fits").exists()
    assert Path("a.fits").exists()


ROW = {
    "schema": 1, "step": "s", "module": None, "engine": "python", "code": None,
    "tool": {"name": "x", "version": "1"}, "product": "p.fits", "output": None,
    "key": "sha256:k", "content": "sha256:c", "inputs": [], "calibrations": {},
    "parameters": {}, "config": {}, "references": {}, "source": None, "run": {},
}  # fmt: skip


def test_record_that_is_not_last_is_no_table_and_is_last_after_a_save(folder):
    make_mef("a.fits")
    with Path("a.fits").open("ab") as stream:
        stream.write(encode([ROW]))
    fits.append("a.fits", np.zeros((2, 2), "f4"), fits.Header([("EXTNAME", "MORE")]))
    df = DataFile("a.fits", mode="update")
    assert "NDM_RECORD" not in df.tables
    df[0].data[0, 0] = -1
    df.save()
    with fits.open("a.fits") as hdus:
        names = [hdu.name for hdu in hdus]
    assert names.count("NDM_RECORD") == 1
    assert names[-1] == "NDM_RECORD"
    assert "MORE" in names


@pytest.mark.parametrize("cards", [0, 36, 52, 100])
def test_edits_of_a_compressed_product_keep_all_extensions(folder, cards):
    make_mef("a.fits")
    df = DataFile("a.fits")
    for n in range(cards):
        df.meta[f"KEY{n}"] = n
    df.record = [ROW]
    df.save("a.fits.gz")
    for value in (1, 2, 3):
        again = DataFile("a.fits.gz", mode="update")
        again[0].data[0, 0] = value
        again.save()
    assert len(DataFile("a.fits.gz")) == 2
    with fits.open("a.fits.gz") as hdus:
        assert [hdu.name for hdu in hdus][-1] == "NDM_RECORD"
