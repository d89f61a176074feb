"""External packages: one that imitates Gemini's, which cannot be had here."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Outcome
from ndmapper.errors import ConfigError, DeclarationError, ParameterError, StepError
from ndmapper.testing import make_mef

pytestmark = pytest.mark.iraf

RunTask = Callable[..., Outcome]
PACKAGE = Path(__file__).with_name("package")


@pytest.fixture
def run_gem(run_iraf: RunTask, tmp_path: Path) -> RunTask:
    """Run a task of the package on whole files."""
    folder = tmp_path / "fakegem"
    shutil.copytree(PACKAGE, folder)
    setup = tmp_path / "setup.cl"
    setup.write_text(
        f'reset fakegem = "{folder}/"\ntask fakegem.pkg = "fakegem$fakegem.cl"\n'
    )

    def run(name: str, *args: Any, words: Any = None, **kwargs: Any) -> Outcome:
        words = {"MEF_ext": False} | (words or {})
        with config.using(iraf_setup=str(setup)):
            return run_iraf(f"fakegem.{name}", *args, words=words, **kwargs)

    return run


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = make_mef(tmp_path / "x.fits", 1, primary={"EXPTIME": 5.0, "GAIN": 2.0})
    with fits.open(path, mode="update") as hdus:
        hdus["SCI"].header["INHERIT"] = True
        hdus["SCI"].header["OWN"] = 1
    return path


def test_whole_product(run_gem: RunTask, image: Path) -> None:
    outcome = run_gem("fgcopy", {"inimages": image}, {"outimages": "y.fits"})
    product = outcome.products["outimages"]
    before = DataFile(image)
    np.testing.assert_array_equal(product[0].data, before[0].data + 1)
    assert product[0].flags.dtype == np.uint16
    np.testing.assert_array_equal(product[0].flags, before[0].flags)
    assert product.meta["EXPTIME"] == 5
    assert product[0].meta["OWN"] == 1
    assert "EXPTIME" not in product[0].meta
    assert "FGCOPY done" in outcome.log
    assert outcome.warnings == ("WARNING - FGCOPY: this is not the real thing",)


def test_a_product_that_needs_no_mending_is_the_file(
    run_gem: RunTask, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "x.fits", 1)
    outcome = run_gem(
        "fgcopy", {"inimages": path}, {"outimages": "y.fits"}, fl_dq=False
    )
    assert outcome.products["outimages"].filename is not None


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("status", "it ended with status 1"),
        ("quiet", "did not make f_y"),
        ("half", "it ended with status 1"),
    ],
)
def test_failures(run_gem: RunTask, image: Path, how: str, words: str) -> None:
    with pytest.raises(StepError, match=words) as caught:
        run_gem("fgcopy", {"inimages": image}, {"outimages": "y.fits"}, failure=how)
    assert str(image) in str(caught.value)
    assert "FGCOPY begin" in caught.value.log
    # What it left behind does not disturb the next call.
    run_gem("fgcopy", {"inimages": image}, {"outimages": "y.fits"})


def test_path_param(run_gem: RunTask, image: Path) -> None:
    outcome = run_gem(
        "fgcopy", {"inimages": image}, {"outimages": "x.fits"},
        words={"path_param": "rawpath"},
    )  # fmt: skip
    product = outcome.products["outimages"]
    np.testing.assert_array_equal(product[0].data, DataFile(image)[0].data + 1)


def test_without_extend_nothing_is_spoilt(run_gem: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits", 1)
    raw = path.read_bytes()
    at = raw.index(b"EXTEND  =")
    path.write_bytes(raw[:at] + b"COMMENT ".ljust(80) + raw[at + 80 :])
    assert "EXTEND" not in DataFile(path).meta
    outcome = run_gem("fgcopy", {"inimages": path}, {"outimages": "y.fits"})
    product = outcome.products["outimages"]
    np.testing.assert_array_equal(product[0].data, DataFile(path)[0].data + 1)


def test_many_whole_files(run_gem: RunTask, tmp_path: Path) -> None:
    files = [make_mef(tmp_path / f"x{n}.fits", 1) for n in range(3)]
    outcome = run_gem("fglist", {"inimages": files}, words={"comb_in": True})
    assert outcome.log.startswith("FGLIST x0.fits,x1.fits,x2.fits\n")


def test_psets_are_heard(run_gem: RunTask, image: Path) -> None:
    logs = [
        run_gem("fglist", {"inimages": image}, **given).log.split()[2:]
        for given in ({}, {"level": 7, "word": "x y"}, {})
    ]
    # What was given once does not stay.
    assert logs == [
        ["LEVEL", "3", "none"], ["LEVEL", "7", "x", "y"], ["LEVEL", "3", "none"]
    ]  # fmt: skip
    with pytest.raises(ParameterError, match=r"level .* from 1 up to 9, not 10"):
        run_gem("fglist", {"inimages": image}, level=10)


def test_pixels_of_whole_files(run_gem: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits", 1, dtype="int64")
    with fits.open(path, mode="update") as hdus:
        hdus["DQ"].data = hdus["DQ"].data.astype("uint32")
    outcome = run_gem("fgcopy", {"inimages": path}, {"outimages": "y.fits"})
    product = outcome.products["outimages"]
    np.testing.assert_array_equal(product[0].data, DataFile(path)[0].data + 1)
    assert product[0].flags.dtype == np.uint32
    assert any("is int64" in text for text in outcome.warnings)


def test_switches_hold_for_whole_files(run_gem: RunTask, image: Path) -> None:
    outcome = run_gem(
        "fgcopy", {"inimages": image}, {"outimages": "y.fits"},
        settings={"use_flags": False},
    )  # fmt: skip
    assert not outcome.products["outimages"][0].has("flags")


def test_unknown_without_its_setup(run_iraf: RunTask, image: Path) -> None:
    with pytest.raises(DeclarationError, match=r"no package 'fakegem'.*iraf_setup"):
        run_iraf("fakegem.fglist", {"inimages": image})


def test_setup_that_is_not_there(run_iraf: RunTask, image: Path) -> None:
    with (
        config.using(iraf_setup="/no/such/file.cl"),
        pytest.raises(ConfigError, match=r"iraf_setup.*/no/such/file\.cl"),
    ):
        run_iraf("images.imutil.imstat", {"images": image})


def test_setup_that_is_wrong(run_iraf: RunTask, image: Path, tmp_path: Path) -> None:
    (tmp_path / "setup.cl").write_text("this is no CL (\n")
    with (
        config.using(iraf_setup=str(tmp_path / "setup.cl")),
        pytest.raises(StepError, match="PyRAF does not start"),
    ):
        run_iraf("images.imutil.imstat", {"images": image})
