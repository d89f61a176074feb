from collections.abc import Callable
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, get_engine
from ndmapper.errors import (
    FormatError,
    MissingFileError,
    OutputExistsError,
    ParameterError,
)
from ndmapper.testing import Fake, FakeRecipe, fake_esorex, make_mef

MakeJob = Callable[..., Job]
engine = get_engine("esorex")


@pytest.fixture
def fake(tmp_path: Path) -> Fake:
    return fake_esorex(tmp_path / "bin", {"make": FakeRecipe(products={"OUT": 1})})


@pytest.fixture
def job_with(tmp_path: Path, fake: Fake, make_job: MakeJob) -> Callable[..., Job]:
    """Make a job of one frame with an easy name, and one with an odd one."""
    frames = [make_mef(tmp_path / name, n_ext=1) for name in ("a.fits", "b c.fits")]

    def make(**words: object) -> Job:
        with config.using(**fake.settings):
            return make_job("esorex:make", {"RAW": [DataFile(p) for p in frames]},
                            ["OUT"], words=words)  # fmt: skip

    return make


def test_kept_for_the_user(
    tmp_path: Path, fake: Fake, job_with: Callable[..., Job]
) -> None:
    sof = tmp_path / "set.sof"
    engine.run(job_with(sof=sof))
    first, good, odd = sof.read_text().splitlines()
    assert "Set of frames of make" in first
    assert good == f"{tmp_path}/a.fits RAW"
    # A file of this kind has no place for such a name.
    assert odd.startswith(f"# RAW: '{tmp_path}/b c.fits' cannot be named here")
    assert fake.calls[0].sof is not None
    assert len(fake.calls[0].sof.splitlines()) == 2
    engine.run(job_with(sof=sof))  # nobody has edited it


def test_edits_are_not_lost(tmp_path: Path, job_with: Callable[..., Job]) -> None:
    sof = tmp_path / "set.sof"
    engine.run(job_with(sof=sof))
    sof.write_text(sof.read_text() + "/x.fits RAW\n")
    before = sof.read_text()
    job = job_with(sof=sof)
    for act in (engine.check, engine.run):
        with pytest.raises(OutputExistsError, match="create_sof=False"):
            act(job)
    assert sof.read_text() == before


def test_edited_one_is_used(
    tmp_path: Path,
    fake: Fake,
    job_with: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_FOLDER", str(tmp_path))
    make_mef(tmp_path / "more.fits", n_ext=1)
    sof = tmp_path / "set.sof"
    text = "# mine\n\na.fits RAW\n${MY_FOLDER}/more.fits MASTER_X CALIB\n"
    sof.write_text(text)
    job = job_with(sof=sof, create_sof=False)
    engine.check(job)
    assert f"{tmp_path}/more.fits MASTER_X CALIB" in engine.preview(job).text
    outcome = engine.run(job)
    (call,) = fake.calls
    assert call.sof is not None
    assert call.sof.splitlines() == [
        f"{tmp_path}/a.fits RAW", f"{tmp_path}/more.fits MASTER_X CALIB",
    ]  # fmt: skip
    assert sof.read_text() == text
    assert outcome.warnings == ()
    assert engine.frames_of_user(job.task) == [
        (tmp_path / "a.fits", "RAW"), (tmp_path / "more.fits", "MASTER_X"),
    ]  # fmt: skip
    assert engine.frames_of_user(job_with(sof=sof).task) == []


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        (None, MissingFileError, "set.sof does not exist; create_sof=True"),
        ("a.fits RAW\ngone.fits RAW\n", MissingFileError, "gone.fits.*line 2 of"),
        ("a.fits\n", FormatError, "line 1 of .* gives no tag to a.fits"),
    ],
)
def test_bad_sof(  # noqa: PLR0917
    tmp_path: Path,
    job_with: Callable[..., Job],
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    error: type[Exception],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    sof = tmp_path / "set.sof"
    if text is not None:
        sof.write_text(text)
    with pytest.raises(error, match=words):
        engine.check(job_with(sof=sof, create_sof=False))


def test_no_sof_named(job_with: Callable[..., Job]) -> None:
    with pytest.raises(ParameterError, match="name its file with sof="):
        engine.check(job_with(create_sof=False))
