"""What IRAF there is, and what is said where there is none."""

import json
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.engines import Job
from ndmapper.engines.iraf import IrafEngine
from ndmapper.engines.iraf.installation import Installation, find_iraf
from ndmapper.engines.iraf.parameters import describe
from ndmapper.errors import MissingToolError, ParameterError
from ndmapper.testing import make_mef

JobFor = Callable[..., Job]


@pytest.fixture
def no_iraf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let nothing be found, neither IRAF nor PyRAF."""
    for module in ("installation", "parameters"):
        name = f"ndmapper.engines.iraf.{module}.find_iraf"
        monkeypatch.setattr(name, lambda: None)
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 1\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("NDMAPPER_IRAF_PYTHON", str(python))
    config.reload()


def test_without_iraf(no_iraf: None, job_for: JobFor, tmp_path: Path) -> None:
    iraf = IrafEngine()
    path = make_mef(tmp_path / "x.fits")
    job = job_for(
        "images.imutil.imarith", tmp_path, {"operand1": path}, {"result": "y.fits"},
        op="+", operand2=1, anything="goes",
    )  # fmt: skip
    assert iraf.tool(job.task) == {"name": "IRAF", "version": None}
    assert iraf.parameters(job.task) is None
    iraf.check(job)
    assert "operand2 = 1" in iraf.preview(job).text
    with pytest.raises(MissingToolError) as caught:
        iraf.run(job)
    text = str(caught.value)
    assert text.startswith("the IRAF task images.imutil.imarith cannot run")
    for advice in ("apt install iraf iraf-noao", "ndmapper[iraf]", "libx11-dev",
                   "config['iraf_python']"):  # fmt: skip
        assert advice in text


def test_values_are_checked_without_iraf(
    no_iraf: None, job_for: JobFor, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "x.fits")
    job = job_for("a.b.c", tmp_path, {"input": path}, value=None)
    with pytest.raises(ParameterError, match="value of the IRAF task"):
        IrafEngine().check(job)


@pytest.mark.iraf
def test_version_is_told_without_starting_anything(
    need_iraf: None, job_for: JobFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("a process was started")

    task = job_for("images.imutil.imarith", None).task
    monkeypatch.setattr("subprocess.Popen", refuse)
    version = IrafEngine().tool(task)["version"]
    assert version is not None
    assert version.startswith("2.")
    assert "PyRAF" in version
    assert "pyraf" not in sys.modules


@pytest.mark.iraf
def test_another_python(
    need_iraf: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job_for: JobFor
) -> None:
    python = tmp_path / "other python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    path = make_mef(tmp_path / "x.fits")
    folder = tmp_path / "job"
    folder.mkdir()
    with config.using(iraf_python=str(python), outdir=str(tmp_path)):
        job = job_for(
            "images.imutil.imarith", folder, {"operand1": path}, {"result": "y.fits"},
            op="+", operand2=1,
        )  # fmt: skip
        assert IrafEngine().tool(job.task)["version"] is not None
        outcome = IrafEngine().run(job)
    assert outcome.products["result"][0].data[0, 1] == 1002


@pytest.mark.parametrize(
    "spoilt",
    [
        {"name": 3}, {"type": None}, {"mode": 1}, {"prompt": []}, {"default": [1]},
        {"min": {}}, {"choices": "ab"}, {"choices": [1]}, {"alias": []}, {"more": 1},
    ],
)  # fmt: skip
def test_spoilt_parameters_are_not_believed(
    tmp_path: Path, spoilt: dict[str, object]
) -> None:
    from ndmapper.engines.iraf.parameters import _read

    entry = {
        "name": "n", "type": "i", "mode": "h", "default": 1, "min": None, "max": 3,
        "choices": None, "prompt": "how many", "alias": "p_n",
    }  # fmt: skip
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps([entry]))
    assert _read(kept) == [entry]
    kept.write_text(json.dumps([entry | spoilt]))
    assert _read(kept) is None


@pytest.mark.iraf
def test_parameters_are_remembered(
    need_iraf: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    installation = Installation.of(config.snapshot())
    first = describe(installation, "images.imutil.imdivide")
    (kept,) = tmp_path.rglob("*.json")

    def refuse(*args: object, **kwargs: object) -> None:
        pytest.fail("IRAF was asked again")

    from ndmapper.engines.iraf import parameters as module

    monkeypatch.setattr(module, "worker", refuse)
    assert describe(installation, "images.imutil.imdivide") is first
    module._cached.cache_clear()
    assert describe(installation, "images.imutil.imdivide") == first
    # What was spoilt is asked again.
    kept.write_text("[{}]")
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module._cached.cache_clear()
    assert describe(installation, "images.imutil.imdivide") == first


@pytest.mark.iraf
def test_iraf_is_found_by_its_variable(
    need_iraf: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = tmp_path / "unix" / "hlib"
    made.mkdir(parents=True)
    (made / "zzsetenv.def").write_text('set version = "Community IRAF V2.99"\n')
    monkeypatch.setenv("iraf", str(tmp_path))
    assert find_iraf() == (str(tmp_path), "2.99")
