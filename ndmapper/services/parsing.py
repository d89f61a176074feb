"""Parse untrusted JSON and XML, with limits on size and depth."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from ndmapper.documents import load_json
from ndmapper.errors import ServiceError

__all__ = ["parse_json_reply", "parse_xml", "tag_of"]

_DEEPEST = 40
"""Maximum depth of nesting; valid replies have about ten levels."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def parse_json_reply(body: bytes, source: str) -> Any:
    """Parse JSON; raises ServiceError, also if it is nested too deeply."""
    depth = 0
    for token in _TOKEN.finditer(body):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token[0], 0)
        if depth > _DEEPEST:
            msg = f"{source} answers with JSON nested deeper than {_DEEPEST} levels"
            raise ServiceError(msg)
    try:
        return load_json(body)
    except ValueError:
        msg = f"{source} does not answer with JSON, but with {_beginning(body)}"
        raise ServiceError(msg) from None


def parse_xml(body: bytes, source: str) -> ET.Element:
    """Parse XML; raises ServiceError, also for entity definitions or deep nesting."""
    try:
        root: ET.Element = defusedxml.ElementTree.fromstring(body, forbid_dtd=True)
    except DefusedXmlException:
        msg = f"{source} answers with XML that defines a document type; it is not read"
        raise ServiceError(msg) from None
    except (ET.ParseError, ValueError):
        msg = f"{source} does not answer with XML, but with {_beginning(body)}"
        raise ServiceError(msg) from None
    level = [root]
    for _ in range(_DEEPEST):
        level = [child for element in level for child in element]
        if not level:
            return root
    msg = f"{source} answers with XML nested deeper than {_DEEPEST} levels"
    raise ServiceError(msg)


def tag_of(element: ET.Element) -> str:
    """Return the tag of an element, without namespace."""
    return str(element.tag).rpartition("}")[2]


def _beginning(body: bytes) -> str:
    text = " ".join(body[:200].decode("utf-8", "replace").split())
    text = "".join(c for c in text if c.isprintable())
    return repr(text[:80]) if text else "nothing"
