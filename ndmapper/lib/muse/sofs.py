"""Sets of frames (SOF) of a reduction: written to be looked at, or edited and used."""

import dataclasses
from pathlib import Path
from typing import Any

from ndmapper.data import DataFile
from ndmapper.engines.esorex.sof import frames_of, keep_sof
from ndmapper.errors import MissingFileError
from ndmapper.steps import Step

__all__ = ["sof_of_user", "write_sof"]


def write_sof(path: Path, step: Step, files: Any, **words: Any) -> None:
    """
    Write the set of frames of a call, of all its IFUs together.

    Parameters
    ----------
    path : Path
        The SOF file. One that somebody has edited is not replaced.
    step : Step
        A step of a recipe.
    files : DataFile, DataFileList or FileSet
        What it works on.
    **words : object
        Parameters of the call.

    Raises
    ------
    OutputExistsError
        If the file was edited.
    """
    items = step.plan(files, **words).items
    jobs = [item.unit.job(item.targets, None) for item in items]
    roles: dict[str, list[DataFile]] = {}
    for job in jobs:
        for tag, df in frames_of(job):
            known = roles.setdefault(tag, [])
            if str(df) not in map(str, known):
                known.append(df)
    path.parent.mkdir(parents=True, exist_ok=True)
    task = jobs[0].task
    task = dataclasses.replace(task, words={**task.words, "sof": path})
    keep_sof(dataclasses.replace(jobs[0], task=task, roles=roles, parameters={}))


def sof_of_user(step: Step, path: Path) -> Step:
    """
    Make a step that uses a set of frames as the user has written it.

    Parameters
    ----------
    step : Step
        A step of a recipe.
    path : Path
        The SOF file.

    Returns
    -------
    Step
        The same step, which takes its frames from the file.

    Raises
    ------
    MissingFileError
        If there is no such file.
    """
    if not path.is_file():
        msg = (
            f"{step.name} is to use the set of frames {path}, which is not there; have "
            "it written first (create_sof = true), and edit it"
        )
        raise MissingFileError(msg)
    first = step.declaration
    words = {**first.task.words, "create_sof": False, "sof": path}
    task = dataclasses.replace(first.task, words=words)
    return Step(dataclasses.replace(first, task=task))
