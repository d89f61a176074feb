"""
How the work of a step is done: one engine for each kind of tool.

base, registry
    What an engine does, and which there are.
python, command, iraf, esorex
    Functions, programs of the command line, IRAF tasks, ESO recipes.
staging, links, argv, process, failures
    Folders in which tools work, what they are given, and how they fail.
quality, decisions, extension_notes
    What a step says of its products, and what it lets the user decide.
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
