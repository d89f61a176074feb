"""
Credentials of archives: from the environment, a private file, or the keyring.

An archive takes a token that it issued itself (``cookie`` for the Gemini archive,
``token`` for ESO), or ``user`` and ``password``. All credentials of one archive are
taken from the first of these places that has some:

1. the environment: ``NDMAPPER_GEMINI_COOKIE``, ``NDMAPPER_ESO_USER``, ...;
2. ``credentials.toml`` beside the user's ndmapper.toml, mode 0600, with a table for
   each archive: ``[eso]``, ``user = "..."``, ``password = "..."``;
3. the keyring, if the package keyring is installed: service ``ndmapper gemini`` or
   ``ndmapper eso``, with the user names ``cookie`` or ``token``, or the user's own.
"""

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from ndmapper.documents import load_toml
from ndmapper.errors import ConfigError, FileAccessError
from ndmapper.services.redaction import Secret

__all__ = ["Credentials", "credentials_file", "find_credentials"]

log = logging.getLogger(__name__)

_WORDS = ("cookie", "token", "user", "password")
_HANDED_OUT = {"gemini": "cookie", "eso": "token"}


@dataclass(frozen=True)
class Credentials:
    """Credentials of the user for one archive."""

    # Issued by the archive.
    cookie: Secret | None = None
    token: Secret | None = None
    user: str | None = None
    password: Secret | None = None

    def __bool__(self) -> bool:
        return bool(self.cookie or self.token or (self.user and self.password))


def credentials_file() -> Path:
    """Return the path of the credentials file."""
    given = os.environ.get("NDMAPPER_CREDENTIALS")
    folder = Path(platformdirs.user_config_dir("ndmapper", appauthor=False))
    return Path(given) if given else folder / "credentials.toml"


def find_credentials(archive: str) -> Credentials:
    """
    Return the credentials for an archive.

    Raises FileAccessError if others may read the credentials file.
    """
    for words in (
        _of_environment(archive),
        _of_file(archive),
        _of_keyring(archive),
    ):
        found = _made(words)
        if found:
            return found
    return Credentials()


def _made(words: Mapping[str, str]) -> Credentials:
    hidden: dict[str, Any] = {
        name: value.strip("\r\n") if name == "user" else Secret(value.strip("\r\n"))
        for name, value in words.items()
        if value
    }
    return Credentials(**hidden)


def _of_environment(archive: str) -> dict[str, str]:
    found = {w: os.environ.get(f"NDMAPPER_{archive}_{w}".upper()) for w in _WORDS}
    return {name: value for name, value in found.items() if value}


def _of_file(archive: str) -> dict[str, str]:
    path = credentials_file()
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if os.name != "nt" and mode & (stat.S_IRWXG | stat.S_IRWXO):
                msg = (
                    f"others may read the credentials in {path}, so they are not "
                    f"used; protect it with 'chmod 600 {path}', and change what it "
                    "holds if it was not you who opened it"
                )
                raise FileAccessError(msg)
            text = stream.read()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        table = load_toml(text).get(archive, {})
    except ValueError:
        # Not chained: the parser's message quotes the line.
        msg = f'{path} is not valid TOML; write [{archive}] and then name = "value"'
        raise ConfigError(msg) from None
    if not isinstance(table, dict) or not all(
        name in _WORDS and isinstance(value, str) for name, value in table.items()
    ):
        msg = f"[{archive}] in {path} may have {', '.join(_WORDS)}, each a text"
        raise ConfigError(msg)
    return table


def _of_keyring(archive: str) -> dict[str, str]:
    try:
        import keyring
    except ImportError:
        return {}
    service = f"ndmapper {archive}"
    name = _HANDED_OUT.get(archive, "token")
    try:
        word = keyring.get_password(service, name)
        if word:
            return {name: word}
        found = keyring.get_credential(service, None)
    except Exception as err:  # back ends raise anything where none works
        log.debug("the keyring cannot be used (%s)", type(err).__name__)
        return {}
    return {"user": found.username, "password": found.password} if found else {}
