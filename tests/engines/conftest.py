"""Jobs without steps: engines are driven directly."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Task, get_engine

MakeJob = Callable[..., Job]


@pytest.fixture
def make_job(tmp_path: Path) -> MakeJob:
    """Make a job with a new folder."""
    count = 0

    def make(
        what: str,
        roles: Mapping[str, Sequence[DataFile]],
        outputs: Sequence[str | None],
        *,
        words: Mapping[str, Any] | None = None,
        targets: Mapping[str | None, str] | None = None,
        timeout: float | None = 60.0,
        **parameters: Any,
    ) -> Job:
        nonlocal count
        count += 1
        folder = tmp_path / f"job{count}"
        folder.mkdir()
        scheme, _, name = what.partition(":")
        engine = get_engine(scheme)
        task = Task(
            engine=scheme,
            name=name,
            inputs=tuple(roles),
            outputs=tuple(outputs),
            words={**engine.words, **(words or {})},
        )
        return Job(
            step="test_step",
            task=task,
            each=engine.each,
            roles=roles,
            parameters=parameters,
            outputs=tuple(outputs),
            targets=dict(targets or {}),
            settings=config.snapshot(),
            folder=folder,
            timeout=timeout,
        )

    return make
