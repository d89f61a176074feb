"""
Text for a terminal, with control characters escaped.

Names of files, cards of headers and entries of records may be hostile: escape codes
would recolour or clear the screen or put text into the input, and marks of direction
would make one name look like another.
"""

import re

__all__ = ["one_line", "printable"]

# All but plain ASCII, line ends and tabs; most texts have none of these.
_SUSPICIOUS = re.compile(r"[^\n\t -~]")


def printable(text: object) -> str:
    r"""Escape the characters that control a terminal as Python does (``\x1b``)."""
    return _SUSPICIOUS.sub(_escaped, str(text))


def one_line(text: object) -> str:
    """Escape a text as `printable` does, line ends and tabs too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escaped(match: re.Match[str]) -> str:
    character = match.group()
    # A blank of another width does no harm.
    if character.isprintable() or (character.isspace() and ord(character) > 0x9F
                                   and character not in "\u2028\u2029"):  # fmt: skip
        return character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
