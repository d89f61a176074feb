"""
Engines, which do the work of a step: one for each kind of tool.

base, registry
    The protocol of an engine, and the engines by name.
python, plain_results, command
    Python functions, what they return that is not FITS, and command-line programs.
iraf/, esorex/
    IRAF tasks in PyRAF workers, and recipes of the ESO pipelines.
staging, process
    Input files under safe names, and subprocesses with their error messages.
quality, decisions
    `qc` and `decide`, called from within a step, also in worker processes.
"""

from ndmapper.engines.base import Engine, Job, Outcome, Preview, Task
from ndmapper.engines.decisions import decide
from ndmapper.engines.quality import qc
from ndmapper.engines.registry import engine_names, get_engine

__all__ = [
    "Engine",
    "Job",
    "Outcome",
    "Preview",
    "Task",
    "decide",
    "engine_names",
    "get_engine",
    "qc",
]
