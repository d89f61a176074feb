"""The access token of a logged-in ESO user, renewed before it expires."""

import base64
import binascii
import logging
import threading
import time

from ndmapper.documents import load_json
from ndmapper.errors import ServiceAccessError
from ndmapper.services.credentials import Credentials, find_credentials
from ndmapper.services.parsing import parse_json_reply
from ndmapper.services.redaction import Secret
from ndmapper.services.transfer.http import Http

__all__ = ["EsoLogin"]

log = logging.getLogger(__name__)

_URL = "https://www.eso.org"
_MARGIN = 600.0
"""A token is renewed so many seconds before it expires."""


class EsoLogin:
    """Provide the authorization header, and renew its token before it expires."""

    def __init__(self, http: Http | None = None) -> None:
        self.http = http or Http("eso-login", _URL)
        self._token: Secret | None = None
        self._use_until = 0.0
        self._is_looked_up = False
        self._found = Credentials()
        self._lock = threading.Lock()

    def __call__(self) -> dict[str, str]:
        """Return the header."""
        with self._lock:
            if not self._is_looked_up:
                self._found = find_credentials("eso")
                self._is_looked_up = True
                self._token = self._found.token
                self._use_until = _expiry(self._token) - _MARGIN
            if self._can_renew() and (
                self._token is None or time.time() > self._use_until
            ):
                self._log_in()
            if self._token is None:
                return {}
            return {"Authorization": f"Bearer {self._token.reveal()}"}

    def renew(self) -> bool:
        """Discard a token that was rejected."""
        with self._lock:
            if not self._can_renew() or self._token is None:
                return False
            self._token = None
        return True

    def _can_renew(self) -> bool:
        return bool(self._found.user and self._found.password)

    def _log_in(self) -> None:
        password = self._found.password
        reply = self.http.ask(
            "/sso/oidc/token",
            params={
                "response_type": "id_token token",
                "grant_type": "password",
                "client_id": "clientid",
                "client_secret": "clientSecret",
                "username": self._found.user,
                "password": password.reveal() if password else "",
            },
            is_login=True,
        )
        found = (
            parse_json_reply(reply.body, "the login of ESO")
            if reply.status == 200
            else {}
        )
        token = found.get("id_token") if isinstance(found, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            msg = (
                f"ESO does not take user {self._found.user!r} with this password "
                f"(status {reply.status})"
            )
            raise ServiceAccessError(msg)
        self._token = Secret(token)
        end = _expiry(self._token)
        # A token of very short lifetime is used for half of it.
        self._use_until = end - min(_MARGIN, (end - time.time()) / 2)
        log.info("logged in at ESO as %s", self._found.user)


def _expiry(token: Secret | None) -> float:
    """Return when a token expires; infinity if it does not say."""
    if token is None:
        return 0.0
    payload = token.reveal().split(".")[1:2]
    try:
        padded = payload[0] + "=" * (-len(payload[0]) % 4)
        return float(load_json(base64.urlsafe_b64decode(padded))["exp"])
    except (IndexError, ValueError, KeyError, TypeError, binascii.Error):
        return float("inf")
