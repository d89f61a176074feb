"""Where an archive may lead, and to whom a credential may go."""

from urllib.parse import SplitResult

__all__ = ["is_same_host", "is_trusted", "refusal"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_trusted(base: SplitResult, url: SplitResult) -> bool:
    """
    Say whether a credential for one place may be sent to another.

    Parameters
    ----------
    base, url : SplitResult
        The two places.

    Returns
    -------
    bool
        True for the same scheme, host and port, or the same host by https; never
        where others could listen.
    """
    return is_same_host(base, url) and _is_private(url)


def is_same_host(base: SplitResult, url: SplitResult) -> bool:
    """
    Say whether two places are of one server.

    Parameters
    ----------
    base, url : SplitResult
        The two places.

    Returns
    -------
    bool
        True for the same scheme, host and port, or the same host by https.
    """
    if base.hostname != url.hostname:
        return False
    if base.scheme == url.scheme:
        return base.port == url.port
    # A host that moves everything to https is still the same.
    return url.scheme == "https" and url.port in {None, 443}


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
    """
    Say why a redirect is not followed.

    Parameters
    ----------
    base : SplitResult
        The archive.
    url : SplitResult
        Where it leads.
    method : str
        Method of the request.
    status : int
        Status of the answer.
    is_login : bool
        Whether the request holds a password.
    may_leave : bool
        Whether it may go to other hosts, without credential.

    Returns
    -------
    str or None
        The reason, as the end of a sentence; None where it may be followed.
    """
    advice = "it is not followed; check config['archive_urls']"
    to = f"is redirected to {url.scheme}://{url.hostname}"
    if url.scheme not in {"http", "https"} or not url.hostname:
        return f"is redirected to something that is no https URL; {advice}"
    if url.username is not None or url.password is not None:
        return f"{to} with a user name in the URL; {advice}"
    is_local = base.hostname in LOOPBACK
    if url.scheme == "http" and not (
        is_local or (base.scheme == "http" and base.hostname == url.hostname)
    ):
        return f"{to}, without encryption; {advice}"
    if url.hostname in LOOPBACK and not is_local:
        return f"{to}, which is this machine; {advice}"
    if not is_trusted(base, url) and (is_login or not may_leave):
        return f"{to}, another host, to which no query or credential is sent; {advice}"
    if method != "GET" and status not in {307, 308}:
        return f"{to}, where its content would be lost; {advice}"
    return None
