"""Records that would take memory without end, or are none."""

import json
import struct
import tracemalloc

import pytest

from ndmapper.errors import FormatError, NdmapperError, RecordError
from ndmapper.io.filemap import map_file
from ndmapper.io.record import EXTNAME, canonical, encode, read_records, side_path
from ndmapper.steps import run_task
from ndmapper.testing import make_mef


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
