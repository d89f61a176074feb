"""Search the Gemini archive."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from astropy.table import Table

from ndmapper.errors import ParameterError, ServiceError
from ndmapper.services.criteria import Criteria, result_table
from ndmapper.services.parsing import parse_json_reply
from ndmapper.services.safename import safe_name
from ndmapper.services.transfer.response import Response

__all__ = ["find_at_gemini"]

_MOST = 2000
"""Number of rows at which the archive silently truncates; with few words, at 500."""

_MOST_OPEN = 500


def find_at_gemini(ask: Callable[[str], Response], criteria: Criteria) -> Table:
    """
    Find files.

    Raises ParameterError for a word that the archive would silently ignore,
    ServiceError if there are more files than it returns at once.
    """
    rows = {str(row["name"]): row for row in _rows(ask, criteria)}
    return result_table([_described(row) for row in rows.values()], "gemini")


def _rows(
    ask: Callable[[str], Response], criteria: Criteria
) -> list[Mapping[str, Any]]:
    reply = ask("/jsonsummary/canonical/" + "/".join(_words(criteria)))
    found = parse_json_reply(reply.body, reply.url)
    if not isinstance(found, list) or not all(isinstance(r, dict) for r in found):
        msg = f"{reply.url} answers with something else than a list of files"
        raise ServiceError(msg)
    is_open = any(row.get("results_truncated") for row in found)
    if len(found) >= (_MOST_OPEN if is_open else _MOST):
        halves = criteria.halves()
        if halves is not None:
            return [row for half in halves for row in _rows(ask, half)]
        if criteria.limit is None or criteria.limit > len(found):
            msg = (
                f"the Gemini archive finds at least {len(found)} files, and gives no "
                "more; narrow the search, or set a limit"
            )
            raise ServiceError(msg)
    for row in found:
        safe_name(str(row.get("name") or ""), reply.url)
    return [row for row in found if _fits(row, criteria)]


def _words(criteria: Criteria) -> list[str]:
    words = []
    if criteria.program is not None:
        _check(criteria.program, r"G[NS]-(19|20)\d\d[AB]-\w+-\d+|G[NS]-\w+-?\d*[\w-]*",
               "a program as 'GS-2012B-Q-1'")  # fmt: skip
        words.append(criteria.program)
    if criteria.first is not None and criteria.last is not None:
        days = [day.strftime("%Y%m%d") for day in (criteria.first, criteria.last)]
        words.append("-".join(dict.fromkeys(days)))
    for word, what in (
        (criteria.instrument, "an instrument as 'GMOS-S'"),
        (criteria.obs_type, "a type as 'BIAS'"),
        (criteria.obs_class, "a class as 'science'"),
    ):
        if word is not None:
            _check(word, r"[A-Za-z0-9-]+", what)
            words.append(word)
    if criteria.target is not None:
        _check(criteria.target, r"[^\0-\x1f=]+", "a target without '='")
        words.append("object=" + criteria.target.replace("/", "=slash="))
    return [quote(word, safe="=*") for word in words]


def _check(word: str, pattern: str, expected: str) -> None:
    if not re.fullmatch(pattern, word):
        msg = (
            f"{word!r} is not understood by the Gemini archive, which takes {expected}"
        )
        raise ParameterError(msg)


def _fits(row: Mapping[str, Any], criteria: Criteria) -> bool:
    """
    Whether a result matches all criteria: the archive ignores words that it does not
    know.
    """
    day = str(row.get("ut_datetime"))[:10]
    instrument = str(row.get("instrument"))
    return (
        criteria.program in (None, row.get("program_id"))
        and (criteria.first is None or day >= criteria.first.isoformat())
        and (criteria.last is None or day <= criteria.last.isoformat())
        and (criteria.instrument is None or instrument.startswith(criteria.instrument))
        and criteria.obs_type in (None, row.get("observation_type"))
        and criteria.obs_class in (None, row.get("observation_class"))
    )


def _described(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "filename": str(row["name"]),
        "date": str(row.get("ut_datetime") or "").replace(" ", "T"),
        "program": row.get("program_id"),
        "object": row.get("object"),
        "instrument": row.get("instrument"),
        "class": row.get("observation_class"),
        "type": row.get("observation_type"),
        "exptime": row.get("exposure_time"),
        "size": row.get("file_size"),
        "checksum": row.get("file_md5"),
    }
