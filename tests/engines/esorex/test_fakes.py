"""Failures that cannot be had from real recipes, or not quickly."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.config import config
from ndmapper.data import DataFile, PlainFile
from ndmapper.engines import Job, get_engine
from ndmapper.engines.esorex.products import ProductError, Products, find_products
from ndmapper.engines.esorex.sof import Frame
from ndmapper.errors import StepError, TimeLimitError
from ndmapper.testing import FakeRecipe, fake_esorex, make_mef
from ndmapper.testing.fakes import Fault

MakeJob = Callable[..., Job]
engine = get_engine("esorex")
RECIPES = {
    "make_bias": FakeRecipe(
        products={"MASTER_BIAS": 2, "QC_TABLE": 1},
        parameters={"stack-method": "mean", "low.limit": 1.5, "merge": False, "n": 3},
    )
}


@pytest.fixture
def frames(tmp_path: Path) -> list[DataFile]:
    return [DataFile(make_mef(tmp_path / f"b{n}.fits", n_ext=1)) for n in range(3)]


def test_what_it_is_given(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES)
    outputs = ["MASTER_BIAS#1", "MASTER_BIAS#2", "QC_TABLE"]
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, outputs,
                       stack_method="median", low_limit=2, BPM=frames[0])  # fmt: skip
        assert engine.tool(job.task) == {"name": "fake", "version": "1.0"}
        found = engine.parameters(job.task)
        assert found == ["stack_method", "low_limit", "merge", "n"]
        engine.check(job)
        outcome = engine.run(job)
    assert set(outcome.products) == set(outputs)
    assert Path(outcome.products["MASTER_BIAS#2"]).name == "MASTER_BIAS-02.fits"
    (call,) = fake.calls
    assert call.sof is not None
    assert call.sof.splitlines() == [
        *(f"{df} BIAS" for df in frames), f"{frames[0]} BPM",
    ]  # fmt: skip
    given = call.argv[call.argv.index("make_bias") + 1 : -1]
    # Defaults are said, too.
    assert given == [
        "--stack-method=median",
        "--low.limit=2.0",
        "--merge=FALSE",
        "--n=3",
    ]
    assert call.cwd == str(job.folder)
    assert call.environment["OMP_NUM_THREADS"].isdecimal()
    assert call.environment["MALLOC_PERTURB_"] == "255"
    assert "MALLOC_PERTURB_=255" in engine.preview(job).script
    home = Path(call.environment["HOME"])
    assert home.parent == job.folder
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "ended with exit code 255.*its first error: told to fail"),
        ("signal", r"was killed \(SIGKILL"),
        ("crash", r"crashed \(SIGSEGV\)"),
        ("no product", "did not write a list of products"),
        ("half a product", "damaged product MASTER_BIAS-01.fits.*truncated"),
    ],
)
def test_failures(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob, fault: Fault, words: str
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES, fault=fault, prints="last words")
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, ["QC_TABLE"])
    with pytest.raises(StepError, match=words) as caught:
        engine.run(job)
    assert "the recipe make_bias (fake 1.0)" in str(caught.value)
    assert "b0.fits, " in str(caught.value)
    assert "last words" in caught.value.log
    assert job.folder is not None
    assert list(job.folder.iterdir()) == []


def test_hang(tmp_path: Path, frames: list[DataFile], make_job: MakeJob) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES, fault="hang")
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, ["QC_TABLE"], timeout=0.5)
    with pytest.raises(TimeLimitError, match=r"longer than 0\.5 s"):
        engine.run(job)
    assert job.folder is not None
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize("fault", ["huge output", "bad UTF-8"])
def test_odd_output_does_no_harm(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob, fault: Fault
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES, fault=fault)
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, ["QC_TABLE"])
    outcome = engine.run(job)
    assert outcome.warnings == ()
    assert len(outcome.log) < 3_000_000


def test_errors_of_a_success_are_warnings(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob
) -> None:
    lines = (
        "12:00:00 [ ERROR ] muse_scipost: [tid=000] no filter 'x'\n"
        "12:00:00 [ ERROR ] muse_scipost: [tid=000] Dumping the 1 most recent errors\n"
        "12:00:00 [ ERROR ] muse_scipost: [tid=000]   [1/1] 'Illegal' (1) at x:y.c:1\n"
        "12:00:01 [WARNING] muse_scipost: [tid=000] not so bad"
    )
    fake = fake_esorex(tmp_path / "bin", RECIPES, prints=lines)
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, ["QC_TABLE"])
    outcome = engine.run(job)
    assert outcome.warnings == ("it printed the error: no filter 'x'",)
    assert outcome.log.count("ERROR") == 3


def test_one_of_several_products(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES)
    with config.using(**fake.settings):
        job = make_job("esorex:make_bias", {"BIAS": frames}, ["MASTER_BIAS"])
    with pytest.raises(StepError, match=r"made 2 products.*'MASTER_BIAS#1'"):
        engine.run(job)


def test_the_highest_version_is_taken(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES)
    plugins = tmp_path / "plugins"
    for version in ("9.4", "10.0", "9.12"):
        (plugins / f"fake-{version}").mkdir(parents=True)
        (plugins / f"fake-{version}" / "make_bias.so").touch()

    def version_with(folders: Path | str) -> str | None:
        with config.using(esorex=fake.settings["esorex"], esorex_plugins=str(folders)):
            job = make_job("esorex:make_bias", {"BIAS": frames}, ["QC_TABLE"])
            return engine.tool(job.task)["version"]

    assert version_with(plugins) == "10.0"
    assert version_with(plugins / "fake-9.4") == "9.4"
    assert version_with(f"{plugins / 'fake-9.12'}:{plugins}") == "9.12"
    (plugins / "unversioned").mkdir()
    (plugins / "unversioned" / "make_bias.so").write_text("x")
    assert str(version_with(plugins / "unversioned")).startswith("sha256:")


def test_esorex_that_cannot_tell_parameters(
    tmp_path: Path, frames: list[DataFile], make_job: MakeJob
) -> None:
    fake = fake_esorex(tmp_path / "bin", RECIPES)
    (Path(fake.settings["esorex_plugins"]) / "other.so").touch()
    with config.using(**fake.settings):
        job = make_job("esorex:other", {"BIAS": frames}, ["X"])
    with pytest.raises(StepError, match="does not tell the parameters of other"):
        engine.check(job)


def product_of(path: Path, raws: dict[int, int], cal: str = "") -> DataFile:
    """Write a product that lists so many raw frames, by the number of the list."""
    header = fits.Header()
    for number, count in raws.items():
        start = f"HIERARCH ESO PRO REC{number}"
        for n in range(1, count + 1):
            header[f"{start} RAW{n} NAME"] = f"r{number}_{n}.fits"
            header[f"{start} RAW{n} CATG"] = f"RAW{number}"
        if cal and number == max(raws):
            header[f"{start} CAL1 NAME"] = "cal.fits"
            header[f"{start} CAL1 CATG"] = cal
    fits.PrimaryHDU(np.zeros((2, 2), "i2"), header).writeto(path)
    return DataFile(path)


def test_lists_of_the_recipe_itself_are_the_last(tmp_path: Path) -> None:
    # The product of a product: its own recipe is the third, of ten or more the tenth.
    for last in (3, 10):
        df = product_of(tmp_path / f"p{last}.fits", {1: 3, 2: 1, last: 2}, "MASTER")
        frames = [
            *(Frame(path=f"/x/r{last}_{n}.fits", tag=f"RAW{last}") for n in (1, 2)),
            Frame(path="/x/cal.fits", tag="MASTER"),
        ]
        products = Products([("X", df)])
        products.check_inputs(frames)
        assert products.warnings == []
        more = Frame(path=f"/x/r{last}_3.fits", tag=f"RAW{last}")
        with pytest.raises(
            ProductError, match=f"only 2 of 3 RAW{last} frames: r{last}_3"
        ):
            products.check_inputs([*frames, more])


def test_recipes_in_the_text_of_a_card_are_no_list(tmp_path: Path) -> None:
    path = tmp_path / "p.fits"
    product_of(path, {1: 2})
    fits.setval(path, "HISTORY", value="HIERARCH ESO PRO REC9 ID of another file")
    products = Products([("X", DataFile(path))])
    frames = [Frame(path=f"/x/r1_{n}.fits", tag="RAW1") for n in (1, 2, 3)]
    with pytest.raises(ProductError, match="used only 2 of 3"):
        products.check_inputs(frames)


def test_a_list_of_filters_that_no_filter_needs(tmp_path: Path) -> None:
    df = product_of(tmp_path / "p.fits", {1: 1})
    frames = [Frame(path="/x/r1_1.fits", tag="RAW1"),
              Frame(path="/x/f.fits", tag="FILTER_LIST")]  # fmt: skip
    for filters, count in (("white", 0), ("white,Johnson_V", 1)):
        products = Products([("X", df)])
        products.check_inputs(frames, ["--save=cube", f"--filter={filters}"])
        assert len(products.warnings) == count


def test_a_picture_is_a_product(tmp_path: Path, frames: list[DataFile]) -> None:
    (tmp_path / "qc.pdf").write_bytes(b"%PDF-1.4")
    listing = tmp_path / "products.json"
    names = [("MASTER_BIAS", str(frames[0])), ("QC_PLOT", "qc.pdf")]
    listing.write_text(json.dumps([{"category": c, "name": n} for c, n in names]))
    products = find_products(tmp_path, listing)
    products.check_inputs([])
    found = products.by_output(["QC_PLOT", "MASTER_BIAS"])["QC_PLOT"]
    assert isinstance(found, PlainFile)
    assert found.read_bytes() == b"%PDF-1.4"
