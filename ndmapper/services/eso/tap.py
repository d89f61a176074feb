"""Ask the tables of the ESO archive (TAP, synchronous)."""

import io
import warnings
from typing import Any

from astropy.io.votable import parse_single_table
from astropy.table import Table

from ndmapper.errors import ServiceError
from ndmapper.services.parsing import parse_xml, tag_of
from ndmapper.services.transfer.http import Http

__all__ = ["quoted", "tap_query"]


def quoted(text: str) -> str:
    """
    Write a text as ADQL does.

    Raises ServiceError if it has control characters.
    """
    if not text.isprintable():
        msg = f"{text!r} cannot be searched for: it has control characters"
        raise ServiceError(msg)
    return "'" + text.replace("'", "''") + "'"


def tap_query(http: Http, adql: str, limit: int) -> Table:
    """
    Ask a question.

    Raises ServiceError if it is not understood, or the answer is not.
    """
    form = {
        "REQUEST": "doQuery",
        "LANG": "ADQL",
        "FORMAT": "votable",
        "MAXREC": str(limit),
        "QUERY": adql,
    }
    reply = http.ask("/tap_obs/sync", method="POST", data=form)
    # Limits are checked here, before the parser of astropy sees it.
    root = parse_xml(reply.body, reply.url)
    status, text = "", ""
    for element in root.iter():
        if tag_of(element) == "INFO" and element.get("name") == "QUERY_STATUS":
            status = str(element.get("value", "")).upper()
            text = " ".join("".join(element.itertext()).split())[:300]
    if status == "ERROR" or reply.status != 200:
        msg = f"{reply.url} does not answer (status {reply.status}): {text}"
        raise ServiceError(msg)
    table = _table(reply.body, reply.url)
    overflow = [e for e in root.iter() if tag_of(e) == "INFO"]
    table.meta = {"truncated": any(e.get("value") == "OVERFLOW" for e in overflow)}
    return table


def _table(body: bytes, source: str) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # archives keep to the standard in general
        try:
            votable: Any = parse_single_table(io.BytesIO(body), verify="ignore")
            return votable.to_table(use_names_over_ids=True)
        except Exception as err:  # whatever the parser meets in a broken table
            msg = f"{source} answers with no table that can be read ({err})"
            raise ServiceError(msg) from None
