"""Search archives for files."""

import datetime
import re
from typing import Any, Protocol

from astropy.table import Table

from ndmapper.errors import ParameterError, ServiceError, did_you_mean
from ndmapper.services.criteria import Criteria
from ndmapper.services.registry import Request, names, open_service

__all__ = ["SearchableService", "find_files"]


class SearchableService(Protocol):
    """A service that supports searches."""

    def find(self, criteria: Criteria) -> Table:
        """Find files."""


def find_files(
    server: str | SearchableService,
    *,
    program: str | None = None,
    target: str | None = None,
    date: Any = None,
    instrument: str | None = None,
    obs_type: str | None = None,
    obs_class: str | None = None,
    limit: int | None = None,
) -> Table:
    """
    Search an archive for files.

    The table can be passed to `download_files` and then to DataFileList. Rows may be
    removed, in Python or in the ECSV file it is saved to.

    Parameters
    ----------
    server : str or service
        The archive: ``"gemini"``, ``"eso"``, or a service of an installed package.
    program : str, optional
        The observing programme, as ``"GS-2012B-Q-1"`` or ``"60.A-9100(A)"``.
    target : str, optional
        Name of the object as given by the observer; ``*`` matches anything.
    date : str or date, optional
        A day (UT) as ``"2012-08-27"``, or two as ``"2012-08-27..2012-08-30"``.
    instrument : str, optional
        Name of the instrument, as ``"GMOS-S"`` or ``"MUSE"``.
    obs_type : str, optional
        Observation type in the archive's terms, as ``"BIAS"``.
    obs_class : str, optional
        Observation class in the archive's terms, as ``"science"`` at Gemini or
        ``"SCIENCE"`` at ESO.
    limit : int, optional
        Maximum number of files. Without it, more files than the archive returns at once
        are an error.

    Returns
    -------
    Table
        One row for each file, sorted by date.

    Raises
    ------
    ParameterError
        If there is no criterion, or a date is malformed.
    ServiceError
        If the search fails or finds too many files.
    """
    first, last = _days(date)
    criteria = Criteria(
        program=program, target=target, first=first, last=last, instrument=instrument,
        obs_type=obs_type, obs_class=obs_class, limit=limit,
    )  # fmt: skip
    if all(x is None for x in (program, target, first, instrument)):
        msg = "say what to look for: a program, a target, a date or an instrument"
        raise ParameterError(msg)
    if isinstance(server, str):
        server = _opened(server)
    table = server.find(criteria)
    table.sort(["date", "filename"])
    return table if limit is None else table[:limit]


def _opened(name: str) -> SearchableService:
    service: Any = open_service(name, Request())
    if hasattr(service, "find"):
        found: SearchableService = service
        return found
    msg = f"the service {name!r} cannot search"
    others = [other for other in names() if other != name]
    raise ServiceError(msg + did_you_mean(name, others))


def _days(date: Any) -> tuple[datetime.date | None, datetime.date | None]:
    if date is None:
        return None, None
    if isinstance(date, datetime.date):
        return date, date
    words = re.split(r"\.\.+", str(date).strip())
    try:
        days = [datetime.date.fromisoformat(word.strip()) for word in words]
        if len(days) > 2 or days[0] > days[-1]:
            raise ValueError
    except ValueError:
        msg = (
            f"{date!r} is no date; write it as 2012-08-27, or two as "
            "2012-08-27..2012-08-30"
        )
        raise ParameterError(msg) from None
    return days[0], days[-1]
