"""The protocol of an engine: what it is given, and what it returns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from ndmapper.config import Settings
from ndmapper.data import DataFile, FileSet
from ndmapper.data.fileset import files_in

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
"""What the function or tool receives: one extension, one file, or all files."""

Output = str | None
"""
Name of an output; None for the only one of a step that does not name it.

``'MASTER_BIAS#3'`` is the third product of an output that gives several of them, and
``'MASTER_BIAS[7]'`` the member of a set with the key 7.
"""

Calibration = DataFile | FileSet | list[Any] | None
"""One file or set, one for each input (each='list'), or None: not applied."""


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
        Values of all options of the engine, such as ``MEF_ext``.
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
        The function of a Python step; else None.
    each : {'ndd', 'file', 'list'}
        What the function or tool receives.
    roles : mapping of str to sequence of DataFile
        The inputs by name: one file each, or with each='list' all of them. A set counts
        as one file for a Python step; tools are given its members.
    calibrations : mapping of str to DataFile, list of DataFile or None
        Calibrations of a Python step, by parameter; None is not applied. For other
        tools they are among the parameters, but for entries of an IRAF database.
    parameters : mapping
        Checked values of all other parameters of the function or tool. A `DataFile`, or
        a list of them, stands for file names. Names are in Python spelling, with ``_``
        for ``-`` and ``.``.
    outputs : tuple of (str or None)
        Names of the outputs of this job.
    open : frozenset of (str or None)
        Those of them that give as many products as are made: ``'TAG#1'``, ``'TAG#2'``.
    targets : mapping of (str or None) to str
        File names of the products, without folder; of an open output, the pattern.
    settings : Settings
        The configuration of the call.
    folder : Path or None
        An empty folder for this job, an absolute path without blanks, which is removed
        when the products have been taken from it; None for a function that runs in
        memory only.
    timeout : float or None
        Time limit of the tool, in seconds.
    workers : int
        Number of processes that the engine may use for this job.
    """

    step: str
    task: Task
    func: Callable[..., Any] | None = None
    each: Each
    roles: Mapping[str, Sequence[Any]]
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    parameters: Mapping[str, Any]
    outputs: tuple[Output, ...]
    open: frozenset[Output] = frozenset()
    targets: Mapping[Output, str] = field(default_factory=dict)
    settings: Settings
    folder: Path | None = None
    timeout: float | None = None
    workers: int = 1

    @property
    def inputs(self) -> list[DataFile]:
        """All input files, one role after the other."""
        return [
            df
            for items in self.roles.values()
            for item in items
            for df in files_in(item)
        ]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """
    Result of a job.

    Parameters
    ----------
    products : mapping of (str or None) to DataFile
        One unsaved file for every output of the job, or several for an open one:
        ``'TAG#1'``, or ``'TAG[7]'`` where the engine knows the key, or ``'TAG'`` where
        it makes just one. If it is an
        unchanged whole file in the folder of the job, that file itself becomes the
        product.
    log : str
        Output of the tool.
    warnings : tuple of str
        Warnings for the user after success.
    replayed : bool
        Whether the tool started from what the user had done in it by hand before.
    """

    products: Mapping[Output, DataFile]
    log: str = ""
    warnings: tuple[str, ...] = ()
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Preview:
    """
    Description of what a job would do.

    Parameters
    ----------
    text : str
        For people: the exact parameters, command line or set of frames.
    script : str
        Lines that do the same without ndmapper; empty for a function.
    language : {'sh', 'cl', ''}
        Language of the script.
    """

    text: str
    script: str = ""
    language: Literal["sh", "cl", ""] = ""


class Engine(Protocol):
    """What does the work of a step: runs functions, tasks, recipes or programs."""

    name: str
    each: Each
    """What a tool of this engine receives by default."""
    words: Mapping[str, Any]
    """Options of a declaration that this engine knows, with their defaults."""

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
            Names in Python spelling; None if they are unknown, for instance since the
            tool is not installed.
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
            The description for people, and for another machine.
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
            The products, and the output of the tool.

        Raises
        ------
        MissingToolError
            If the tool is not installed.
        StepError
            If it fails, hangs, or does not make what was declared; the message names
            tool, files and step, and has the last lines of its output.
        """
        ...
