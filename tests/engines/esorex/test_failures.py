"""Ways in which a real esorex fails, or seems not to."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Outcome, get_engine
from ndmapper.errors import (
    DeclarationError,
    FileChangedError,
    MissingFileError,
    MissingToolError,
    ParameterError,
    StepError,
    UnknownParameterError,
)

pytestmark = pytest.mark.esorex

MakeJob = Callable[..., Job]
Run = Callable[[Job], Outcome]
engine = get_engine("esorex")


@pytest.fixture
def fails(esorex: Run) -> Callable[[Job], str]:
    """Run a job that must fail, and give the message."""

    def check(job: Job) -> str:
        with pytest.raises(StepError) as caught:
            esorex(job)
        # Whatever is left of it looks like a product.
        assert job.folder is not None
        assert list(job.folder.iterdir()) == []
        assert "test_step: the recipe" in str(caught.value)
        assert caught.value.log
        return str(caught.value)

    return check


@pytest.mark.parametrize(
    ("tag", "hint"), [("DARK", ""), ("bias", "upper and lower case")]
)
def test_wrong_tag(
    bias_files: list[DataFile], make_job: MakeJob, fails: Callable[[Job], str],
    tag: str, hint: str,
) -> None:  # fmt: skip
    text = fails(make_job("esorex:muse_bias", {tag: bias_files}, ["MASTER_BIAS"]))
    assert "muse_bias (muse 2" in text
    assert "ended with exit code 255" in text
    assert "No valid raw tag(s) found!" in text
    assert "MUSE.SIM_BIAS01.fits" in text
    assert hint in text


@pytest.mark.parametrize("tag", ["", "two words", "#BIAS"])
def test_no_tag(bias_files: list[DataFile], make_job: MakeJob, tag: str) -> None:
    job = make_job("esorex:muse_bias", {tag: bias_files}, ["MASTER_BIAS"])
    with pytest.raises(DeclarationError, match="is no frame tag"):
        engine.check(job)


def test_too_few_frames(
    bias_files: list[DataFile], make_job: MakeJob, fails: Callable[[Job], str]
) -> None:
    job = make_job("esorex:muse_bias", {"BIAS": bias_files[:2]}, ["MASTER_BIAS"],
                   nifu=1)  # fmt: skip
    assert "Required 3, found 2 input frames" in fails(job)


def test_no_frames(make_job: MakeJob, fails: Callable[[Job], str]) -> None:
    assert "No valid raw tag" in fails(
        make_job("esorex:muse_bias", {}, ["MASTER_BIAS"])
    )


def test_calibration_missing(
    muse: dict[str, list[Path]], make_job: MakeJob, fails: Callable[[Job], str]
) -> None:
    darks = [DataFile(path) for path in muse["dark"]]
    job = make_job("esorex:muse_dark", {"DARK": darks}, ["MASTER_DARK"], nifu=1)
    assert 'Required 1, found 0 frames with tag "MASTER_BIAS"' in fails(job)


def test_file_missing(
    bias_files: list[DataFile], tmp_path: Path, make_job: MakeJob, esorex: Run
) -> None:
    path = tmp_path / "gone.fits"
    path.write_bytes(Path(bias_files[0]).read_bytes())
    gone = DataFile(path)
    path.unlink()
    job = make_job("esorex:muse_bias", {"BIAS": [*bias_files, gone]}, ["MASTER_BIAS"])
    with pytest.raises(MissingFileError, match=r"gone\.fits"):
        esorex(job)


DAMAGED = [lambda good: good[:500_000], lambda good: bytes(range(256)) * 20,
           lambda good: b""]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGED, ids=["half", "garbage", "empty"])
def test_input_that_is_damaged_later(
    bias_files: list[DataFile], tmp_path: Path, make_job: MakeJob, esorex: Run,
    damage: Callable[[bytes], bytes],
) -> None:  # fmt: skip
    path = tmp_path / "bad.fits"
    path.write_bytes(Path(bias_files[0]).read_bytes())
    bad = DataFile(path)
    path.write_bytes(damage(path.read_bytes()))
    job = make_job("esorex:muse_bias", {"BIAS": [*bias_files, bad]}, ["MASTER_BIAS"],
                   nifu=1)  # fmt: skip
    # Three good ones are enough for the recipe, which would end with exit code 0.
    with pytest.raises(FileChangedError, match=r"bad\.fits"):
        esorex(job)
    assert job.folder is not None
    assert list(job.folder.iterdir()) == []


@pytest.mark.parametrize("damage", DAMAGED, ids=["half", "garbage", "empty"])
def test_too_few_frames_that_can_be_read(
    bias_files: list[DataFile], tmp_path: Path, make_job: MakeJob,
    fails: Callable[[Job], str], damage: Callable[[bytes], bytes],
) -> None:  # fmt: skip
    bad = tmp_path / "bad.fits"
    bad.write_bytes(damage(Path(bias_files[0]).read_bytes()))
    sof = tmp_path / "my.sof"
    sof.write_text("".join(f"{path} BIAS\n" for path in [*bias_files[:2], bad]))
    job = make_job("esorex:muse_bias", {"BIAS": bias_files}, ["MASTER_BIAS"], nifu=1,
                   words={"create_sof": False, "sof": sof})  # fmt: skip
    text = fails(job)
    assert "ended with exit code 255" in text
    assert "its first error: " in text


def test_left_out_frame_of_an_edited_sof(
    bias_files: list[DataFile], tmp_path: Path, make_job: MakeJob,
    fails: Callable[[Job], str],
) -> None:  # fmt: skip
    (tmp_path / "bad.fits").write_bytes(Path(bias_files[0]).read_bytes()[:500_000])
    lines = [f"{path} BIAS" for path in [*bias_files, tmp_path / "bad.fits"]]
    sof = tmp_path / "my.sof"
    sof.write_text("\n".join(lines))
    job = make_job("esorex:muse_bias", {"BIAS": bias_files}, ["MASTER_BIAS"], nifu=1,
                   words={"create_sof": False, "sof": sof})  # fmt: skip
    text = fails(job)
    assert "used only 3 of 4 BIAS frames: bad.fits is not in the list" in text
    assert "could not be read although chip is alive" in text


def test_calibration_that_is_not_used(
    bias_files: list[DataFile], make_job: MakeJob, esorex: Run
) -> None:
    job = make_job("esorex:muse_bias", {"BIAS": bias_files}, ["MASTER_BIAS"], nifu=1,
                   NONSENSE=bias_files[0])  # fmt: skip
    outcome = esorex(job)
    (warning,) = outcome.warnings
    assert "do not list the NONSENSE" in warning


def test_unknown_recipe(bias_files: list[DataFile], make_job: MakeJob) -> None:
    job = make_job("esorex:muse_bais", {"BIAS": bias_files}, ["MASTER_BIAS"])
    assert engine.tool(job.task)["version"] is None
    assert engine.parameters(job.task) is None
    engine.check(job)
    words = r"no recipe 'muse_bais'.*did you mean 'muse_bias'.*cpl-plugin-muse"
    with pytest.raises(MissingToolError, match=words):
        engine.run(job)
    assert "no recipe 'muse_bais'" in engine.preview(job).text


def test_missing_esorex_and_plugins(
    bias_files: list[DataFile], make_job: MakeJob, tmp_path: Path, esorex: Run
) -> None:
    what = "esorex:muse_bias", {"BIAS": bias_files}, ["MASTER_BIAS"]
    with config.using(esorex="/nowhere/esorex"):
        words = r"apt install esorex.*eso.org/pipelines.*config\['esorex'\]"
        with pytest.raises(MissingToolError, match=words):
            engine.run(make_job(*what))
    words = r"config\['esorex_plugins'\]"
    with (
        config.using(esorex_plugins=str(tmp_path)),
        pytest.raises(MissingToolError, match=words),
    ):
        engine.run(make_job(*what))


def test_parameters(bias_files: list[DataFile], make_job: MakeJob, esorex: Run) -> None:
    def check(**parameters: object) -> None:
        engine.check(make_job("esorex:muse_bias", {"BIAS": bias_files}, ["MASTER_BIAS"],
                              **parameters))  # fmt: skip

    check(nifu=5, lsigma=2, overscan="vpoly:25,1.0", merge=True, combine="median")
    check(nifu=None)
    with pytest.raises(UnknownParameterError, match="did you mean 'overscan'"):
        check(overscna="none")
    with pytest.raises(
        ParameterError, match="nifu must be a whole number from -1 to 24"
    ):
        check(nifu=30)
    with pytest.raises(ParameterError, match="nifu must be a whole number"):
        check(nifu="abc")
    with pytest.raises(ParameterError, match="one of 'average', 'median', 'minmax'"):
        check(combine="sum")
    # esorex itself takes this one.
    with pytest.raises(ParameterError, match="one of 'none', 'offset', 'vpoly'"):
        check(overscan="foo")
    with pytest.raises(ParameterError, match="merge must be True or False"):
        check(merge="yes")


def test_ifu_that_is_not_there(
    bias_files: list[DataFile], make_job: MakeJob, fails: Callable[[Job], str]
) -> None:
    roles = {"BIAS": bias_files}
    text = fails(make_job("esorex:muse_bias", roles, ["MASTER_BIAS"], nifu=5))
    assert "No raw images loaded for IFU 5" in text
    # The product of IFU 1 is made, and not to be trusted.
    for options in ({"nifu": 0}, {"nifu": -1}, {"nifu": -1, "merge": True}):
        fails(make_job("esorex:muse_bias", roles, ["MASTER_BIAS"], **options))


def test_expected_product_is_not_made(
    dark_files: list[DataFile], make_job: MakeJob, fails: Callable[[Job], str]
) -> None:
    roles = {"DARK": dark_files}
    text = fails(make_job("esorex:hawki_dark_combine", roles, ["DIFFIMG_DARK"]))
    assert "made no DIFFIMG_DARK, but MASTER_DARK" in text
    text = fails(make_job("esorex:hawki_dark_combine", roles, ["MASTER_DARK#2"]))
    assert "the output MASTER_DARK#2 is not there" in text
