"""Search the ESO archive."""

import datetime
import logging
from typing import Any

from astropy.table import Table

from ndmapper.errors import ServiceError
from ndmapper.services.criteria import Criteria, result_table
from ndmapper.services.eso.tap import quoted, tap_query
from ndmapper.services.safename import safe_name
from ndmapper.services.transfer.http import Http

__all__ = ["find_at_eso"]

log = logging.getLogger(__name__)

_MOST = 5000
_COLUMNS = (
    "dp_id, exp_start, prog_id, object, instrument, dp_cat, dp_type, exposure, "
    "access_estsize"
)


def find_at_eso(http: Http, criteria: Criteria) -> Table:
    """Find raw files; raises ServiceError if there are too many."""
    limit = criteria.limit or _MOST
    conditions = " AND ".join(_conditions(criteria))
    adql = f"SELECT {_COLUMNS} FROM dbo.raw WHERE {conditions} ORDER BY exp_start"
    found = tap_query(http, adql, limit)
    if missing := set(_COLUMNS.split(", ")) - set(found.colnames):
        msg = f"the table of ESO lacks the columns {', '.join(sorted(missing))}"
        raise ServiceError(msg)
    if found.meta["truncated"]:
        if criteria.limit is None:
            msg = (
                f"ESO finds more than {limit} files; narrow the search, or set a limit"
            )
            raise ServiceError(msg)
        log.warning("ESO finds more than %d files; these are the first", limit)
    return result_table([_described(row, http.base_url) for row in found], "eso")


def _conditions(criteria: Criteria) -> list[str]:
    found = []
    if criteria.program is not None:
        found.append(_like("prog_id", criteria.program))
    if criteria.target is not None:
        names = (_like(name, criteria.target) for name in ("object", "target"))
        found.append(f"({' OR '.join(names)})")
    if criteria.first is not None and criteria.last is not None:
        end = criteria.last + datetime.timedelta(days=1)
        found.append(f"exp_start >= '{criteria.first}T00:00:00Z'")
        found.append(f"exp_start < '{end}T00:00:00Z'")
    if criteria.instrument is not None:
        found.append(_like("instrument", criteria.instrument))
    if criteria.obs_type is not None:
        found.append(_like("dp_type", criteria.obs_type))
    if criteria.obs_class is not None:
        found.append(_like("dp_cat", criteria.obs_class))
    return found


def _like(column: str, text: str) -> str:
    if "*" in text:
        return f"{column} LIKE {quoted(text.replace('*', '%'))}"
    return f"{column} = {quoted(text)}"


def _described(row: Any, source: str) -> dict[str, Any]:
    size = _plain(row["access_estsize"])
    return {
        "filename": f"{safe_name(str(row['dp_id']), source)}.fits",
        "date": str(_plain(row["exp_start"]) or "").removesuffix("Z"),
        "program": _plain(row["prog_id"]),
        "object": _plain(row["object"]),
        "instrument": _plain(row["instrument"]),
        "class": _plain(row["dp_cat"]),
        "type": _plain(row["dp_type"]),
        "exptime": _plain(row["exposure"]),
        "size": 1024 * size if isinstance(size, int) else None,
        "checksum": None,
    }


def _plain(value: Any) -> Any:
    text = str(value)
    if text in {"", "--", "nan"}:
        return None
    return value.item() if hasattr(value, "item") else value
