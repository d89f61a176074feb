"""Retry with exponential backoff."""

import email.utils
import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from ndmapper.errors import ServiceError, ServiceUnreachableError

__all__ = ["RETRIED", "Backoff", "asked_pause"]

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRIED = frozenset({429, 500, 502, 503, 504})
"""HTTP status codes for which a request is repeated."""

_LONGEST = 300.0
"""Longest pause that is accepted from a server [s]."""


@dataclass(frozen=True)
class Backoff:
    """Retry policy of requests."""

    # Maximum number of attempts.
    attempts: int = 4
    # Mean delay before the second attempt [s], doubled for every further one.
    pause: float = 1.0
    # Set when the user interrupts.
    stop: threading.Event | None = None

    def run(
        self,
        once: Callable[[], T],
        shown: str,
        *,
        once_only: bool = False,
        is_busy: Callable[[T], bool] | None = None,
        give_up: Callable[[T], None] | None = None,
    ) -> T:
        """
        Call `once` until it succeeds or retrying is useless.

        Raises ServiceUnreachableError if the last attempt gets no response,
        ServiceError if the archive demands too long a pause.
        """
        attempts = 1 if once_only else self.attempts
        for number in range(1, attempts + 1):
            is_last = number == attempts
            try:
                answer = once()
            except ServiceUnreachableError as err:
                if is_last:
                    raise
                reason, wait = str(err), None
            else:
                status = _status(answer)
                busy = status in RETRIED if is_busy is None else is_busy(answer)
                if not busy or is_last:
                    return answer
                reason = f"{shown} answers with status {status}"
                wait = asked_pause(getattr(answer, "headers", {}))
                if wait is not None and wait > _LONGEST:
                    msg = (
                        f"{shown} is busy and asks to wait {wait:.0f} seconds; try "
                        "again then"
                    )
                    raise ServiceError(msg)
                if give_up is not None:
                    give_up(answer)
            self.wait(number, reason, wait)
        msg = f"{shown} was never asked"  # pragma: no cover  # attempts are >= 1
        raise ServiceError(msg)

    def wait(self, number: int, reason: str, asked: float | None = None) -> None:
        """Wait before the next attempt."""
        # Jitter: many clients that failed together must not return together.
        own = self.pause * 2 ** (number - 1) * random.uniform(0.5, 1.5)
        pause = own if asked is None else asked + 0.1 * own
        log.info("%s; attempt %d of %d in %.1f s",
                 reason, number + 1, self.attempts, pause)  # fmt: skip
        sleep(pause, self.stop)
        if self.stop is not None and self.stop.is_set():
            msg = f"{reason}; then it was stopped"
            raise ServiceUnreachableError(msg)


def sleep(seconds: float, stop: threading.Event | None = None) -> None:
    """Wait; return early if `stop` is set."""
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)


def _status(answer: Any) -> int:
    found = getattr(answer, "status", None)
    return int(answer.status_code if found is None else found)


def asked_pause(headers: Any) -> float | None:
    """Parse the Retry-After header [s]."""
    text = headers.get("retry-after") or headers.get("Retry-After")
    if text is None:
        return None
    if text.strip().isdecimal():
        return float(text)
    try:
        when = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())
