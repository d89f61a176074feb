"""Detect the failure of a task that returned normally."""

import re
from typing import Any

from ndmapper.engines.base import Job
from ndmapper.errors import StepError

__all__ = [
    "ProductError",
    "failure_lines",
    "failure_reason",
    "task_error",
    "warning_lines",
]


class ProductError(Exception):
    """A product is missing or damaged; the message is the end of a sentence."""


_FAILURES = re.compile(
    r"""(?mx)^(?:
        ERROR\b.*
      | \s*Warning:\s+(?:Cannot\ open|Operation\ would\ overwrite|Can't\ make
            |Image\ already\ exists|No\ |Error|.*\ not\ found|.*does\ not\ exist).*
      | .*is\ not\ an\ image\ or\ a\ number.*
      | .*Error\ reading\ image.*
      | .*Input\ images\ have\ different\ dimensions.*
      | .*Images?\ .*different\ (?:sizes?|dimensions).*
      | \s*Cannot\ open\ .*
      | \s*No\ images\ to\ .*
      | Unknown\ task\ name.*
    )$"""
)
_PARAMETER = re.compile(r"EOF while reading .*parameter \((\w+)\)")
# The executables also report their own crashes there.
_ASKS = re.compile(r"^(?!PANIC|Killing|Warning).*[:?](?:\s*\(\w*\):?)?$")
_WARNINGS = re.compile(r"(?mi)^\s*WARNING\b.*$")
_LINES = 12


def failure_lines(text: str) -> list[str]:
    """Return the lines in which tasks report errors."""
    return [found[0].strip() for found in _FAILURES.finditer(text)]


def warning_lines(text: str) -> list[str]:
    """Return the lines in which tasks report warnings."""
    return list(dict.fromkeys(f[0].strip() for f in _WARNINGS.finditer(text)))


def _last_lines(text: str) -> str:
    """Return the last lines of a task's output."""
    lines = [line.rstrip()[:300] for line in text.splitlines() if line.strip()]
    return "".join(f"\n  {line}" for line in lines[-_LINES:])


def failure_reason(reply: dict[str, Any], printed: str, said: str) -> str | None:
    """Return why a call failed, judging by reply and output; None if it did not."""
    asked = reply.get("asked")
    error = reply.get("error")
    if asked is True:
        asked = _question(said, printed, "" if error is None else error["text"])
    if error is not None:
        text: str = error["text"]
        if asked:
            text += f" (it asked for {asked})"
        return text if error["type"] == "IrafError" else f"{error['type']}: {text}"
    if asked:
        return (
            f"it asked for {asked}, and there was no user to answer; give the "
            "parameter that decides it, or use interact=True"
        )
    if reply.get("status") not in (None, 0):
        return f"it ended with status {reply['status']}"
    if found := failure_lines(printed):
        return found[0]
    return None


def _question(said: str, printed: str, error: str) -> str:
    """Return what was asked: a parameter, or the last output before reading input."""
    if found := _PARAMETER.search(error):
        return repr(found[1])
    for text in (said, printed):
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        asked = [line for line in lines if _ASKS.search(line)]
        if asked:
            return repr(asked[-1].rstrip(": ")[:200])
    return "something"


def task_error(
    job: Job, what: str, log: str, kind: type[StepError] = StepError
) -> StepError:
    """Build the error for a failed task."""
    names = [str(df) or "an unnamed file" for df in job.inputs]
    files = ", ".join(names[:3])
    if len(names) > 3:
        files += f" and {len(names) - 3} more"
    step = "" if job.step == job.task.name else f" (step {job.step})"
    lines = _last_lines(log)
    printed = f"; it printed last:{lines}" if lines else "; it printed nothing"
    on = f" on {files}" if files else ""
    err = kind(f"the IRAF task {job.task.name}{step} failed{on}: {what}{printed}")
    err.log = log
    return err
