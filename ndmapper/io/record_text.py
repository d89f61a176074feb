"""The text form of a record: canonical JSON with the number of its schema."""

import json
from collections.abc import Sequence
from typing import Any

from ndmapper.errors import RecordError

__all__ = ["SCHEMA", "canonical", "read_entries"]

SCHEMA = 2
"""Number of the schema that is written; older ones are read for ever."""


def canonical(value: Any) -> str:
    """
    Write a value as JSON in the one form that is compared and hashed.

    Parameters
    ----------
    value : object
        Anything JSON can hold.

    Returns
    -------
    str
        ASCII JSON with sorted keys and no spaces. Infinities and NaN, which JSON
        does not have, are refused.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def read_entries(texts: Sequence[str], schema: Any) -> list[dict[str, Any]]:
    """
    Read entries from their text.

    Parameters
    ----------
    texts : sequence of str
        JSON, an entry each.
    schema : int
        Number of the schema that they were written with.

    Returns
    -------
    list of dict
        The entries.

    Raises
    ------
    RecordError
        If the schema is a newer one, or a text is not JSON.
    """
    if not isinstance(schema, int) or schema > SCHEMA:
        msg = (
            f"the record has schema {schema!r}, but this version of ndmapper knows "
            f"schemas up to {SCHEMA}; update ndmapper to read it"
        )
        raise RecordError(msg)
    try:
        return [json.loads(text) for text in texts]
    except ValueError as err:
        msg = f"the record holds text that is not JSON ({err})"
        raise RecordError(msg) from err
