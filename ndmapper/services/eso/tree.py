"""
ESO's association trees: files, their calibrations, and theirs recursively.

CalSelector returns one XML document for a dataset, or several as multipart; the same
documents come with ordered data (``..._raw2raw.xml``).
"""

import email.parser
import email.policy
import fnmatch
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ndmapper.errors import ServiceError
from ndmapper.services.parsing import parse_xml, tag_of
from ndmapper.services.safename import safe_name

__all__ = ["Association", "parse_association", "parse_associations"]

_DEEPEST = 12

_ALIASES = {
    "arc": ("WAVE", "ARC", "WAVE*", "*ARC*", "*WAVE*"),
    "astrometry": ("ASTROMETRY*",),
    "bias": ("MASTER_BIAS", "BIAS*", "*BIAS*"),
    "dark": ("MASTER_DARK", "DARK*", "*DARK*"),
    "flat": ("FLAT", "MASTER_FLAT", "FLAT_LAMP*", "LAMP_FLAT*", "FLAT_SKY*", "*FLAT*"),
    "geometry": ("GEOMETRY*",),
    "illum": ("ILLUM*", "*ILLUM*"),
    "standard": ("STD*", "STANDARD*", "*STD*"),
    "twilight": ("SKYFLAT*", "MASTER_SKYFLAT*", "SKY_FLAT*", "FLAT_SKY*", "TWILIGHT*"),
}
"""Categories of a type, best first, for all instruments."""

# Categories that a pattern matches too, but that mean another type: sky flats beside
# lamp flats.
_OTHERS = {"flat": ("SKYFLAT*", "MASTER_SKYFLAT*")}


@dataclass(frozen=True)
class Association:
    """Files of one category, and their calibrations."""

    category: str
    # (category, name) of each file.
    files: tuple[tuple[str, str], ...] = ()
    # Their calibrations.
    children: tuple["Association", ...] = ()
    # Complete according to ESO's calibration plan, and certified by ESO.
    is_complete: bool = True
    is_certified: bool = True
    # "Raw2Raw" or "Raw2Master"; empty below the top.
    mode: str = ""
    # Remarks of ESO.
    messages: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the files, each once."""
        return list(dict.fromkeys(name for _, name in self.files))

    def walk(self) -> Iterator["Association"]:
        """Iterate over the tree."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, cal_type: str) -> "Association | None":
        """Return the calibrations of one type; None if there are none."""
        wanted = cal_type.upper()
        others = _OTHERS.get(cal_type.lower(), ())
        for pattern in (wanted, *_ALIASES.get(cal_type.lower(), ())):
            for child in self.children:
                categories = [
                    child.category,
                    *(c for c, _ in child.files),
                ]
                if any(
                    fnmatch.fnmatchcase(c.upper(), pattern)
                    and not any(fnmatch.fnmatchcase(c.upper(), o) for o in others)
                    for c in categories
                ):
                    return child
        return None


def parse_association(body: bytes, source: str) -> Association:
    """Parse one XML document."""
    root = parse_xml(body, source)
    if tag_of(root) != "association":
        msg = f"{source} answers with <{tag_of(root)}> in place of an association"
        raise ServiceError(msg)
    return _association(root, source, 0)


def parse_associations(
    body: bytes, content_type: str, source: str
) -> list[Association]:
    """Parse the response of CalSelector: one document or multipart."""
    if not content_type.lower().startswith("multipart/"):
        return [parse_association(body, source)]
    if "\n" in content_type or "\r" in content_type:
        msg = f"{source} answers in a form that is not known"
        raise ServiceError(msg)
    head = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.HTTP)
    message = parser.parsebytes(head + body)
    if not message.is_multipart() or message.defects:
        msg = f"{source} answers in several parts, but they are cut short"
        raise ServiceError(msg)
    contents = [part.get_payload(decode=True) for part in message.iter_parts()]
    return [parse_association(c, source) for c in contents if isinstance(c, bytes)]


def _association(element: ET.Element, source: str, depth: int) -> Association:
    if depth > _DEEPEST:
        msg = f"{source} answers with a tree of more than {_DEEPEST} levels"
        raise ServiceError(msg)
    files: list[tuple[str, str]] = []
    children: list[Association] = []
    messages: Sequence[str] = ()
    for part in element:
        if tag_of(part) == "mainFiles":
            files = [
                (f.get("category", ""), safe_name(f.get("name", ""), source))
                for f in part
                if tag_of(f) == "file"
            ]
        elif tag_of(part) == "associatedFiles":
            children = [
                _association(child, source, depth + 1)
                for child in part
                if tag_of(child) == "association"
            ]
        elif tag_of(part) == "messages":
            messages = [" ".join("".join(m.itertext()).split()) for m in part]
    return Association(
        category=element.get("category", ""),
        files=tuple(files),
        children=tuple(children),
        is_complete=element.get("complete", "true").lower() == "true",
        is_certified=element.get("certified", "true").lower() == "true",
        mode=element.get("mode", ""),
        messages=tuple(filter(None, messages)),
    )
