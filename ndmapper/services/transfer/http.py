"""
HTTP client of the archives, the only place that sends requests.

Requests use https, an honest user agent, time-outs and retries. A credential is sent
only to its own host. Responses are limited in size, and error messages contain no query
strings and no secrets.
"""

import contextlib
import functools
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from ndmapper._version import __version__
from ndmapper.config import config
from ndmapper.errors import (
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services.redaction import hide_secrets, redacted
from ndmapper.services.transfer import replay
from ndmapper.services.transfer.backoff import RETRIED, Backoff
from ndmapper.services.transfer.redirects import (
    is_same_host,
    is_trusted,
    led_to,
    refusal,
)
from ndmapper.services.transfer.response import (
    NoConnectionError,
    Response,
    StreamedResponse,
    read_limited,
    shown_url,
)

__all__ = ["CHUNK", "Http", "user_agent"]

log = logging.getLogger(__name__)

CHUNK = 1 << 16
"""Bytes read at a time."""

_LARGEST_REPLY = 64 << 20
_CONNECT_TIMEOUT = 15.0
_REDIRECTS = 5

Auth = Callable[[], Mapping[str, str]]
"""Returns the headers with a credential; empty without one."""


class Http:
    """HTTP client of one archive."""

    def __init__(
        self,
        name: str,
        base_url: str,
        *,
        auth: Auth | None = None,
        attempts: int = 4,
        pause: float = 1.0,
        kept_as: str | None = None,
    ) -> None:
        self.name = name
        self.kept_as = kept_as or name
        self.base_url = str(config["archive_urls"].get(name, base_url)).rstrip("/")
        own = str(config.own("archive_urls").get(name, base_url))
        self.takes_credentials = is_same_host(urlsplit(own), urlsplit(self.base_url))
        self.auth = auth
        self.backoff = Backoff(attempts, pause)

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        params: Any = None,
        data: Any = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        is_login: bool = False,
        limit: int = _LARGEST_REPLY,
    ) -> Response:
        """
        Send a request and return the complete response.

        Raises ServiceUnreachableError without network or response, ServiceError for a
        response that is too large or redirects to a forbidden place.
        """
        request = _Request(method, path, params, data, json, dict(headers or {}))
        key = replay.RequestKey.of(
            self.kept_as, method, path, params=params, data=data, body=json
        )
        if not is_login and (kept := replay.find(key)) is not None:
            body = b"".join(kept.chunks())
            return Response(kept.status, kept.headers, body, self._shown(path))
        self._must_be_online()

        def once() -> Response:
            with self._opened(request, is_login=is_login) as response:
                body = read_limited(_pieces(response), limit, self._shown(path))
                found = _headers(response)
                cookies = response.cookies.get_dict()
                return Response(
                    response.status_code, found, body, self._shown(path), cookies
                )

        reply = self.backoff.run(once, self._shown(path), once_only=is_login)
        if not is_login:
            replay.keep(key, reply.status, reply.headers, [reply.body])
        return reply

    @contextlib.contextmanager
    def stream(
        self, path: str, *, headers: Mapping[str, str] | None = None, **words: Any
    ) -> Iterator[StreamedResponse]:
        """Send a request whose response is read in chunks."""
        method = words.get("method", "GET")
        params, data = words.get("params"), words.get("data")
        key = replay.RequestKey.of(self.kept_as, method, path, params=params, data=data)
        shown = self._shown(path)
        if (kept := replay.find(key)) is not None:
            yield StreamedResponse(kept.status, kept.headers, kept.chunks(), shown)
            return
        self._must_be_online()
        request = _Request(method, path, params, data, None, dict(headers or {}))
        if (
            replay.is_recording()
        ):  # record the complete response, not the end of a resumed one
            request.headers.pop("Range", None)
        with contextlib.ExitStack() as stack:
            opened = self.backoff.run(
                lambda: stack.enter_context(self._opened(request, may_leave=True)),
                shown,
                is_busy=lambda response: response.status_code in RETRIED,
                give_up=lambda _: stack.close(),
            )
            chunks = _pieces(opened, decode=False)
            if replay.is_recording():
                chunks = replay.kept_while_read(
                    key, opened.status_code, _headers(opened), chunks
                )
            yield StreamedResponse(opened.status_code, _headers(opened), chunks, shown)

    def _must_be_online(self) -> None:
        if replay.is_replaying():
            msg = (
                f"{self.name}: the folder {config['archive_replay']} "
                "(config['archive_replay']) does not hold this answer; record it anew"
            )
            raise ServiceUnreachableError(msg)
        if config["offline"]:
            msg = f"{self.name}: config['offline'] is set, so the network is not used"
            raise NoConnectionError(msg)

    @contextlib.contextmanager
    def _opened(
        self, asked: "_Request", *, is_login: bool = False, may_leave: bool = False
    ) -> Iterator[requests.Response]:
        """Open a response; log in again once if the login has expired."""
        host = urlsplit(self.base_url).netloc
        renew = getattr(self.auth, "renew", None)
        for is_second in (False, True):
            # Log in before a connection slot is taken.
            secret = self._credentials()
            with (
                _slots(host, int(config["archive_transfers"])),
                contextlib.closing(
                    self._followed(asked, secret, is_login, may_leave)
                ) as response,
            ):
                is_over = response.status_code == 401 and secret and not is_second
                if is_over and renew is not None and renew():
                    continue
                yield response
                return

    def _credentials(self) -> dict[str, str]:
        if self.auth is None:
            return {}
        if not self.takes_credentials:
            _say_once(self._refusal())
            return {}
        return dict(self.auth())

    def _refusal(self) -> str:
        return (
            f"{self._shown('')} gets no password, cookie or token, since only "
            f"{config.source('archive_urls')} says that {self.name} is there; name it "
            "under archive_urls in your own ndmapper.toml or in the script, or trust "
            "the folder (trusted_folders there, or the option --trust-folder)"
        )

    def _followed(
        self, asked: "_Request", secret: dict[str, str], is_login: bool, may_leave: bool
    ) -> requests.Response:
        """Send a request and follow allowed redirects."""
        url = self.base_url + asked.path
        base = urlsplit(url)
        if is_login and not self.takes_credentials:
            raise ServiceAccessError(self._refusal())
        if is_login and not is_trusted(base, base):
            msg = f"{self._shown(asked.path)}: a password is sent by https alone"
            raise ServiceError(msg)
        for _ in range(_REDIRECTS + 1):
            trusted = is_trusted(base, urlsplit(url))
            response = self._sent(asked, url, secret if trusted else {})
            target = response.headers.get("location")
            if response.status_code not in {301, 302, 303, 307, 308} or not target:
                return response
            status = response.status_code
            response.close()
            following = led_to(url, target)
            if following is None:
                msg = (
                    f"{self._shown(asked.path)} is redirected to something that is no "
                    "https URL; it is not followed; check config['archive_urls']"
                )
                raise ServiceError(msg)
            url = following
            problem = refusal(
                base, urlsplit(url), method=asked.method, status=status,
                is_login=is_login, may_leave=may_leave,
            )  # fmt: skip
            if problem is not None:
                msg = f"{self._shown(asked.path)} {problem}"
                raise ServiceError(msg)
            asked = asked.without_query()
        msg = f"{self._shown(asked.path)} leads on and on; is the URL right?"
        raise ServiceError(msg)

    def _sent(
        self, asked: "_Request", url: str, secret: Mapping[str, str]
    ) -> requests.Response:
        headers = {"User-Agent": user_agent(), "Accept-Encoding": "identity"}
        headers |= asked.headers | dict(secret)
        session = _session(os.getpid())
        # Only proxies and certificates come from the environment: a .netrc file would
        # replace the intended credential.
        proxies = requests.utils.get_environ_proxies(url, no_proxy=None)
        bundles = map(os.environ.get, ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
        with _clear_errors(shown_url(url)):
            return session.request(
                asked.method, url, params=asked.params, data=asked.data,
                json=asked.json, headers=headers, stream=True,
                allow_redirects=False, proxies=proxies,
                verify=next(filter(None, bundles), True),
                timeout=(_CONNECT_TIMEOUT, config["archive_timeout"]),
            )  # fmt: skip

    def _shown(self, path: str) -> str:
        return shown_url(self.base_url + path)


@dataclass(frozen=True)
class _Request:
    method: str
    path: str
    params: Any
    data: Any
    json: Any
    headers: dict[str, str]

    def without_query(self) -> "_Request":
        """Drop the query: a redirect URL has its own."""
        return _Request(
            self.method, self.path, None, self.data, self.json, self.headers
        )


@functools.lru_cache(maxsize=64)
def _say_once(message: str) -> None:
    log.warning(message)


def user_agent() -> str:
    """Return the User-Agent header."""
    return f"ndmapper/{__version__} python-requests/{requests.__version__}"


class _Session(requests.Session):
    """A session without automatic redirects, which `Http` checks itself."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        return None


@functools.lru_cache(maxsize=1)
def _session(_pid: int) -> requests.Session:
    """Return the session of this process; children must not share its sockets."""
    session = _Session()
    session.trust_env = False
    # Cookies are credentials, sent only where `auth` says.
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=16, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    hide_secrets("urllib3.connectionpool")
    return session


@functools.lru_cache(maxsize=64)
def _semaphore(_host: str, count: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(count)


@contextlib.contextmanager
def _slots(host: str, count: int) -> Iterator[None]:
    with _semaphore(host, count):
        yield


@contextlib.contextmanager
def _clear_errors(shown: str) -> Iterator[None]:
    """Convert errors of requests to ServiceError, without the URL's query."""
    try:
        yield
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError):
        msg = f"{shown} did not answer in time; try again later"
    except requests.exceptions.SSLError as err:
        msg = f"{shown}: its certificate is not accepted ({_reason(err)})"
        raise ServiceError(msg) from None
    except (
        requests.exceptions.ChunkedEncodingError,
        urllib3.exceptions.ProtocolError,
    ):
        msg = f"{shown}: the connection broke before the end"
    except ValueError:
        # Not chained: the message quotes the header, which may be a credential.
        msg = (
            f"{shown}: the request cannot be sent; has a credential, or a word that is "
            "looked for, characters that do not belong there?"
        )
        raise ServiceError(msg) from None
    except (
        requests.exceptions.ConnectionError,
        urllib3.exceptions.HTTPError,
        OSError,
    ) as err:
        msg = f"{shown} cannot be reached ({_reason(err)})"
        raise NoConnectionError(msg) from None
    else:
        return
    raise ServiceUnreachableError(msg) from None


def _reason(err: BaseException) -> str:
    """Return the innermost reason; outer ones repeat the URL with its query."""
    while True:
        inner = err.__cause__ or err.__context__
        arguments = [a for a in err.args if isinstance(a, BaseException)]
        reason = getattr(err, "reason", None)
        following = reason if isinstance(reason, BaseException) else None
        following = following or (arguments[0] if arguments else inner)
        if following is None:
            break
        err = following
    return redacted(getattr(err, "strerror", None) or type(err).__name__)


def _pieces(response: requests.Response, *, decode: bool = True) -> Iterator[bytes]:
    with _clear_errors(shown_url(response.url)):
        yield from response.raw.stream(CHUNK, decode_content=decode)


def _headers(response: requests.Response) -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower() != "set-cookie"
    }
