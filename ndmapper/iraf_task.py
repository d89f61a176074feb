"""The published import path of `run_task`, and what belongs to IRAF alone."""

from ndmapper.engines.iraf.database import DbEntry, add_db_entry, db_path, read_db
from ndmapper.steps import run_task

__all__ = ["DbEntry", "add_db_entry", "db_path", "read_db", "run_task"]
