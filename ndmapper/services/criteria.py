"""What files are searched for, and the table of what was found."""

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
"""The columns that every search gives; ``size`` is in bytes, as stored."""

_LARGEST = 2**62
_NUMBERS = {"exptime": float, "size": int}


@dataclass(frozen=True, kw_only=True)
class Criteria:
    """What files are looked for; None where it does not matter."""

    # The observing programme.
    program: str | None = None
    # The object, with ``*`` for anything.
    target: str | None = None
    # The first and last day (UT).
    first: datetime.date | None = None
    # The first and last day (UT).
    last: datetime.date | None = None
    # Name of the instrument.
    instrument: str | None = None
    # Type of observation, as the archive calls it.
    obs_type: str | None = None
    # Class of observation, as the archive calls it.
    obs_class: str | None = None
    # The most files; more are no error then.
    limit: int | None = None

    def halves(self) -> "tuple[Criteria, Criteria] | None":
        """Split the days in two."""
        if self.first is None or self.last is None or self.first >= self.last:
            return None
        middle = self.first + (self.last - self.first) // 2
        following = middle + datetime.timedelta(days=1)
        return replace(self, last=middle), replace(self, first=following)


def result_table(rows: Sequence[dict[str, Any]], archive: str) -> Table:
    """Make the table that a search gives."""
    table = Table(meta={"archive": archive})
    for name in COLUMNS:
        kind = _NUMBERS.get(name, str)
        values = [_converted(row.get(name), kind) for row in rows]
        mask = [value is None for value in values]
        filled = [kind() if value is None else value for value in values]
        table[name] = MaskedColumn(filled, mask=mask, dtype=kind if not rows else None)
    return table


def _converted(value: Any, kind: Any) -> Any:
    """Take what fits into a column; anything else is as good as missing."""
    try:
        if value is None or isinstance(value, list | dict):
            return None
        found = kind(value)
    except (TypeError, ValueError, OverflowError):
        return None
    if kind is str:
        return "".join(c if c.isprintable() else "?" for c in found)
    return found if abs(found) < _LARGEST else None
