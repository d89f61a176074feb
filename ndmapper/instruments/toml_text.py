"""Values as text of a TOML."""

import re
import textwrap
from collections.abc import Iterable, Mapping

__all__ = ["block", "counted", "listed", "one_line", "plain", "quoted"]


def quoted(text: str) -> str:
    """Write a text."""
    body = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + one_line(body) + '"'


def plain(text: str) -> str:
    """Write a value as a pattern that only it matches."""
    return re.sub(r"([*?[])", r"[\1]", text)


def listed(texts: Iterable[str]) -> str:
    """Write a list on one line."""
    return f"[{', '.join(map(quoted, texts))}]"


def block(texts: Iterable[str]) -> str:
    """Write a list on several lines, broken between its texts alone."""
    body = " ".join(f"{quoted(text)},".replace(" ", "\0") for text in texts)
    lines = textwrap.wrap(body, 84, break_long_words=False, break_on_hyphens=False)
    return "\n".join(["[", *(f"    {line}" for line in lines), "]"]).replace("\0", " ")


def counted(counts: Mapping[str, int]) -> str:
    """List values with how often each is there, for a comment."""
    return one_line(", ".join(f"{v!r} ({count})" for v, count in counts.items()))


def one_line(text: str) -> str:
    """Replace what would break the line of a comment or a text."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)
