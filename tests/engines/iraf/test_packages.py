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
from ndmapper.errors import (
    ConfigError,
    DeclarationError,
    ParameterError,
    StepError,
    UnknownParameterError,
)
from ndmapper.iraf_task import run_task
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
        "noao\ntwodspec\nlongslit\n"
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


def trying(run_gem: RunTask, image: Path, how: str, **more: Any) -> Outcome:
    return run_gem(
        "fgtry", {"inimages": image}, {"outimages": "y.fits"}, how=how, **more
    )


def test_cards_that_a_task_wrote_into_both_headers(
    run_gem: RunTask, image: Path
) -> None:
    with fits.open(image, mode="update") as hdus:
        # Where it is set, IRAF writes no card that the primary header has.
        del hdus["SCI"].header["INHERIT"]
    product = trying(run_gem, image, "keywords").products["outimages"]
    assert product.meta["DISPAXIS"] == product[0].meta["DISPAXIS"] == 1
    assert product.meta["GAIN"] == product[0].meta["GAIN"] == 1
    # This one stood above the image before, so it may have come from there.
    assert "EXPTIME" not in product[0].meta


def test_tasks_of_iraf_that_have_the_name_of_a_program(
    run_gem: RunTask, image: Path
) -> None:
    words = trying(run_gem, image, "own").log.split()
    assert words[:8] == ["b", "2", "a", "1", "a", "1", "b", "2"]


def test_a_question_that_has_an_answer(run_gem: RunTask, image: Path) -> None:
    assert "DISPAXIS 1\n" in trying(run_gem, image, "ask").log
    # A parameter of a package in which the task does not lie.
    for name in ("longslit_dispaxis", "noao_twodspec_longslit_dispaxis"):
        outcome = trying(run_gem, image, "ask", **{name: 2})
        assert "DISPAXIS 2\n" in outcome.log
    assert "DISPAXIS 1\n" in trying(run_gem, image, "ask").log
    with pytest.raises(ParameterError, match=r"dispaxis .* from 1 up to 3, not 4"):
        trying(run_gem, image, "ask", longslit_dispaxis=4)
    with pytest.raises(UnknownParameterError, match="no parameter 'longslit_axis'"):
        trying(run_gem, image, "ask", longslit_axis=1)


def test_files_that_nobody_declared_are_kept(
    run_gem: RunTask, image: Path, tmp_path: Path
) -> None:
    for _ in range(2):
        outcome = trying(run_gem, image, "extra")
        (warning,) = outcome.warnings
        assert "also made found.txt, second.fits, which no output declares" in warning
        kept = tmp_path / ".ndmapper" / "undeclared" / "y.fits"
        assert sorted(p.name for p in kept.iterdir()) == [
            "fgtry.log", "found.txt", "second.fits"
        ]  # fmt: skip
        assert (kept / "found.txt").read_text() == "4000. 5.\n"
        assert (kept / "second.fits").read_bytes()[:6] == b"SIMPLE"
        assert "fgtry.log:\nwhat was done" in outcome.log


def test_a_product_that_lost_its_images(run_gem: RunTask, image: Path) -> None:
    with pytest.raises(StepError, match=r"has no pixels.*x\.fits has 1 image"):
        trying(run_gem, image, "empty")


SWITCHES = {"fl_vardq": "use_uncert|use_flags", "fl_inter": "interact"}


@pytest.mark.parametrize(
    "case",
    [
        ({}, {}, "yes no"),
        ({"use_uncert": False}, {}, "yes no"),
        ({"use_uncert": False, "use_flags": False}, {}, "no no"),
        ({}, {"fl_vardq": False}, "no no"),
        ({}, {"fl_inter": True}, "yes yes"),
    ],
    ids=lambda case: case[2],
)
def test_switches_reach_the_task(
    run_gem: RunTask, image: Path, tmp_path: Path, case: Any
) -> None:
    settings, given, said = case
    setup = tmp_path / "setup.cl"
    with config.using(iraf_setup=str(setup), **settings):
        made = run_task(
            "fakegem.fgtry", inputs={"inimages": image},
            outputs={"outimages": "z.fits"}, MEF_ext=False,
            options={"switches": SWITCHES}, logfile="z.log", **given,
        )  # fmt: skip
    log = (tmp_path / "z.log").read_text()
    assert f"SWITCHES {said}" in " ".join(log.split())
    assert "START fakegem.fgtry\n" in log
    (df,) = made["outimages"]
    # The switches are in the config of the record, and no parameters besides.
    assert df.record[-1]["task"]["parameters"] == given
    assert df.record[-1]["task"]["words"]["switches"] == SWITCHES


def test_switches_that_are_none() -> None:
    with pytest.raises(DeclarationError, match=r"follows 'use_uncerts'.*'use_uncert'"):
        run_task(
            "a.b", inputs="x", outputs="y", options={"switches": {"f": "use_uncerts"}}
        )(lambda: {})
    with pytest.raises(DeclarationError, match="give a mapping from parameters"):
        run_task("a.b", inputs="x", outputs="y", switches="use_uncert")(lambda: {})


def test_a_process_whose_packages_failed_is_not_used_again(
    run_iraf: RunTask, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "half.cl").write_text(
        'package half\ntask one = "half$one.cl"\ni = 1 / 0\nclbye()\n'
    )
    (tmp_path / "one.cl").write_text('procedure one ()\nbegin\n print ("ONE")\nend\n')
    setup = tmp_path / "setup.cl"
    setup.write_text(f'reset half = "{tmp_path}/"\ntask half.pkg = "half$half.cl"\n')
    # The second call would find the package loaded, as far as it came.
    for _ in range(2):
        with (
            config.using(iraf_setup=str(setup)),
            pytest.raises(DeclarationError, match=r"half\.one"),
        ):
            run_iraf("half.one")
