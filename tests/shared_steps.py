"""
Steps that several modules of tests call, and a list of those that were at work.

A step whose source text, name or pickled form a test looks at is defined there.
"""

from pathlib import Path

from ndmapper.steps import run_task

DONE = []
"""Names of the steps below that worked in this process, cleared for each test."""


@run_task(prefix="d")
def double(ndd, *, offset: float = 0.0):
    """Double the data."""
    DONE.append("double")
    return ndd * 2 + offset


@run_task(prefix="b", cals=["bias"])
def subtract(ndd, bias, *, scale: float = 1.0, table: Path | None = None):
    """Subtract a scaled bias; the table counts by its content alone."""
    DONE.append("subtract")
    return ndd - bias * scale


@run_task(outputs=("low", "high"))
def split(ndd):
    """Give two products."""
    return {"low": ndd * 0.5, "high": ndd * 2.0}


@run_task(each="list", outputs="total", suffix="_sum")
def add_up(files):
    """Add up files, extension by extension."""
    DONE.append("add_up")
    return [sum((df[n] for df in files[1:]), files[0][n]) for n in range(len(files[0]))]


@run_task(each="list", outputs="bias", suffix="_bias")
def make_bias(files, *, factor: float = 1.0):
    """Take the mean of the first extensions."""
    DONE.append("make_bias")
    return [sum((df[0] for df in files[1:]), files[0][0]) * (factor / len(files))]


@run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{in}", "{out}"])
def copied():
    """Copy the file."""
