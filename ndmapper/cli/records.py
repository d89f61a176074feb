"""Read the records that a verb was asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ndmapper.errors import RecordError

__all__ = ["read_all"]


def read_all(paths: Sequence[Path]) -> dict[str, list[dict[str, Any]]]:
    """Read the record of every file."""
    from ndmapper.io.record import read_records

    records = {str(path): read_records(path) for path in paths}
    for name, rows in records.items():
        if not rows:
            msg = f"{name} has no record: no step of ndmapper made it"
            raise RecordError(msg)
    return records
