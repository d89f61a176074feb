"""Replies of any shape: an answer, or an error of ours."""

import json
from typing import Any
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ndmapper.errors import NdmapperError
from ndmapper.services.criteria import Criteria
from ndmapper.services.eso.tree import parse_associations
from ndmapper.services.gemini.find import find_at_gemini
from ndmapper.services.gemini.replies import (
    calibrations_of_json,
    calibrations_of_xml,
    file_row,
)
from ndmapper.services.transfer.response import Response

NAME = "S20120827S0066.fits"

words = st.sampled_from(
    [
        "filename",
        "cal_info",
        "type",
        "cals",
        "bias",
        "name",
        "md5",
        "url",
        "error",
        NAME,
        "path",
        "file_md5",
        "file_size",
        "present",
        "lastmod",
        "program_id",
        "exposure_time",
        "ut_datetime",
        "canonical",
        "../x",
        "",
        "\x1b[2J",
    ]
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | words
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=6)
    ),
    max_leaves=20,
)
rows = st.lists(
    st.fixed_dictionaries(
        {"name": words, "filename": words},
        optional={
            "path": values,
            "file_md5": values,
            "cal_info": values,
            "file_size": values,
            "exposure_time": values,
            "ut_datetime": values,
            "lastmod": values,
        },
    ),
    max_size=4,
)


def read_all(body: bytes) -> None:
    reply = Response(200, {}, body, "x")
    for call in (
        lambda: calibrations_of_json(body, NAME, "bias", "x"),
        lambda: file_row(body, NAME, "0" * 32, "x"),
        lambda: find_at_gemini(lambda _: reply, Criteria(target="*")),
    ):
        try:
            call()
        except NdmapperError as err:
            assert "\x1b" not in str(err)  # noqa: PT017


@settings(deadline=None, max_examples=60)
@given(values | rows)
def test_json_of_any_shape(value: Any) -> None:
    read_all(json.dumps(value).encode())


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60))
def test_bytes_of_any_kind(body: bytes) -> None:
    read_all(body)
    for kind in ("application/xml", "multipart/form-data;boundary=x", "multipart/"):
        with pytest.raises(NdmapperError):
            parse_associations(body, kind, "x")


tags = st.sampled_from(
    [
        "association",
        "mainFiles",
        "associatedFiles",
        "file",
        "messages",
        "calibration",
        "dataset",
        "calibration_associations",
        "filename",
        "caltype",
        "url",
        "md5",
    ]
)


@st.composite
def trees(draw: Any, depth: int = 0) -> str:
    tag = draw(tags)
    name = draw(st.sampled_from([NAME, "MUSE.x", "../x", "", "bias"]))
    inner = "".join(draw(st.lists(trees(depth + 1), max_size=3))) if depth < 4 else name
    return f'<{tag} category="{escape(name)}" name="{escape(name)}">{inner}</{tag}>'


@settings(deadline=None, max_examples=60)
@given(trees())
def test_xml_of_any_shape(text: str) -> None:
    for call in (
        lambda: parse_associations(text.encode(), "application/xml", "x"),
        lambda: calibrations_of_xml(text.encode(), NAME, "bias", "x"),
    ):
        try:
            call()
        except NdmapperError as err:
            assert str(err)  # noqa: PT017
