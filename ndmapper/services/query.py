"""Query services: each question once, several services in turn."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ndmapper.calibrations.dependencies import LookUp
from ndmapper.calibrations.lookup_result import Answer, Matches, matched_files
from ndmapper.errors import NdmapperError, ParameterError, ServiceUnreachableError
from ndmapper.services.registry import Request, Service, open_service

__all__ = ["QueryCache", "Server"]

log = logging.getLogger(__name__)

Server = (
    str
    | Callable[[str, str], Matches]
    | Service
    | Sequence[str | Callable[[str, str], Matches] | Service]
)
"""Name of a service, a function, a service, or several that are tried in turn."""


class QueryCache:
    """Cached look-up in one service, or in several until one has an answer."""

    def __init__(self, server: Server, request: Request) -> None:
        several = isinstance(server, list | tuple)
        servers: Sequence[Any] = server if several else [server]  # type: ignore[assignment]
        if not servers:
            msg = "server is an empty list; name at least one, such as 'local'"
            raise ParameterError(msg)
        self.services = [_opened(one, request) for one in servers]
        self.bad: Mapping[str, str] = request.bad
        self.answers: dict[tuple[str, str], Answer] = {}
        self._down: dict[int, ServiceUnreachableError] = {}

    def __call__(self, filename: str, cal_type: str) -> Answer:
        """
        Return the cached answer, or ask.

        Raises the error of a service that failed, if no other has an answer.
        """
        question = filename, cal_type
        if question not in self.answers:
            self.answers[question] = self._ask(filename, cal_type)
        return self.answers[question]

    def _ask(self, filename: str, cal_type: str) -> Answer:
        failed: Exception | None = None
        empty: list[Answer] = []
        for number, (source, look_up) in enumerate(self.services):
            try:
                if number in self._down:
                    raise self._down[number]
                answer = self._answer(source, look_up(filename, cal_type))
            except (NdmapperError, OSError) as err:
                if isinstance(err, ServiceUnreachableError):
                    # Retries of the first question were enough: fail fast for the
                    # others.
                    self._down[number] = err
                if len(self.services) == 1:
                    raise
                log.info("%s was not told by %s: %s", cal_type, source, err)
                if failed is None or _is_missing(failed):
                    failed = err
                continue
            if not answer.is_empty:
                return answer
            empty.append(answer)
        if failed is not None and (not empty or not _is_missing(failed)):
            # None is certain only if all services have answered.
            raise failed
        why = "; ".join(answer.why for answer in empty if answer.why)
        sources = "+".join(answer.source for answer in empty)
        return replace(empty[-1], why=why, source=sources)

    def _answer(self, source: str, found: Matches) -> Answer:
        if not isinstance(found, Answer):
            found = Answer(files=tuple(matched_files(found)))
        return replace(found.without(self.bad), source=found.source or source)


def _opened(server: Any, request: Request) -> tuple[str, LookUp]:
    if isinstance(server, str):
        return server, open_service(server, request).look_up
    look_up = getattr(server, "look_up", server)
    if not callable(look_up):
        msg = (
            "server must be the name of a service, or a function that takes the name "
            f"of a frame and a type of calibration, or a list of them, not {server!r}"
        )
        raise ParameterError(msg)
    name = getattr(server, "name", None) or getattr(server, "__name__", None)
    return str(name or type(server).__name__), look_up


def _is_missing(err: Exception) -> bool:
    """Whether the service failed because the frame itself does not exist."""
    return isinstance(err, FileNotFoundError)
