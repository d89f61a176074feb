"""The verbs that look at files: info, ls and log."""

import errno
import os

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper import config, run_task
from ndmapper.testing import count_reads, make_mef


@run_task(prefix="s")
def scale(ndd, *, factor: float = 2.0):
    """Multiply by a number."""
    return ndd * factor


@pytest.fixture
def mef(folder):
    return make_mef(folder / "ergS20120827S0066.fits", n_ext=1, shape=(6, 8))


@pytest.fixture
def product(mef):
    return scale(str(mef.name), factor=3.0)


def test_info_shows_a_row_for_every_hdu(command, mef):
    lines = command("info", mef.name).out.splitlines()
    assert lines[0] == "ergS20120827S0066.fits"
    rows = [line.split()[1:] for line in lines[4:]]
    assert ["SCI", "1", "1", "data", "6", "x", "8", "float32"] in rows
    assert ["VAR", "1", "1", "uncertainty", "(variance)"] in [row[:5] for row in rows]
    assert ["DQ", "1", "1", "flags"] in [row[:4] for row in rows]
    assert len(rows) == 5


def test_info_shows_the_parts_of_the_name(command, mef):
    out = command("info", mef.name).out
    assert "prefix 'erg', base 'S20120827S0066', ext 'fits'" in out


def test_info_of_one_step_speaks_of_one(command, product):
    assert "record: 1 step, the last is scale" in command("info", product).out


def test_info_reads_no_pixels(command, mef):
    with count_reads() as reads:
        command("info", mef.name)
    assert reads.reads == 0


def test_info_json_has_everything(command, product):
    (found,) = command("info", "--json", "sergS20120827S0066.fits").json
    assert found["record"] == ["scale"]
    assert found["groups"] == 1
    assert found["name"]["prefix"] == "serg"
    science = next(e for e in found["extensions"] if e["part"] == "data")
    assert (science["ident"], science["shape"]) == (1, [6, 8])
    assert found["extensions"][-1]["part"] == "record"


def test_info_labels_say_which_extension_is_what(command, folder):
    make_mef(folder / "cube.fits", n_ext=1, names=("DATA", "STAT", "DQ"), table=False)
    (found,) = command("info", "--json", "--labels", "muse", "cube.fits").json
    assert [e["part"] for e in found["extensions"][1:]] == [
        "data",
        "uncertainty (variance)",
        "flags",
    ]


@pytest.mark.parametrize("axes", [0, 1, 3])
def test_info_table_of_another_rank_is_listed(command, folder, axes):
    table = fits.table_to_hdu(Table({"a": [1, 2]}))
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(folder / "t.fits")
    content = (folder / "t.fits").read_bytes()
    old = b"NAXIS   =" + b"2".rjust(21)
    assert content.count(old) == 1
    new = b"NAXIS   =" + str(axes).encode().rjust(21)
    more = (b"NAXIS3  =" + b"1".rjust(21)).ljust(80)
    content = content.replace(old, new).replace(b"".ljust(80), more, 1)
    (folder / "t.fits").write_bytes(content)
    assert "0 rows" in command("info", "t.fits").out


def test_info_bad_file_is_named_and_the_others_shown(command, mef, folder):
    (folder / "notes.fits").write_text("not FITS")
    result = command("info", "notes.fits", "nowhere.fits", mef.name)
    assert result.code == 1
    assert "notes.fits is not a FITS file" in result.err
    assert "nowhere.fits does not exist" in result.err
    assert "SCI" in result.out


def test_log_tells_how_a_product_was_made(command, product):
    out = command("log", "sergS20120827S0066.fits").out
    assert "was made by 1 step from 1 raw file: ergS20120827S0066.fits" in out
    assert "factor = 3" in out


def test_log_raw_file_says_that_it_has_no_record(command, mef):
    result = command("log", mef.name)
    assert result.code == 0
    assert "has no record" in result.out


def test_log_json_is_the_record(command, product):
    rows = command("log", "--json", "sergS20120827S0066.fits").json
    (row,) = rows["sergS20120827S0066.fits"]
    assert (row["step"], row["parameters"]) == ("scale", {"factor": 3.0})


def test_log_finds_a_record_beside_the_product(command, mef):
    with config.using(record="side"):
        scale(str(mef.name), factor=5.0)
    assert "factor = 5" in command("log", "sergS20120827S0066.fits").out


def test_log_missing_file_is_one_message(command):
    result = command("log", "nowhere.fits")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "nowhere.fits" in result.err


@pytest.fixture
def frames(folder):
    (folder / "raw").mkdir()
    for number, kind in enumerate(("BIAS", "FLAT", "OBJECT", "FOCUS"), 1):
        hdu = fits.PrimaryHDU(np.zeros((2, 2), "f4"))
        hdu.header["INSTRUME"] = "SIMCAM"
        hdu.header["OBSTYPE"] = kind
        hdu.header["EXPTIME"] = 0.0 if kind == "BIAS" else 1.0
        hdu.writeto(folder / "raw" / f"sim000{number}.fits")
    return folder / "raw"


