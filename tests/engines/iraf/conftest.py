"""Jobs for the IRAF engine, without the layer of steps."""

import itertools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Outcome, Task
from ndmapper.engines.iraf import IrafEngine

RunTask = Callable[..., Outcome]


def make_job(
    name: str,
    folder: Path | None,
    roles: Mapping[str, Any] | None = None,
    outputs: Mapping[str, str] | None = None,
    *,
    words: Mapping[str, Any] | None = None,
    timeout: float | None = 60.0,
    settings: Mapping[str, Any] | None = None,
    **parameters: Any,
) -> Job:
    """Declare one unit of work, as the layer of steps would."""
    files = {
        role: [DataFile(f) if not isinstance(f, DataFile) else f for f in given]
        if isinstance(given, list)
        else [given if isinstance(given, DataFile) else DataFile(given)]
        for role, given in (roles or {}).items()
    }
    words = dict(IrafEngine.words) | dict(words or {})
    targets = dict(outputs or {})
    return Job(
        step=name,
        task=Task(
            engine="iraf",
            name=name,
            inputs=tuple(files),
            outputs=tuple(targets),
            words=words,
        ),
        each="list" if words["comb_in"] else "file",
        roles=files,
        parameters=parameters,
        outputs=tuple(targets),
        targets=targets,
        settings=config.snapshot(**dict(settings or {})),
        folder=folder,
        timeout=timeout,
    )


@pytest.fixture
def job_for() -> Callable[..., Job]:
    """Declare jobs that are not run."""
    return make_job


@pytest.fixture
def need_iraf() -> None:
    """Skip without IRAF; in continuous integration fail."""
    version = IrafEngine().tool(Task(engine="iraf", name="x", inputs=(), outputs=()))
    if version["version"] is not None:
        return
    reason = "no IRAF: install iraf, iraf-noao and pyraf"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def run_iraf(
    need_iraf: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> RunTask:
    """Run one job in a folder of its own, with the products in another."""
    numbers = itertools.count(1)

    def run(name: str, *args: Any, **kwargs: Any) -> Outcome:
        folder = tmp_path / f"job{next(numbers)}"
        folder.mkdir()
        return IrafEngine().run(make_job(name, folder, *args, **kwargs))

    monkeypatch.chdir(tmp_path)
    return run
