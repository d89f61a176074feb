"""Search criteria, and the table of search results."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from astropy.table import MaskedColumn, Table

__all__ = ["COLUMNS", "Criteria", "result_table"]

COLUMNS = (
    "filename", "date", "program", "object", "instrument", "class", "type", "exptime",
    "size", "checksum",
)  # fmt: skip
"""Columns of every search result; ``size`` is in bytes, as stored."""

_LARGEST = 2**62
_NUMBERS = {"exptime": float, "size": int}


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """Search criteria; None for any."""

    # Observing programme.
    program: str | None = None
    # Object name; ``*`` matches anything.
    target: str | None = None
    # First and last day (UT).
    first: datetime.date | None = None
    last: datetime.date | None = None
    instrument: str | None = None
    # Observation type, in the archive's terms.
    obs_type: str | None = None
    # Observation class, in the archive's terms.
    obs_class: str | None = None
    # Maximum number of files; without it, too many results are an error.
    limit: int | None = None

    def halves(self) -> "tuple[Criteria, Criteria] | None":
        """Split the range of days in two."""
        if self.first is None or self.last is None or self.first >= self.last:
            return None
        middle = self.first + (self.last - self.first) // 2
        following = middle + datetime.timedelta(days=1)
        return replace(self, last=middle), replace(self, first=following)


def result_table(rows: Sequence[dict[str, Any]], archive: str) -> Table:
    """Make the table of search results."""
    table = Table(meta={"archive": archive})
    for name in COLUMNS:
        kind = _NUMBERS.get(name, str)
        values = [_converted(row.get(name), kind) for row in rows]
        mask = [value is None for value in values]
        filled = [kind() if value is None else value for value in values]
        table[name] = MaskedColumn(filled, mask=mask, dtype=kind if not rows else None)
    return table


def _converted(value: Any, kind: Any) -> Any:
    """Convert a value to a column's type; None if impossible."""
    try:
        if value is None or isinstance(value, list | dict):
            return None
        found = kind(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if kind is str:
        return "".join(c if c.isprintable() else "?" for c in found)
    return found if abs(found) < _LARGEST else None
