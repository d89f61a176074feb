"""The protocol of an engine: what it is given, and what it returns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ndmapper.config import Settings
from ndmapper.data import DataFile

__all__ = [
    "Calibration",
    "Each",
    "Engine",
    "Job",
    "Outcome",
    "Output",
    "Preview",
    "Task",
]

Each = Literal["ndd", "file", "list"]
"""What the function or the tool sees: one extension, one file, or all files."""

Output = str | None
"""
Name of an output; None for the only one of a step that does not name it.

``'MASTER_BIAS#3'`` is the third product of an output that gives several of them.
"""

Calibration = DataFile | list[DataFile] | None
"""One file, files aligned with the inputs (each='list'), or None: not applied."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """
    The declared part of a step: all that is known before it is called.

    Parameters
    ----------
    engine : str
        Name of the engine.
    name : str or None
        What runs: ``'images.imutil.imarith'``, a recipe, a program; None for a
        function.
    inputs : tuple of str
        Names of the tool's parameters (or tags) that take the inputs.
    outputs : tuple of (str or None)
        Names of the tool's parameters (or tags) that give the outputs.
    words : mapping
        A value for every word that the engine declares, such as ``MEF_ext``.
    """

    engine: str
    name: str | None
    inputs: tuple[str, ...]
    outputs: tuple[Output, ...]
    words: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    One unit of work: everything an engine needs to make one set of outputs.

    Parameters
    ----------
    step : str
        Name of the step, for messages.
    task : Task
        What runs.
    func : callable or None
        The function that does the work of a step of pure Python; None otherwise.
    each : {'ndd', 'file', 'list'}
        What the function or the tool sees.
    roles : mapping of str to sequence of DataFile
        The inputs by name: one file each, or with each='list' all of them.
    calibrations : mapping of str to DataFile, list of DataFile or None
        Those of a step of pure Python, by parameter; None is not applied. Those of
        other tools are among the parameters.
    parameters : mapping
        Checked values of all other parameters: those of the function, or those of
        the tool, of which a `DataFile`, or a list of them, names files. Names are
        written as in Python, with ``_`` for ``-`` and ``.``.
    outputs : tuple of (str or None)
        Names of the outputs of this job.
    targets : mapping of (str or None) to str
        File names, without folder, that the products will have.
    settings : Settings
        The configuration of the call.
    folder : Path or None
        An empty folder for this job alone, an absolute path without blanks, which
        is removed after the products were taken from it; None if the job runs a
        function on what is in memory only.
    timeout : float or None
        The most time that the tool may take, in seconds.
    workers : int
        How many processes the engine may use for this job, beside those of others.
    """

    step: str
    task: Task
    func: Callable[..., Any] | None = None
    each: Each
    roles: Mapping[str, Sequence[DataFile]]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    parameters: Mapping[str, Any]
    outputs: tuple[Output, ...]
    targets: Mapping[Output, str] = field(default_factory=dict)
    settings: Settings
    folder: Path | None = None
    timeout: float | None = None
    workers: int = 1

    @property
    def inputs(self) -> list[DataFile]:
        """All inputs, one role after the other."""
        return [df for files in self.roles.values() for df in files]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    Result of a job.

    Parameters
    ----------
    products : mapping of (str or None) to DataFile
        One unsaved file for every output of the job. Where it is just a whole file in
        the folder of the job, that file itself becomes the product.
    log : str
        What the tool printed.
    warnings : tuple of str
        What the user should know although all went well.
    """

    products: Mapping[Output, DataFile]
    log: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Preview:
    """
    Description of what a job would do.

    Parameters
    ----------
    text : str
        For a person: the exact parameters, command line or set of frames.
    script : str
        Lines that do the same without ndmapper; empty for a function.
    language : {'sh', 'cl', ''}
        Of which language they are.
    """

    text: str
    script: str = ""
    language: Literal["sh", "cl", ""] = ""


class Engine(Protocol):
    """What does the work of a step: runs functions, tasks, recipes or programs."""

    name: str
    each: Each
    """What a tool of this engine sees where nobody says anything."""
    words: Mapping[str, Any]
    """Words of a declaration that mean something to this engine: name to default."""

    def tool(self, task: Task) -> dict[str, str | None]:
        """
        Return name and version of the tool. Must be fast when repeated.

        Parameters
        ----------
        task : Task
            What runs.

        Returns
        -------
        dict
            ``name`` and ``version`` of the package or program; the version is None
            where it is not installed.
        """
        ...

    def parameters(self, task: Task) -> Collection[str] | None:
        """
        List the parameters of a tool.

        Parameters
        ----------
        task : Task
            What runs.

        Returns
        -------
        collection of str or None
            Their names as in Python; None where nobody can tell, for instance since
            the tool is not installed.
        """
        ...

    def check(self, job: Job) -> None:
        """
        Check a job against the tool's own description, where it is installed.

        Nothing is written. The folder of the job does not exist yet.

        Parameters
        ----------
        job : Job
            What would be done.

        Raises
        ------
        UnknownParameterError, ParameterError
            If a parameter is not one of the tool's, or its value is wrong.
        """
        ...

    def preview(self, job: Job) -> Preview:
        """
        Describe exactly what would be done, without doing it.

        Parameters
        ----------
        job : Job
            What would be done. The folder of the job does not exist, and its inputs
            may not exist yet.

        Returns
        -------
        Preview
            The same for a person, and for another machine.
        """
        ...

    def run(self, job: Job) -> Outcome:
        """
        Do the work of one job.

        Parameters
        ----------
        job : Job
            What to do.

        Returns
        -------
        Outcome
            The products, and what the tool said.

        Raises
        ------
        MissingToolError
            If the tool is not installed.
        StepError
            If it fails, hangs, or does not make what was declared; the message names
            the tool, the files and the step, and has the last lines it printed.
        """
        ...
