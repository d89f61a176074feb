"""Check file names from servers: they must not lead out of the folder."""

import unicodedata
from email.message import Message
from email.utils import collapse_rfc2231_value
from pathlib import PurePosixPath

from ndmapper.errors import ServiceError

__all__ = ["inside", "name_of_disposition", "safe_name"]

_LONGEST = 255


def safe_name(name: str, source: str) -> str:
    """Return a file name from a server; ServiceError for paths and hidden files."""
    is_bad = (
        not name
        or name.startswith(".")
        or "/" in name
        or "\\" in name
        or len(name.encode("utf-8", "surrogatepass")) > _LONGEST
        or any(unicodedata.category(c)[0] in "CZ" and c != " " for c in name)
        or name != name.strip()
    )
    if is_bad:
        msg = f"{source} gives a file the name {name[:80]!r}, which is not taken"
        raise ServiceError(msg)
    return name


def inside(name: str, source: str) -> str:
    """Return the name of an archive member; raises ServiceError for unsafe paths."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name:
        msg = f"{source} gives a file the name {name[:80]!r}, which is not taken"
        raise ServiceError(msg)
    for part in parts:
        safe_name(part, source)
    return parts[-1]


def name_of_disposition(header: str | None, source: str) -> str | None:
    """Return the file name of a ``Content-Disposition`` header; None if it has none."""
    if header is None:
        return None
    message = Message()
    try:
        message["Content-Disposition"] = header
        found = message.get_params([], header="Content-Disposition")
        given = [value for name, value in found if name.lower() == "filename"]
        # ``filename*`` takes precedence (RFC 6266, section 4.3).
        given.sort(key=lambda value: not isinstance(value, tuple))
        name = collapse_rfc2231_value(given[0]).strip() if given else None
    except (ValueError, LookupError, UnicodeError):
        msg = f"{source} gives a file a name that cannot be read: {header[:80]!r}"
        raise ServiceError(msg) from None
    return safe_name(name, source) if name else None
