"""The published import path of `run_task`."""

from ndmapper.steps import run_task

__all__ = ["run_task"]
