"""What the headers of files say, and whether that meets a condition."""

import fnmatch
import glob
import logging
from collections.abc import Iterator, Mapping
from typing import Any

from astropy.table import MaskedColumn

from ndmapper.data.datafile import DataFile
from ndmapper.io.headers import UnreadableCardError

__all__ = ["column_of", "look_up", "matches"]

log = logging.getLogger(__name__)


def look_up(df: DataFile, keyword: str) -> Any:
    """
    Find a keyword in the primary header of a file, else in that of the first extension.

    None where it is in neither, has no value, or its card cannot be parsed, which is
    warned of.
    """
    for header in _headers(df):
        if keyword in header:
            try:
                value = header[keyword]
            except UnreadableCardError as err:
                log.warning("%s counts as a file without %s: %s", df, keyword, err)
                return None
            # An undefined value (a card without one) is no value.
            return value if isinstance(value, str | int | float | complex) else None
    return None


def _headers(df: DataFile) -> Iterator[Mapping[str, Any]]:
    yield df.meta
    if len(df):
        yield df[0].meta  # read now, if it comes to that


def column_of(values: list[Any]) -> MaskedColumn | list[Any]:
    """Make a column of values, masked where one is None."""
    missing = [value is None for value in values]
    if not any(missing):
        return values
    known = [value for value in values if value is not None]
    fill: Any = (
        ""
        if not known or any(isinstance(v, str) for v in known)
        else (type(known[0])(0))
    )
    filled = [fill if value is None else value for value in values]
    return MaskedColumn(filled, mask=missing)


def matches(value: Any, condition: Any) -> bool:
    """
    Whether a value meets a condition: a value, several, a function, a pattern, or None.

    None stands for a keyword that is missing.
    """
    if condition is None:
        return value is None
    if value is None:
        return False
    if callable(condition):
        return bool(condition(value))
    if isinstance(condition, list | tuple | set | frozenset):
        return any(matches(value, one) for one in condition)
    if isinstance(condition, str) and isinstance(value, str):
        if value.strip() == condition.strip():
            return True
        return glob.has_magic(condition) and fnmatch.fnmatchcase(
            value.strip(), condition
        )
    return bool(value == condition)