def test_ls_classifies_frames(command, frames):
    rows = command("ls", "raw", "--json").json
    assert [row["class"] for row in rows] == ["bias", "flat", "object", "?"]
    assert "FOCUS" in rows[3]["why"]


def test_ls_table_ends_with_the_reason(command, frames):
    lines = command("ls", "raw").out.splitlines()
    assert lines[0].split()[:2] == ["file", "class"]
    assert lines[0].split()[-1] == "why"
    assert len(lines) == 5


def test_ls_instrument_can_be_named(command, frames):
    result = command("ls", "raw", "--instrument", "simcan")
    assert result.code == 1
    assert "did you mean 'simcam'" in result.err


def test_ls_save_writes_a_table_that_is_read_back(command, frames, folder):
    command("ls", "raw", "--save", "night.ecsv")
    table = Table.read(folder / "night.ecsv", format="ascii.ecsv")
    assert list(table["class"]) == ["bias", "flat", "object", "?"]


def test_ls_save_never_replaces_a_table(command, frames, folder):
    (folder / "night.ecsv").write_text("edited by hand")
    result = command("ls", "raw", "--save", "night.ecsv")
    assert result.code == 1
    assert (folder / "night.ecsv").read_text() == "edited by hand"


def test_ls_save_on_a_full_disk_leaves_nothing(command, frames, folder, monkeypatch):
    def fill(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill)
    result = command("ls", "raw", "--save", "night.ecsv")
    assert result.code == 1
    assert "night.ecsv cannot be written (No space left on device)" in result.err
    assert [path.name for path in folder.iterdir()] == ["raw"]


@pytest.mark.parametrize("parent", ["nowhere", "raw/sim0001.fits"])
def test_ls_save_into_no_folder_says_so(command, frames, parent):
    result = command("ls", "raw", "--save", f"{parent}/night.ecsv")
    assert result.code == 1
    assert f"{parent}/night.ecsv cannot be written" in result.err


def test_ls_missing_folder_is_one_message(command):
    result = command("ls", "nowhere")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "nowhere" in result.err


# ---- many files that are alike


@pytest.fixture
def many(folder):
    """Make four products of four files, and a table of another length in each."""
    for n in range(1, 5):
        make_mef(folder / f"x{n:02d}.fits", n_ext=1, shape=(6, 8))
        table = Table({"number": np.arange(10 * n)})
        with fits.open(folder / f"x{n:02d}.fits", mode="append") as hdus:
            hdus.append(fits.BinTableHDU(table, name="LIST"))
    return [str(df) for df in scale([f"x{n:02d}.fits" for n in range(1, 5)])]


def test_info_shows_files_that_hold_the_same_once(command, many):
    lines = command("info", *many, "x01.fits").out.splitlines()
    assert lines[:3] == [
        "sx{01..04}.fits",
        "  name: base 'sx{01..04}', ext 'fits'",
        "  record: 1 step, the last is scale",
    ]
    assert any(" 10 ... 40 rows " in line for line in lines)
    assert sum(line.startswith("x01.fits") for line in lines) == 1


def test_info_shows_each_file_where_that_is_asked_for(command, many):
    lines = command("info", "--all", *many).out.splitlines()
    assert [line for line in lines if line.endswith(".fits")] == many
    assert len(command("info", "--json", *many).json) == 4


def test_log_shows_products_that_were_made_alike_once(command, many):
    out = command("log", *many).out
    assert out.startswith("sx{01..04}.fits were made by 1 step from 4 raw files: ")
    assert command("log", "--all", *many).out.count(" was made by 1 step ") == 4
    assert len(command("log", "--json", *many).json) == 4


def test_ls_shows_frames_of_one_kind_in_one_row(command, folder):
    (folder / "raw").mkdir()
    for number in range(1, 8):
        hdu = fits.PrimaryHDU(np.zeros((2, 2), "f4"))
        hdu.header["INSTRUME"] = "SIMCAM"
        hdu.header["OBSTYPE"] = "BIAS" if number < 6 else "FLAT"
        hdu.header["EXPTIME"] = 0.0 if number < 6 else 1.0
        hdu.header["DATE-OBS"] = f"2026-01-01T00:00:0{number}"
        hdu.writeto(folder / "raw" / f"sim000{number}.fits")
    lines = command("ls", "raw").out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "file", "sim{0001..0005}.fits", "sim0006.fits", "sim0007.fits",
    ]  # fmt: skip
    assert " 2026-01-01T00:00:01.000 ... " in lines[1]
    assert len(command("ls", "raw", "--all").out.splitlines()) == 8
    assert len(command("ls", "raw", "--json").json) == 7
