"""Requests and responses of a local archive, and scenarios in which it fails."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["SCENARIOS", "Answer", "Asked", "Switch"]


@dataclass(frozen=True)
class Asked:
    """A received request."""

    method: str
    # Path and query.
    target: str
    # Names are in lower case.
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """Path without query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Parsed query."""
        return parse_qsl(urlsplit(self.target).query, keep_blank_values=True)

    @property
    def form(self) -> list[tuple[str, str]]:
        """The body, parsed as a form."""
        return parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)


@dataclass(frozen=True)
class Answer:
    """A response, and how it is sent."""

    status: int = 200
    body: bytes = b""
    # Headers, except those for the length of the body.
    headers: Mapping[str, str] = field(default_factory=dict)
    # 'length', 'chunked' or 'close': how the end of the body is marked.
    framing: str = "length"
    # Content-Length, possibly wrong.
    announced: int | None = None
    # Number of bytes after which the connection is cut.
    cut_after: int | None = None
    # Pause in the middle of the body [s].
    pause: float = 0.0

    def with_headers(self, **headers: str) -> "Answer":
        """Return the response with changed headers."""
        named = {name.replace("_", "-").title(): v for name, v in headers.items()}
        return replace(self, headers={**self.headers, **named})


@dataclass
class Switch:
    """An active scenario."""

    # One of `SCENARIOS`.
    name: str
    # Applies to requests whose path contains this text.
    path: str
    # Number of requests; None for all.
    times: int | None
    # Further options of the scenario.
    options: dict[str, Any]

    def applies(self, asked: Asked) -> bool:
        """Whether the scenario applies to a request, which is counted."""
        if self.path not in asked.path or self.times == 0:
            return False
        if self.times is not None:
            self.times -= 1
        return True


Scenario = Callable[..., Answer]


def _busy(answer: Answer, retry_after: str | None = None, status: int = 503) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status, b"busy", {"Content-Type": "text/plain", **headers})


def _status(
    answer: Answer, status: int, body: bytes = b"", content_type: str = "text/plain"
) -> Answer:
    return Answer(status, body, {"Content-Type": content_type})


def _body(answer: Answer, body: bytes, content_type: str | None = None) -> Answer:
    kept = dict(answer.headers)
    if content_type is not None:
        kept["Content-Type"] = content_type
    return replace(answer, status=200, body=body, headers=kept)


def _blocked(answer: Answer) -> Answer:
    text = b"\nLogin Required. Please visit https://archive.example/login\n"
    return Answer(403, text, {"Content-Type": "text/plain"})


def _proprietary(answer: Answer) -> Answer:
    text = b"<html><body>You do not have access to this file</body></html>"
    return Answer(403, text, {"Content-Type": "text/html"})


def _login_page(answer: Answer) -> Answer:
    text = b"<!DOCTYPE html><html><body><form>Please log in</form></body></html>"
    return Answer(200, text, {"Content-Type": "text/html; charset=utf-8"})


def _slow(answer: Answer, seconds: float = 1.0) -> Answer:
    return replace(answer, pause=seconds)


def _silent(answer: Answer, seconds: float = 1.0) -> Answer:
    time.sleep(seconds)
    return answer


def _cut(answer: Answer, after: int = 1000, framing: str = "length") -> Answer:
    return replace(answer, cut_after=after, framing=framing)


def _damaged(answer: Answer) -> Answer:
    middle = len(answer.body) // 2
    body = bytearray(answer.body)
    body[middle] ^= 0xFF
    return replace(answer, body=bytes(body))


def _redirect(answer: Answer, to: str, status: int = 302) -> Answer:
    return Answer(status, b"<html>moved</html>", {"Location": to})


def _endless(answer: Answer, size: int = 1 << 24, framing: str = "chunked") -> Answer:
    padding = b"\0" * max(0, size - len(answer.body))
    return replace(answer, body=answer.body + padding, framing=framing)


def _named(answer: Answer, disposition: str) -> Answer:
    return answer.with_headers(content_disposition=disposition)


def _no_ranges(answer: Answer) -> Answer:
    dropped = {"Accept-Ranges", "ETag", "Last-Modified"}
    kept = {k: v for k, v in answer.headers.items() if k not in dropped}
    return replace(answer, headers=kept)


def _wrong_range(answer: Answer, value: str = "bytes 0-9/10") -> Answer:
    return replace(answer, status=206).with_headers(content_range=value)


def _announced(answer: Answer, size: int = 1000) -> Answer:
    return replace(answer, announced=size)


SCENARIOS: Mapping[str, Scenario] = {
    "announced": _announced,
    "blocked": _blocked,
    "body": _body,
    "busy": _busy,
    "cut": _cut,
    "damaged": _damaged,
    "endless": _endless,
    "login-page": _login_page,
    "named": _named,
    "no-ranges": _no_ranges,
    "proprietary": _proprietary,
    "redirect": _redirect,
    "silent": _silent,
    "slow": _slow,
    "status": _status,
    "wrong-range": _wrong_range,
}
"""Failures of any response, by name."""
