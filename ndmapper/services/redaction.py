"""Secrets that are redacted from messages and logs."""

import logging
import re
import threading

__all__ = ["Secret", "hide_secrets", "redacted"]

_HIDDEN = "(hidden)"
_SHORTEST = 4
"""Shorter secrets are not redacted: they occur by chance in other text."""

_known: set[str] = set()
_lock = threading.Lock()
_PARAMETERS = re.compile(
    r"(?i)\b(password|passwd|client_secret|token|id_token|access_token|"
    r"gemini_archive_session)=[^&;\s'\"]+"
)


class Secret:
    """A password, cookie or token, hidden in repr and messages."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= _SHORTEST:
            with _lock:
                _known.add(value)

    def reveal(self) -> str:
        """Return the secret, to be sent to its host."""
        return self._value

    def __repr__(self) -> str:
        return _HIDDEN

    def __format__(self, spec: str) -> str:
        return _HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        msg = "a password, cookie or token is not written anywhere"
        raise TypeError(msg)


def redacted(text: str) -> str:
    """Replace all known secrets in a text."""
    with _lock:
        known = sorted(_known, key=len, reverse=True)
    for word in known:
        text = text.replace(word, _HIDDEN)
    return _PARAMETERS.sub(rf"\1={_HIDDEN}", text)


class _Hide(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        hidden = redacted(text)
        if hidden != text:
            record.msg, record.args = hidden, ()
        return True


def hide_secrets(logger_name: str) -> None:
    """Redact secrets in the log of another package."""
    logger = logging.getLogger(logger_name)
    if not any(isinstance(known, _Hide) for known in logger.filters):
        logger.addFilter(_Hide())
