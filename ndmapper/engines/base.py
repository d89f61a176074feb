"""What an engine is given, and what it gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ndmapper.config import Settings
from ndmapper.data import DataFile

__all__ = ["Calibration", "Each", "Engine", "Job", "Output"]

Each = Literal["ndd", "file", "list"]
"""What the function of a step sees: one extension, one file, or all files."""

Output = str | None
"""Name of an output; None for the only one of a step that does not name it."""

Calibration = DataFile | list[DataFile] | None
"""One file, files aligned with the inputs (each='list'), or None: not applied."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    One unit of work: everything an engine needs to make one set of outputs.

    Parameters
    ----------
    step : str
        Name of the step, for messages.
    func : callable
        The function that declares the step.
    each : {'ndd', 'file', 'list'}
        What the function sees.
    inputs : sequence of DataFile
        One file, or with each='list' all of them.
    calibrations : mapping of str to DataFile, list of DataFile or None
        By name of the parameter; None is not applied.
    parameters : mapping
        Checked values of all other parameters of the function.
    outputs : tuple of (str or None)
        Names of the outputs.
    settings : Settings
        The configuration of the call.
    """

    step: str
    func: Callable[..., Any]
    each: Each
    inputs: Sequence[DataFile]
    calibrations: Mapping[str, Calibration]
    parameters: Mapping[str, Any]
    outputs: tuple[Output, ...]
    settings: Settings


class Engine(Protocol):
    """A way to do the work of a step."""

    name: str

    def run(self, job: Job) -> dict[Output, DataFile]:
        """
        Do the work of one job.

        Parameters
        ----------
        job : Job
            What to do.

        Returns
        -------
        dict of (str or None) to DataFile
            One unsaved, unnamed file for every output of the job.
        """
        ...
