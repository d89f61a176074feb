"""The record: canonical text, its table in FITS, keys that tell what counts."""

import hashlib
import json
import struct
import tracemalloc

import pytest
from astropy.io import fits

from ndmapper.documents import canonical
from ndmapper.errors import FormatError, MissingFileError, NdmapperError, RecordError
from ndmapper.io import record
from ndmapper.io.filemap import map_file
from ndmapper.io.record import EXTNAME, encode, read_records, side_path
from ndmapper.steps import run_task
from ndmapper.testing import make_mef


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


def write_record(path, rows):
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
    write_record(path, [entry(), entry(step="apply_flat")])
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
    write_record(path, [entry()])
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
    write_record(path, [entry()])
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
        {"unit": [1]},
        {"unit": {"ifu": [1]}},
        {"unit": {"ifu": True}},
        {"unit": {"ifu": None}},
        {"set": 7},
        {"set": "\0"},
        {"members": "m"},
        {"members": [1]},
        {"keys": [1]},
        {"keys": {"bias": "ab"}},
        {"keys": {"bias": ["ab"]}},
        {"inputs": [{"name": "x.fits", "key": "k", "set": ["a"]}]},
        {"inputs": [{"name": "x.fits", "key": "k", "set": "\0"}]},
        {"script": {"by": ["ifu"]}},
        {"script": {"by": {"ifu": 1}}},
        {"script": {"names": {"part": 1}}},
    ],
    ids=str,
)
def test_parts_that_newer_entries_have_are_checked(tmp_path, wrong):
    path = tmp_path / "x.fits"
    write_record(path, [entry() | wrong])
    with pytest.raises(RecordError, match="cannot be understood"):
        record.read_records(path)


def test_entry_without_a_schema_has_that_of_its_record(tmp_path):
    path = tmp_path / "x.fits"
    row = {name: value for name, value in entry().items() if name != "schema"}
    write_record(path, [row])
    assert record.read_records(path)[0]["schema"] == record.SCHEMA


