"""Queries of the ESO archive's tables (TAP, synchronous)."""

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
    """Quote a string for ADQL; control characters are refused."""
    if not text.isprintable():
        msg = f"{text!r} cannot be searched for: it has control characters"
        raise ServiceError(msg)
    return "'" + text.replace("'", "''") + "'"


def tap_query(http: Http, adql: str, limit: int) -> Table:
    """Run an ADQL query."""
    form = {
        "REQUEST": "doQuery",
        "LANG": "ADQL",
        "FORMAT": "votable",
        "MAXREC": str(limit),
        "QUERY": adql,
    }
    reply = http.ask("/tap_obs/sync", method="POST", data=form)
    # Check limits before astropy's parser sees the document.
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
        warnings.simplefilter("ignore")  # VOTable warnings do not concern the user
        try:
            votable: Any = parse_single_table(io.BytesIO(body), verify="ignore")
            return votable.to_table(use_names_over_ids=True)
        except Exception as err:  # the parser raises anything for a broken table
            msg = f"{source} answers with no table that can be read ({err})"
            raise ServiceError(msg) from None
