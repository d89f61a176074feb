"""The record: canonical text, its table in FITS, keys that tell what counts."""

import json

import pytest
from astropy.io import fits

from ndmapper.errors import MissingFileError, RecordError
from ndmapper.io import record


def entry(**changes):
    base = {
        "schema": record.SCHEMA,
        "step": "subtract_bias",
        "module": "ndmapper.lib.ccd",
        "engine": "python",
        "tool": {"name": "ndmapper", "version": "1"},
        "product": "bx.fits",
        "output": None,
        "content": "sha256:c",
        "inputs": [{"name": "x.fits", "digest": "sha256:x"}],
        "calibrations": {"bias": {"name": "b.fits", "key": "sha256:b"}, "dark": None},
        "parameters": {"order": 3},
        "config": {"use_uncert": True},
        "references": {},
        "source": None,
        "code": None,
        "run": {"ended": "2026-01-01"},
    }
    base["key"] = record.entry_key(base | changes)
    return base | changes | {"key": base["key"]}


def write(path, rows):
    fits.PrimaryHDU().writeto(path)
    with path.open("ab") as stream:
        stream.write(record.encode(rows))


def test_encode_is_a_whole_number_of_blocks():
    assert len(record.encode([entry()])) % 2880 == 0


@pytest.mark.parametrize("count", [0, 1, 5])
def test_encode_decode_round_trip(count):
    rows = [entry(product=f"p{n}.fits") for n in range(count)]
    assert record.decode(record.encode(rows)) == rows


def test_encode_is_a_table_that_astropy_verifies(tmp_path):
    path = tmp_path / "x.fits"
    write(path, [entry(), entry(step="apply_flat")])
    with fits.open(path) as hdus:
        hdus.verify("exception")
        assert list(hdus["NDM_RECORD"].data["STEP"]) == ["subtract_bias", "apply_flat"]


def test_encode_keeps_letters_beyond_ascii():
    rows = [entry(parameters={"observer": "Ångström"})]
    assert record.decode(record.encode(rows)) == rows


def test_read_records_of_a_raw_file_is_empty(tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU().writeto(path)
    assert record.read_records(path) == []


def test_read_records_finds_the_last_hdu(tmp_path):
    path = tmp_path / "x.fits"
    write(path, [entry()])
    assert record.read_records(path)[0]["step"] == "subtract_bias"


def test_read_records_falls_back_to_the_side_record(tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU().writeto(path)
    side = record.side_path(path)
    side.parent.mkdir(parents=True)
    side.write_text(json.dumps([entry()]))
    assert record.read_records(path) == [entry()]


def test_read_records_of_a_missing_file_says_so(tmp_path):
    with pytest.raises(MissingFileError):
        record.read_records(tmp_path / "none.fits")


def test_read_records_of_a_newer_schema_is_refused(tmp_path):
    path = tmp_path / "x.fits"
    write(path, [entry()])
    now = b"NDMSCHEM=%21d" % record.SCHEMA
    blob = path.read_bytes().replace(now, b"NDMSCHEM=                   99")
    path.write_bytes(blob)
    with pytest.raises(RecordError, match=r"x\.fits.*schema 99.*update ndmapper"):
        record.read_records(path)


def test_read_side_damaged_says_which_file(tmp_path):
    side = record.side_path(tmp_path / "x.fits")
    side.parent.mkdir(parents=True)
    side.write_text("[{")
    with pytest.raises(RecordError, match=r"x\.fits\.json"):
        record.read_side(tmp_path / "x.fits")


def test_canonical_refuses_what_json_does_not_have():
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.canonical(float("nan"))


@pytest.mark.parametrize(
    "changes",
    [
        {"step": "other"},
        {"parameters": {"order": 4}},
        {"config": {"use_uncert": False}},
        {"tool": {"name": "ndmapper", "version": "2"}},
        {"output": "left"},
        {"inputs": [{"name": "x.fits", "digest": "sha256:y"}]},
        {"calibrations": {"bias": None, "dark": None}},
        {"references": {"table": {"name": "t", "digest": "sha256:t"}}},
        {"code": "sha256:f"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_entry_key_follows_what_counts(changes):
    assert record.entry_key(entry(**changes)) != record.entry_key(entry())


@pytest.mark.parametrize(
    "changes",
    [
        {"product": "renamed.fits"},
        {"inputs": [{"name": "renamed.fits", "digest": "sha256:x"}]},
        {"source": "def f(): ...  # why"},
        {"content": "sha256:d"},
        {"run": {}},
    ],
    ids=lambda c: next(iter(c)),
)
def test_entry_key_ignores_names_source_and_run(changes):
    assert record.entry_key(entry(**changes)) == record.entry_key(entry())


def test_edited_adds_an_entry_whose_key_never_validates_the_old_one():
    rows = record.edited([entry()], product="bx.fits", what=["data"], digest="sha256:e")
    assert [r["step"] for r in rows] == ["subtract_bias", "edited"]
    assert rows[1]["key"] not in (rows[0]["key"], None)


def test_edited_leaves_the_old_record_alone():
    rows = [entry()]
    record.edited(rows, product="bx.fits", what=["data"], digest="sha256:e")
    assert len(rows) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema": "2"},
        {"revision": "one"},
        {"instrument": [1]},
        {"tags": ["a"]},
        {"tags": {"BIAS": {"key": "k"}}},
    ],
    ids=str,
)
def test_parts_that_newer_entries_have_are_checked(tmp_path, wrong):
    path = tmp_path / "x.fits"
    write(path, [entry() | wrong])
    with pytest.raises(RecordError, match="cannot be understood"):
        record.read_records(path)


def test_entry_without_a_schema_has_that_of_its_record(tmp_path):
    path = tmp_path / "x.fits"
    row = {name: value for name, value in entry().items() if name != "schema"}
    write(path, [row])
    assert record.read_records(path)[0]["schema"] == record.SCHEMA