# ---- records that would take memory without end, or are none


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make a product; give the bytes before its record, and the entries."""
    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    run_task(lambda ndd: ndd, prefix="d")("x.fits")
    record = next(hdu for hdu in map_file("dx.fits").hdus if hdu.name == EXTNAME)
    content = (tmp_path / "dx.fits").read_bytes()[: record.header_offset]
    return content, read_records("dx.fits")


def patched(hdu, **cards):
    for keyword, value in cards.items():
        at = hdu.find(keyword.encode().ljust(8) + b"=")
        card = f"{keyword:8}= {value!s:>20}".ljust(80).encode()
        hdu = hdu[:at] + card + hdu[at + 80 :]
    return hdu


def refused(path, content):
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(NdmapperError, match=r"bomb\.fits") as info:
            read_records(path)
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()
    return info.value


@pytest.mark.parametrize(
    "cards",
    [
        {"NAXIS1": 0, "NAXIS2": 10**12},
        {"NAXIS1": 10**30},
        {"NAXIS2": 10**30},
        {"PCOUNT": 10**15},
        {"PCOUNT": -5},
        {"TFIELDS": 10**9},
        {"TFIELDS": -1},
        {"TFIELDS": "T"},
        {"TFIELDS": "'x'"},
        {"TFORM1": f"'{'9' * 15}A'"},
        {"NDMSCHEM": 10**40},
        {"NDMSCHEM": "T"},
        {"NDMSCHEM": "'1'"},
    ],
    ids=str,
)
def test_sizes_that_nothing_holds_are_refused(made, tmp_path, cards):
    content, rows = made
    refused(tmp_path / "bomb.fits", content + patched(encode(rows), **cards))


def test_rows_that_share_a_text_are_refused(made, tmp_path):
    content, rows = made
    text = canonical(rows[0] | {"pad": "a" * (1 << 20)}).encode()
    count = 20_000
    head = patched(encode(rows)[:2880], NAXIS1=8, NAXIS2=count, PCOUNT=len(text),
                   TFIELDS=1, TFORM1="'1PA     '", TTYPE1="'RECORD  '")  # fmt: skip
    table = struct.pack(">ii", len(text), 0) * count + text
    table += bytes(-len(table) % 2880)
    err = refused(tmp_path / "bomb.fits", content + head + table)
    assert "is not in its heap" in str(err)


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_nested_parameters_are_refused(made, tmp_path, depth):
    content, rows = made
    texts = [canonical(row) for row in rows]
    nested = "[" * depth + "]" * depth
    texts[-1] = texts[-1].replace('"parameters":{}', f'"parameters":{{"a":{nested}}}')
    assert nested in texts[-1]
    whole = texts[-1].encode()
    head = patched(encode(rows)[:2880], NAXIS1=8, NAXIS2=1, PCOUNT=len(whole),
                   TFIELDS=1, TFORM1="'1PA     '", TTYPE1="'RECORD  '")  # fmt: skip
    table = struct.pack(">ii", len(whole), 0) + whole
    table += bytes(-len(table) % 2880)
    assert "nested" in str(refused(tmp_path / "bomb.fits", content + head + table))
    side = side_path(tmp_path / "x.fits")
    side.parent.mkdir(parents=True, exist_ok=True)
    side.write_text(f"[{texts[-1]}]")
    with pytest.raises(RecordError, match=r"x\.fits\.json.*nested"):
        read_records("x.fits")


@pytest.mark.parametrize(
    "change",
    [
        lambda row: row.pop("inputs"),
        lambda row: row.update(inputs={"name": "x"}),
        lambda row: row.update(inputs=[{"digest": "x"}]),
        lambda row: row.update(inputs=["x.fits"]),
        lambda row: row["inputs"][0].update(name="x\0.fits"),
        lambda row: row["inputs"][0].update(digest=[1]),
        lambda row: row.update(product="x\0"),
        lambda row: row.update(product=["x"]),
        lambda row: row.update(step=None),
        lambda row: row.update(calibrations=[]),
        lambda row: row.update(calibrations={"bias": 3}),
        lambda row: row.update(references={"t": [[1]]}),
        lambda row: row.update(run=[]),
        lambda row: row["run"].update(paths={"x.fits": 7}),
        lambda row: row["run"].update(figures="x"[:0] or 5),
        lambda row: row.update(tool="ndmapper"),
        lambda row: row["tool"].update(name=[]),
        lambda row: row.update(task=[1]),
        lambda row: row.update(script={"context": [["a"]]}),
        lambda row: row.update(script={"context": [["a", 3]]}),
        lambda row: row.update(script={"missing": []}),
    ],
)
def test_entries_with_wrong_parts_are_refused(made, tmp_path, change):
    content, rows = made
    row = json.loads(json.dumps(rows[-1]))
    change(row)
    texts = canonical(row).encode()
    head = patched(encode(rows)[:2880], NAXIS1=8, NAXIS2=1, PCOUNT=len(texts),
                   TFIELDS=1, TFORM1="'1PA     '", TTYPE1="'RECORD  '")  # fmt: skip
    table = struct.pack(">ii", len(texts), 0) + texts
    table += bytes(-len(table) % 2880)
    err = refused(tmp_path / "bomb.fits", content + head + table)
    assert "entry 1 of the record" in str(err)


def test_device_is_no_file(tmp_path):
    with pytest.raises(FormatError, match="no ordinary file"):
        map_file("/dev/zero")


# ---- keys of several outputs


def test_keys_of_all_outputs_of_a_run_are_those_of_their_entries():
    outputs = [None, "B#1", "Ä", "B[2]"]
    task = {"name": "muse_bias", "parameters": {"nifu": 1}, "words": {}}
    tags = {"BIAS": {"name": "b.fits", "key": "sha256:b"}}
    for more in ({}, {"task": task, "tags": tags}, {"revision": 2}):
        shared = entry() | more
        assert record.output_keys(shared, outputs) == {
            output: record.entry_key(shared | {"output": output}) for output in outputs
        }


def test_keys_are_digests_of_canonical_json():
    row = entry()
    parts = {name: row[name] for name in ("step", "engine", "tool", "output",
                                          "parameters", "config", "code")}  # fmt: skip
    parts |= {"inputs": ["sha256:x"], "references": {},
              "calibrations": {"bias": "sha256:b", "dark": None}}  # fmt: skip
    key = hashlib.sha256(canonical(parts).encode()).hexdigest()
    assert record.entry_key(row) == f"sha256:{key}"


def two_entries():
    first = entry(product="p1.fits")
    return [
        first,
        entry(product="p2.fits", content="sha256:d", parameters={"order": 4}),
    ]


@pytest.mark.parametrize("beside", [False, True])
def test_key_and_content_are_read_without_the_other_entries(
    tmp_path, monkeypatch, beside
):
    rows = two_entries()
    path = tmp_path / "x.fits"
    write_record(path, [] if beside else rows)
    if beside:
        record.write_side(path, rows)
        path.write_bytes(path.read_bytes()[:2880])
    stored = record.open_record(path)
    with monkeypatch.context() as patch:
        patch.setattr(record.StoredRecord, "rows", None)
        made = stored.made_as
    assert made == (rows[-1]["key"], "sha256:d", True)
    assert stored.rows() == rows


@pytest.mark.parametrize("text", ['{"decisions":{"order":3}}', '{"schema":1}'])
def test_keys_that_do_not_tell_all_are_known_as_such(tmp_path, text):
    path = tmp_path / "x.fits"
    first, last = two_entries()
    write_record(path, [first | json.loads(text), last])
    assert not record.open_record(path).made_as.is_all


def test_what_made_nothing_says_nothing(tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU().writeto(path)
    assert record.open_record(path).made_as is None
    assert not len(record.open_record(path))


def test_old_records_say_it_by_their_entries(tmp_path):
    path = tmp_path / "x.fits"
    fits.PrimaryHDU().writeto(path)
    rows = [row | {"schema": 2} for row in two_entries()]
    side = side_path(path)
    side.parent.mkdir(parents=True)
    side.write_text(json.dumps(rows))
    made = record.open_record(path).made_as
    assert (made.key, made.content) == (rows[-1]["key"], "sha256:d")
    assert not made.is_all


def test_an_earlier_entry_that_is_damaged_shows_when_it_is_read(tmp_path):
    path = tmp_path / "x.fits"
    write_record(path, two_entries())
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"subtract_bias"', b'["ubtract_bias"', 1))
    stored = record.open_record(path)
    assert stored.made_as.content == "sha256:d"
    with pytest.raises(RecordError, match=r"x\.fits: .*not JSON"):
        stored.rows()
