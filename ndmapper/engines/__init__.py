"""How the work of a step is done: one engine for each kind of tool."""

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
