"""Names, headers and parameters reach IRAF as data, whatever is in them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.engines import Outcome
from ndmapper.engines.iraf import IrafEngine
from ndmapper.errors import ParameterError, StepError
from ndmapper.testing import make_mef

pytestmark = pytest.mark.iraf

RunTask = Callable[..., Outcome]

NAMES = [
    "with blank.fits", "a,b.fits", "a@b.fits", "a[1].fits", "100%.fits", "a$b.fits",
    "!touch HIT.fits", "$(touch HIT).fits", "`touch HIT`.fits", "; touch HIT;.fits",
    "a*b?.fits", "(x).fits", "-rf.fits", "--help.fits", "é.fits", "a'b\"c.fits",
    "line\nbreak.fits", "UPPER.FITS", "123.fits", "a.fits", "..fits",
    "x" * 150 + ".fits", "MUSE.2017-06-16T01:34:56.867.fits", "noending",
    "@list.fits", "STDIN.fits", "host!file.fits", "~.fits", "#x.fits",
    "a&b|c>d.fits", "back\\slash.fits",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("by_extension", [True, False])
def test_names(
    run_iraf: RunTask, tmp_path: Path, name: str, *, by_extension: bool
) -> None:
    folder = tmp_path / "odd; $(touch HIT) 'folder'"
    folder.mkdir()
    path = folder / name
    pixels = np.arange(12, dtype="float32").reshape(3, 4)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "plain.fits")
    shutil.copy(tmp_path / "plain.fits", path)
    outcome = run_iraf(
        "images.imutil.imarith", {"operand1": path}, {"result": name}, op="+",
        operand2=1, words={"MEF_ext": by_extension},
    )  # fmt: skip
    np.testing.assert_array_equal(outcome.products["result"][0].data, pixels + 1)
    assert not list(tmp_path.rglob("HIT*"))


def test_several_names_that_become_alike(run_iraf: RunTask, tmp_path: Path) -> None:
    files = []
    for n, name in enumerate(["a b.fits", "a_b.fits", "a,b.fits", "A_B.fits"]):
        fits.PrimaryHDU(np.full((2, 3), 10.0**n, "float32")).writeto(tmp_path / name)
        files.append(tmp_path / name)
    outcome = run_iraf(
        "images.immatch.imcombine", {"input": files}, {"output": "a_b.fits"},
        words={"comb_in": True}, combine="sum",
    )  # fmt: skip
    assert (outcome.products["output"][0].data == 1111).all()


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".fz"])
def test_compressed_files(run_iraf: RunTask, tmp_path: Path, ending: str) -> None:
    pixels = np.arange(3000, dtype="int32").reshape(50, 60)
    path = tmp_path / f"x.fits{ending}"
    if ending == ".fz":
        hdu = fits.CompImageHDU(pixels, name="SCI")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        fits.PrimaryHDU(pixels).writeto(path)
    for words in ({}, {"MEF_ext": False}):
        if ending == ".fz" and words:
            continue  # the task itself must name the extension then
        outcome = run_iraf(
            "images.imutil.imarith", {"operand1": path}, {"result": "y.fits"}, op="+",
            operand2=1, words=words,
        )  # fmt: skip
        np.testing.assert_array_equal(outcome.products["result"][0].data, pixels + 1)


def test_tiles_in_a_whole_file(run_iraf: RunTask, tmp_path: Path) -> None:
    pixels = np.arange(3000, dtype="int32").reshape(50, 60)
    hdu = fits.CompImageHDU(pixels, name="SCI")
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "x.fits")
    outcome = run_iraf(
        "images.imutil.hedit", {"images": tmp_path / "x.fits"}, {"images": "y.fits"},
        words={"MEF_ext": False}, fields="KEY", value="1", add=True, verify=False,
    )  # fmt: skip
    np.testing.assert_array_equal(outcome.products["images"][0].data, pixels)


HEADERS = {
    "OBJECT": 'it\'s "NGC"; $(touch HIT) !ls `touch HIT`',
    "OBSERVER": "O'Brien; !touch HIT",
    "FILTER": "@list",
    "GRATING": "$(touch HIT)",
    "COMMAND": "; touch HIT",
    "LONGVAL": "x" * 60,
    "PERCENT": "%s %d %n",
    "ERRTEXT": "ERROR - TASK: no",
    "HIERARCH ESO DET CHIP ID": "it's; $(touch HIT)",
    "AIRMASS": 1.2e-7,
    "BIG": 2**40,
}


@pytest.mark.parametrize("is_primary", [True, False])
def test_headers(run_iraf: RunTask, tmp_path: Path, *, is_primary: bool) -> None:
    where = "primary" if is_primary else "extension"
    path = make_mef(tmp_path / "one.fits", **{where: HEADERS})
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 1].header["UNDEF"] = None
        hdus["SCI", 1].header["HISTORY"] = "it's $(touch HIT)"
        hdus["SCI", 1].header["LONGSTR"] = "it's long " * 20
    outcome = run_iraf("images.imutil.imcopy", {"input": path}, {"output": "y.fits"})
    outcome.products["output"].save(tmp_path / "y.fits")
    with fits.open(path) as before, fits.open(tmp_path / "y.fits") as after:
        for one, other in zip(before, after, strict=True):
            assert repr(one.header) == repr(other.header)
    assert not list(tmp_path.rglob("HIT*"))


GOOD = ["it's", 'say "x"', "$(touch HIT)", "; touch HIT", "!touch HIT", "`touch HIT`",
        "-rf", "..", "a\\b", "%s%n", "{x}", "| touch HIT", "> HIT", "&", "# no",
        "x" * 60]  # fmt: skip
REFUSED = ["line\nbreak", "nul\0", "é", ")_.verbose", "x" * 1000, "bell\x07"]


@pytest.mark.parametrize("text", GOOD)
def test_parameters(run_iraf: RunTask, tmp_path: Path, text: str) -> None:
    path = make_mef(tmp_path / "one.fits", 1)
    outcome = run_iraf(
        "images.imutil.hedit", {"images": path}, {"images": "y.fits"},
        words={"vardq": "carry"}, fields="NOTE", value=f"<{text}>", add=True,
        verify=False,
    )  # fmt: skip
    product = outcome.products["images"]
    product.save(tmp_path / "y.fits")
    # What IRAF writes is its business; that nothing is run, and no card broken, ours.
    with fits.open(tmp_path / "y.fits") as hdus:
        assert "NOTE" in hdus["SCI", 1].header
        hdus.verify("exception")
    assert not list(tmp_path.rglob("HIT*"))
    np.testing.assert_array_equal(product[0].data, DataFile(path)[0].data)


@pytest.mark.parametrize("text", REFUSED)
def test_refused_parameters(run_iraf: RunTask, tmp_path: Path, text: str) -> None:
    path = make_mef(tmp_path / "one.fits", 1)
    with pytest.raises(ParameterError, match="title"):
        run_iraf(
            "images.imutil.imarith", {"operand1": path}, {"result": "y.fits"}, op="+",
            operand2=1, title=text,
        )  # fmt: skip


@pytest.mark.parametrize("title", ['it\'s "M 31"', "plain"])
def test_titles(run_iraf: RunTask, tmp_path: Path, title: str) -> None:
    path = make_mef(tmp_path / "one.fits", 2)
    outcome = run_iraf(
        "images.imutil.imarith", {"operand1": path}, {"result": "y.fits"}, op="+",
        operand2=1, title=title,
    )  # fmt: skip
    outcome.products["result"].save(tmp_path / "y.fits")
    assert DataFile(tmp_path / "y.fits").meta["OBJECT"] == title


def test_too_many_cards(run_iraf: RunTask, tmp_path: Path) -> None:
    cards: dict[str, Any] = {f"K{n:06d}": n for n in range(3200)}
    path = make_mef(tmp_path / "one.fits", 1, extension=cards)
    with pytest.raises(StepError, match=r"one\.fits\[1\] have 32\d\d cards"):
        run_iraf("images.imutil.imcopy", {"input": path}, {"output": "y.fits"})
    cards = {f"K{n:06d}": n for n in range(2500)}
    path = make_mef(tmp_path / "two.fits", 1, extension=cards)
    outcome = run_iraf("images.imutil.imcopy", {"input": path}, {"output": "y.fits"})
    assert outcome.products["output"][0].meta["K002499"] == 2499


@pytest.mark.parametrize(
    "name",
    ["a$b", "home$x", "a;b'c", "a!b", "x@y", "é", "a,b", "(x)", "with blank", "a[1]"],
)
def test_folders_of_jobs(
    need_iraf: None, job_for: Callable[..., Any], tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name / "job"
    folder.mkdir(parents=True)
    path = make_mef(tmp_path / name / "x.fits")
    job = job_for(
        "images.imutil.imarith", folder, {"operand1": path}, {"result": "y.fits"},
        op="+", operand2=1, settings={"outdir": str(tmp_path / name)},
    )  # fmt: skip
    outcome = IrafEngine().run(job)
    assert outcome.products["result"][0].data[0, 0] == 1001
