"""
Engine for IRAF tasks, run in PyRAF worker processes.

engine, preview
    The engine, and CL scripts that do the same.
calls, values, parameters
    The calls of a job, and parameters of tasks.
stage_mef, pixels, headers
    Files as IRAF can read them.
products, side_effects, vardq, failures
    What a task made, changed, left undone.
process, pool, worker, cl_cache, installation
    Worker processes that run PyRAF.
database, shared_database, entries
    IRAF's text databases: their form, those that tasks share, and entries that are
    declared as files.
"""

from ndmapper.engines.iraf.engine import IrafEngine

__all__ = ["IrafEngine"]
