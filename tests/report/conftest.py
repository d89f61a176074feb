"""Entries of records, and references to their products and to raw files."""

import hashlib

import pytest

from ndmapper.documents import canonical


@pytest.fixture
def entry():
    """Make an entry of a record, as a step would write it."""

    def make(product, inputs=(), **parts):
        row = {
            "schema": 1, "step": "work", "module": "ndmapper.lib.ccd.bias",
            "engine": "python", "tool": {"name": "ndmapper", "version": "9.9"},
            "product": product, "output": None, "content": "sha256:00",
            "inputs": list(inputs), "calibrations": {}, "parameters": {},
            "config": {"use_uncert": True, "use_flags": True, "bad_flags": 1},
            "references": {}, "source": None, "code": None,
            "script": {"each": "file", "outputs": [None]},
            "run": {"host": "here", "ended": "2026-01-01", "versions": {"numpy": "2"}},
        } | parts  # fmt: skip
        key = hashlib.sha256(canonical(row).encode()).hexdigest()
        return row | {"key": f"sha256:{key}"}

    return make


@pytest.fixture
def product():
    """Refer to a product by its entry."""

    def refer(row, **parts):
        return {"name": row["product"], "key": row["key"]} | parts

    return refer


@pytest.fixture
def raw():
    """Refer to a raw file."""

    def refer(name, digest="sha256:aa", **parts):
        return {"name": name, "digest": digest} | parts

    return refer
