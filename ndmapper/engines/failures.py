"""Words for programs that fail."""

from collections.abc import Iterable

from ndmapper.data import DataFile
from ndmapper.engines.base import Job
from ndmapper.engines.process import Finished, describe_end, last_lines, printable
from ndmapper.errors import StepError, TimeLimitError

__all__ = ["end_failure", "failure", "name_files"]


def name_files(files: Iterable[DataFile]) -> str:
    """Name files in a message."""
    names = [printable(str(df) or "unnamed file") for df in files]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return (", ".join(names[:3]) or "no files") + more


def failure(
    job: Job, tool: str, what: str, log: str, kind: type[StepError] = StepError
) -> StepError:
    """Make the error of a job whose program failed."""
    where = name_files(job.inputs)
    err = kind(f"{job.step}: {tool} {what}, on {where}; {last_lines(log)}")
    err.log = log
    return err


def end_failure(
    job: Job, tool: str, end: Finished, log: str, hint: str = ""
) -> StepError:
    """Make the error of a job whose program ended as it must not."""
    if end.timed_out:
        what = (
            f"was ended since it took longer than {job.timeout:g} s; raise timeout= or "
            "config['timeout'] if that is too little"
        )
        return failure(job, tool, what, log, TimeLimitError)
    return failure(job, tool, describe_end(end.returncode) + hint, log)
