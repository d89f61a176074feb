"""The tables that DRAGONS reads, written from a record."""

import io
import json

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.data import DataFile
from ndmapper.io.digest import digest
from ndmapper.io.provenance import provenance_hdus
from ndmapper.io.record import encode, read_records

ROWS = [
    {
        "schema": 1, "step": "make_bias", "product": "bias.fits", "key": "sha256:1",
        "inputs": [{"name": "z1.fits", "digest": "sha256:a"},
                   {"name": "z2.fits", "digest": "sha256:b"}],
        "calibrations": {}, "parameters": {"method": "mean"}, "references": {},
        "run": {"started": "2026-01-02T03:04:05.678+00:00",
                "ended": "2026-01-02T03:04:06.000+00:00"},
    },
    {
        "schema": 1, "step": "reduce", "product": "r.fits", "key": "sha256:2",
        "inputs": [{"name": "raw.fits", "digest": "sha256:c"}],
        "calibrations": {"bias": {"name": "bias.fits", "key": "sha256:1"}, "flat": None,
                         "arcs": [{"name": "a1.fits", "digest": "sha256:d"}]},
        "parameters": {}, "run": {},
        "references": {"table": {"name": "täble.dat", "digest": "sha256:e"},
                       "more": [{"name": "m.dat", "digest": "sha256:f"}]},
        "task": {"name": "gemini.gireduce", "parameters": {"order": 3}},
    },
]  # fmt: skip


@pytest.fixture
def tables():
    """Read the tables with another reader."""
    primary = fits.PrimaryHDU()
    buffer = io.BytesIO()
    primary.writeto(buffer)
    with fits.open(io.BytesIO(buffer.getvalue() + provenance_hdus(ROWS))) as hdus:
        return {hdu.name: Table.read(hdu) for hdu in hdus[1:]}


def test_provenance_has_a_row_for_every_file_that_went_in(tables):
    table = tables["PROVENANCE"]
    assert table.colnames == ["timestamp", "filename", "md5", "provenance_added_by"]
    assert list(table["filename"]) == [
        "z1.fits", "z2.fits", "raw.fits", "bias.fits", "a1.fits", "t\\xe4ble.dat",
        "m.dat",
    ]  # fmt: skip
    assert list(table["provenance_added_by"]) == ["make_bias"] * 2 + ["reduce"] * 5
    assert table["timestamp"][0] == "2026-01-02T03:04:06.000"


def test_history_has_a_row_for_every_step(tables):
    table = tables["HISTORY"]
    assert table.colnames == ["primitive", "args", "timestamp_start", "timestamp_stop"]
    assert list(table["primitive"]) == ["make_bias", "reduce"]
    assert table["timestamp_start"][0] == "2026-01-02T03:04:05.678"
    assert json.loads(table["args"][0]) == {
        "inputs": ["z1.fits", "z2.fits"], "method": "mean",
    }  # fmt: skip
    assert json.loads(table["args"][1]) == {
        "inputs": ["raw.fits"], "order": 3, "bias": "bias.fits", "flat": None,
        "arcs": ["a1.fits"],
    }  # fmt: skip


def test_tables_of_an_empty_record_are_empty():
    content = provenance_hdus([])
    assert len(content) % 2880 == 0
    assert content.count(b"XTENSION") == 2


@pytest.fixture
def product(tmp_path):
    """A product with the tables and the record; its digest before they came."""
    path = tmp_path / "r.fits"
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.ones((2, 3)), name="SCI")]
    ).writeto(path)
    before = digest(path)
    with path.open("ab") as stream:
        stream.write(provenance_hdus(ROWS) + encode(ROWS))
    return path, before


def test_tables_are_no_content_of_the_product(product):
    path, before = product
    assert digest(path) == before
    assert [row["key"] for row in read_records(path)] == [row["key"] for row in ROWS]
    df = DataFile(path)
    assert (len(df), list(df.tables), list(df.extras)) == (1, [], [])


def test_tables_are_not_carried_into_what_is_made_of_it(product, tmp_path):
    copy = DataFile(product[0]).copy()
    copy.save(filename=tmp_path / "copy.fits")
    with fits.open(tmp_path / "copy.fits") as hdus:
        assert "PROVENANCE" not in hdus
        assert "HISTORY" not in hdus


def test_tables_that_somebody_else_wrote_are_content(tmp_path):
    table = fits.table_to_hdu(Table({"filename": ["a.fits"]}))
    table.name = "PROVENANCE"
    image = fits.ImageHDU(np.ones((2, 3)), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), image, table]).writeto(tmp_path / "x.fits")
    assert list(DataFile(tmp_path / "x.fits").tables) == ["PROVENANCE"]
