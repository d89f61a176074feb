"""
Files for an image display that runs, such as DS9 or Aladin, by way of SAMP.

SAMP is what astronomical programs on one desktop talk by: each is registered with a
hub. This is the part of its standard profile (IVOA recommendation SAMP 1.3, section 4)
that a program needs to send, and no more: XML-RPC calls of the hub.
"""

import contextlib
import logging
import os
import re
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ndmapper.errors import ServiceError

__all__ = ["image_displays", "send_image"]

log = logging.getLogger(__name__)

_LOAD_IMAGE = "image.load.fits"
_TIMEOUT = 5.0  # of a hub, which runs on this machine [s]
_LINE = re.compile(r"^([a-z0-9.\-_]+)=(.*)$", re.IGNORECASE)


class _Transport(xmlrpc.client.Transport):
    """A transport that does not wait for ever for a hub that hangs."""

    def make_connection(self, host: Any) -> Any:
        connection = super().make_connection(host)
        connection.timeout = _TIMEOUT
        return connection


def image_displays() -> dict[str, str]:
    """
    Find the programs that show FITS images.

    Returns
    -------
    dict of str to str
        SAMP's identifier of each, and its name; empty where no hub runs.
    """
    lock = _lockfile()
    if lock is None:
        return {}
    try:
        with _registered(lock) as (hub, key):
            return _displays(hub, key)
    except ServiceError as err:
        # A hub that died leaves its lock file behind.
        log.debug("no image display: %s", err)
        return {}


def send_image(path: str | os.PathLike[str]) -> list[str]:
    """
    Send a FITS file to the programs that show images.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    list of str
        Names of the programs that it was sent to.

    Raises
    ------
    ServiceError
        If no hub runs, or none of its programs shows images, or it does not answer.
    """
    lock = _lockfile()
    if lock is None:
        msg = (
            "no SAMP hub runs, so no image display can be reached; start DS9 (which "
            "starts a hub of its own) or another, or have a PNG made"
        )
        raise ServiceError(msg)
    with _registered(lock) as (hub, key):
        found = _displays(hub, key)
        if not found:
            msg = (
                "a SAMP hub runs, but no program that shows FITS images is connected; "
                "start DS9 or another"
            )
            raise ServiceError(msg)
        file = Path(path).resolve()
        message = {
            "samp.mtype": _LOAD_IMAGE,
            "samp.params": {"url": file.as_uri(), "name": file.name},
        }
        for client in found:
            hub.samp.hub.notify(key, client, message)
    return list(found.values())


def _displays(hub: Any, key: str) -> dict[str, str]:
    clients = hub.samp.hub.getSubscribedClients(key, _LOAD_IMAGE)
    return {
        str(c): str(hub.samp.hub.getMetadata(key, c).get("samp.name") or c)
        for c in clients
    }


def _lockfile() -> dict[str, str] | None:
    """Read what the hub says of itself; None where there is no hub."""
    given = os.environ.get("SAMP_HUB", "")
    path = Path.home() / ".samp"
    if given.startswith("std-lockurl:"):
        url = urlsplit(given.removeprefix("std-lockurl:"))
        if url.scheme != "file":
            return None
        path = Path(unquote(url.path))
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = (_LINE.match(line) for line in text.splitlines())
    found = {match[1]: match[2] for match in lines if match}
    if {"samp.secret", "samp.hub.xmlrpc.url"} <= set(found):
        return found
    return None


@contextmanager
def _registered(lock: dict[str, str]) -> Iterator[tuple[Any, str]]:
    """Register with the hub for as long as a block lasts."""
    url = lock["samp.hub.xmlrpc.url"]
    if urlsplit(url).scheme != "http":
        msg = f"the SAMP hub says that it is at {url!r}, which is no address of one"
        raise ServiceError(msg)
    try:
        with xmlrpc.client.ServerProxy(url, _Transport(), allow_none=True) as hub:
            answer: Any = hub.samp.hub.register(lock["samp.secret"])
            key = answer["samp.private-key"]
            try:
                hub.samp.hub.declareMetadata(key, {"samp.name": "ndmapper"})
                yield hub, key
            finally:
                with contextlib.suppress(OSError, xmlrpc.client.Error):
                    hub.samp.hub.unregister(key)
    except (OSError, xmlrpc.client.Error, KeyError, TypeError) as err:
        if isinstance(err, ServiceError):
            raise
        msg = f"the SAMP hub at {url} does not answer as it should ({err})"
        raise ServiceError(msg) from err
