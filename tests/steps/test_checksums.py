"""Inputs whose pixels are not those that their DATASUM was made of."""

import gzip
import json
import logging
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import ChecksumError
from ndmapper.io.digest import DigestCache, digest, examine
from ndmapper.steps import run_task
from ndmapper.testing import count_reads


@run_task(prefix="p")
def add_one(ndd):
    """Add 1."""
    return ndd + 1


def pixels():
    return np.arange(3000, dtype="f4").reshape(50, 60)


@pytest.fixture
def good(folder):
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(pixels(), name="SCI", ver=1),
        fits.BinTableHDU(Table({"A": np.arange(9), "B": ["x"] * 9}), name="CAT"),
    ]
    fits.HDUList(hdus).writeto("good.fits", checksum=True)
    return "good.fits"


def damaged(path, of, hdu=1, at=100):
    """Turn one bit of the data of an HDU."""
    with fits.open(of) as hdus:
        start = hdus[hdu].fileinfo()["datLoc"]
    content = bytearray(Path(of).read_bytes())
    content[start + at] ^= 0x40
    Path(path).write_bytes(content)
    return path


def sums(path):
    """Give what astropy finds wrong."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with fits.open(path, checksum=True) as hdus:
            assert [h.data is None for h in hdus]
    return [str(w.message) for w in said if "failed" in str(w.message)]


def test_whole_file_says_nothing(good, caplog):
    add_one(good)
    assert not examine(good).damaged
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("hdu", [1, 2])
def test_damaged_input_is_named(good, caplog, hdu):
    bad = damaged("bad.fits", good, hdu)
    add_one(bad)
    name = ("SCI", "CAT")[hdu - 1]
    (said,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "bad.fits may be damaged" in said.getMessage()
    assert f"HDU {hdu} ({name}): DATASUM says" in said.getMessage()
    # The product is what the step has made, and no later step takes it for damaged.
    assert not sums("pbad.fits")
    add_one("pbad.fits")


def test_known_damage_is_named_again(good, caplog):
    bad = damaged("bad.fits", good)
    os.utime(bad, (1e9, 1e9))
    for reprocess in (None, "auto", False):
        caplog.clear()
        add_one(bad, reprocess=reprocess)
        assert caplog.text.count("bad.fits may be damaged") == 1
    assert "DATASUM says" in Path(".ndmapper/digests.json").read_text()


def test_damage_is_an_error_or_nothing(good, caplog):
    bad = damaged("bad.fits", good)
    with (
        config.using(checksums="error"),
        pytest.raises(
            ChecksumError,
            match=r"bad.fits is damaged.* DATASUM says \d+, its data have",
        ),
    ):
        add_one(bad)
    caplog.clear()
    with config.using(checksums="ignore"):
        add_one(bad)
    assert "damaged" not in caplog.text


@pytest.mark.parametrize("checksums", ["warn", "ignore"])
def test_damaged_product_is_an_error(good, checksums):
    DataFile(add_one(good), mode="update").save(checksum=True)
    damaged("bad.fits", "pgood.fits")
    with (
        config.using(checksums=checksums),
        pytest.raises(
            ChecksumError,
            match=r"bad.fits is damaged.* It is a product, so make it again",
        ),
    ):
        add_one("bad.fits")


def test_damaged_product_whose_record_lies_beside_it(good):
    with config.using(record="side"):
        made = Path(str(add_one(good)))
    DataFile(made, mode="update").save(checksum=True)
    add_one(made)
    damaged(made, made)
    with pytest.raises(ChecksumError, match=r"pgood.fits is damaged.* It is a product"):
        run_task(prefix="q")(add_one.func)(made)


def test_damaged_calibration_and_file_in_memory(good, caplog):
    @run_task(prefix="b", cals=["bias"])
    def subtract(ndd, bias):
        return ndd - bias

    subtract(good, bias=damaged("bad.fits", good))
    assert "subtract: bad.fits may be damaged" in caplog.text
    caplog.clear()
    df = DataFile("bad.fits")
    df.meta["A"] = 1
    add_one(df, out_names="x.fits")
    assert "add_one: bad.fits may be damaged" in caplog.text


@pytest.mark.parametrize("form", ["gz", "tiles", "integers", "scaled", "odd", "zeros"])
@pytest.mark.parametrize("is_bad", [False, True])
def test_forms(folder, form, is_bad):
    data = (pixels() % 100).astype("i2")
    hdu = fits.ImageHDU(data)
    if form == "tiles":
        hdu = fits.CompImageHDU(data, compression_type="RICE_1")
    elif form == "scaled":
        hdu = fits.ImageHDU(data.astype("u2"))
    elif form == "odd":  # an ASCII table is padded with blanks
        hdu = fits.TableHDU.from_columns(
            [fits.Column("A", "A3", array=["abc"] * 7)], name="T"
        )
    elif form == "zeros":
        hdu = fits.ImageHDU(data * 0)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto("a.fits", checksum=True)
    with fits.open("a.fits", disable_image_compression=True) as hdus:
        start = hdus[1].fileinfo()["datLoc"]
    content = bytearray(Path("a.fits").read_bytes())
    content[start + 11] ^= 4 * is_bad
    Path("a.fits").write_bytes(content)
    name = "a.fits"
    if form == "gz":
        name = "a.fits.gz"
        Path(name).write_bytes(gzip.compress(content))
    assert len(examine(name).damaged) == is_bad


def with_sum(*values):
    """Write an image with these cards DATASUM; give what is wrong with it."""
    hdu = fits.PrimaryHDU(pixels())
    hdu.add_datasum()
    right = hdu.header.pop("DATASUM")
    for value in values:
        hdu.header.append(("DATASUM", right if value == "right" else value), end=True)
    hdu.writeto("a.fits", overwrite=True)
    return len(examine("a.fits").damaged)


@pytest.mark.parametrize(("values", "expected"), [
    (["right"], 0), (["1"], 1), (["0"], 1), ([""], 0), (["   "], 0), ([17], 1),
    (["1", "right"], 0), (["right", "1"], 0), (["1", "2"], 1), (["unknown"], 0),
    (["-5"], 0), ([True], 0), (["  0001"], 1), ([-5], 0), ([2**32], 0), (["9" * 60], 0),
    (["NaN"], 0), ([1.5], 0), ([17.0], 1), ([None], 0), ([2**32 - 1], 1),
])  # fmt: skip
def test_cards(folder, values, expected, caplog):
    assert with_sum(*values) == expected
    no_sums = ("unknown", "-5", -5, True, 2**32, "9" * 60, "NaN", 1.5)
    is_told = any(value is values[0] or value == values[0] for value in no_sums)
    assert ("is no sum; its data are not checked" in caplog.text) == is_told


def test_nothing_more_is_read(good, folder):
    shutil.copy(good, "plain.fits")
    for n in range(3):
        for key in ("CHECKSUM", "DATASUM"):
            fits.delval("plain.fits", key, n)
    with count_reads() as without:
        digest("plain.fits")
    with count_reads() as reads:
        assert digest(good) == digest("plain.fits")
    assert reads.bytes == 2 * without.bytes
    damaged("bad.fits", good)
    with count_reads() as reads:
        assert len(DataFile("bad.fits")[0][3:5].meta)
    assert reads.bytes == 0


def test_entries_from_before_are_not_trusted(good):
    bad = damaged("bad.fits", good)
    os.utime(bad, (1e9, 1e9))
    cache = DigestCache(".ndmapper")
    examine(bad, cache)
    cache.save()
    known = json.loads(cache.path.read_text())
    known["digests"] = {k: v[:3] for k, v in known["digests"].items()}
    cache.path.write_text(json.dumps(known))
    assert examine(bad, DigestCache(".ndmapper")).damaged


@pytest.mark.parametrize("edit", [
    lambda df: df[0].data.__setitem__((0, 0), 9),
    lambda df: df[0].meta.__setitem__("A", 1),
    lambda df: df.tables["CAT"].add_row([1, "y"]),
    lambda df: setattr(df[0], "ident", 4),
    lambda df: df.meta.__setitem__("A", 1),
    lambda df: setattr(df[0], "variance", np.ones((50, 60))),
])  # fmt: skip
@pytest.mark.parametrize("tiled", [False, True])
def test_no_save_leaves_sums_that_are_out_of_date(good, edit, tiled):
    if tiled:
        with fits.open(good) as hdus:
            hdus[1] = fits.CompImageHDU(hdus[1].data, name="SCI")
            hdus[1].header["EXTVER"] = 1
            hdus.writeto("tiled.fits", checksum=True)
    df = DataFile("tiled.fits" if tiled else good, mode="update")
    edit(df)
    df.save()
    assert not sums(df.filename)
    assert not examine(df.filename).damaged


@pytest.mark.parametrize("name", ["pbad.fits", "pbad.fits.gz"])
def test_product_saved_later_has_no_sums_of_a_damaged_input(good, name):
    bad = damaged("bad.fits", good, hdu=2, at=3)  # a table that is copied
    made = add_one(bad, save=False)
    made.save(name)
    assert not sums(name)
    assert not examine(name).damaged
    with config.using(checksums="error"):
        assert add_one(name).record[-2]["product"] == name


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_edit_of_a_damaged_product_is_not_saved(good, suffix):
    DataFile(add_one(good)).save("good2.fits", checksum=True)
    bad = damaged("bad.fits", "good2.fits")
    df = DataFile(bad)
    df.meta["A"] = 1
    with pytest.raises(ChecksumError, match=r"HDU 1 .*make it again"):
        df.save(f"out.fits{suffix}")
    assert not [p for p in Path().iterdir() if "out.fits" in p.name]
    df[0].data[0, 0] += 1  # what was damaged is another array now
    df.save(f"out.fits{suffix}")
    assert not sums(f"out.fits{suffix}")


def test_damage_of_what_is_no_product_stays_to_be_seen(good, caplog):
    df = DataFile(damaged("bad.fits", good))
    df.meta["A"] = 1
    df.save("copy.fits")
    assert examine("copy.fits").damaged
    DataFile("copy.fits").save("summed.fits", checksum=True)
    assert "summed.fits may be damaged: HDU 1" in caplog.text
    assert not examine("summed.fits").damaged
