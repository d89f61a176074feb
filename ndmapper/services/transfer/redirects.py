"""Allowed redirects, and the hosts to which a credential may go."""

import ipaddress
import socket
from contextlib import suppress
from urllib.parse import SplitResult, urljoin, urlsplit

__all__ = ["is_same_host", "is_trusted", "led_to", "refusal", "split_url"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})

_PORTS = {"http": 80, "https": 443}


def split_url(text: str) -> SplitResult | None:
    """Parse a URL; raises ValueError also for an invalid port."""
    try:
        url = urlsplit(text)
        _ = url.port  # the port is validated on access
    except ValueError:
        return None
    return url if url.scheme in _PORTS and url.hostname else None


def led_to(url: str, location: str) -> str | None:
    """Return the target of a redirect."""
    try:
        found = urljoin(url, location)
    except ValueError:
        return None
    return None if split_url(found) is None else found


def is_trusted(base: SplitResult, url: SplitResult) -> bool:
    """Whether a credential for one URL may be sent to another."""
    return is_same_host(base, url) and _is_private(url)


def is_same_host(base: SplitResult, url: SplitResult) -> bool:
    """Whether two URLs have the same host."""
    if base.hostname != url.hostname:
        return False
    if base.scheme == url.scheme:
        return _port(base) == _port(url)
    # A redirect from http to https stays on the same host.
    return url.scheme == "https" and _port(url) == _PORTS["https"]


def _port(url: SplitResult) -> int | None:
    return url.port or _PORTS.get(url.scheme)


def _is_inside(host: str | None) -> bool:
    """Whether a host is this machine or in a private network, in any notation."""
    name = host or ""
    with suppress(UnicodeError):
        name = name.encode("idna").decode("ascii")
    name = name.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        try:  # 127.1, 0x7f000001: notations that resolvers accept
            address = ipaddress.IPv4Address(socket.inet_aton(name))
        except (OSError, ValueError):
            return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not address.is_global


def _is_private(url: SplitResult) -> bool:
    return url.scheme == "https" or url.hostname in LOOPBACK


def refusal(
    base: SplitResult,
    url: SplitResult,
    *,
    method: str,
    status: int,
    is_login: bool,
    may_leave: bool,
) -> str | None:
    """Say why a redirect is refused; None if it is allowed."""
    advice = "it is not followed; check config['archive_urls']"
    to = f"is redirected to {url.scheme}://{url.hostname}"
    if url.username is not None or url.password is not None:
        return f"{to} with a user name in the URL; {advice}"
    is_local = base.hostname in LOOPBACK
    if url.scheme == "http" and not (
        is_local or (base.scheme == "http" and base.hostname == url.hostname)
    ):
        return f"{to}, without encryption; {advice}"
    if _is_inside(url.hostname) and not _is_inside(base.hostname):
        return f"{to}, which is this machine or its own network; {advice}"
    if not is_trusted(base, url) and (is_login or not may_leave):
        return f"{to}, another host, to which no query or credential is sent; {advice}"
    if method != "GET" and status not in {307, 308}:
        return f"{to}, where its content would be lost; {advice}"
    return None
