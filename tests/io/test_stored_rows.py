"""Rows that refer to earlier ones: what is stored once, and what is refused."""

import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.documents import LARGEST, canonical
from ndmapper.errors import RecordError
from ndmapper.io import record
from ndmapper.io.record import entry_key, read_records, read_side, side_path
from ndmapper.io.stored_rows import Unpacker, pack
from ndmapper.testing.muse_night import reduce_night, simulated_recipes, write_night

RECORDS = Path(__file__).parent / "records"


def entry(product, *references, **changes):
    row = {
        "schema": record.SCHEMA,
        "step": "s",
        "module": None,
        "engine": "esorex",
        "tool": {"name": "muse", "version": "2.8.7"},
        "product": product,
        "output": None,
        "content": f"sha256:{product}",
        "inputs": list(references),
        "calibrations": {},
        "references": {},
        "parameters": {"nifu": 1},
        "config": {},
        "source": None,
        "code": None,
        "run": {"paths": {r["name"]: f"/data/{r['name']}" for r in references}},
        **changes,
    }
    return {**row, "key": entry_key(row)}


def made(row, **more):
    return {"name": row["product"], "key": row["key"], **more}


def unpack(texts):
    unpacker = Unpacker()
    for text in texts:
        unpacker.append(unpacker.restore(json.loads(text)))
    return unpacker.rows


def night():
    raw = {"name": "raw.fits", "digest": "sha256:raw", "role": "BIAS"}
    bias = entry("b-{01}.fits", raw, set="b-{ifu}.fits")
    other = entry("b-{02}.fits", raw, output="B#2", parameters={"nifu": 2})
    flat = entry(
        "f.fits",
        raw,
        made(bias, role="MASTER_BIAS", set="b-{ifu}.fits"),
        made(other, role="MASTER_BIAS"),
        step="flat",
        calibrations={"bias": [made(bias), made(other, set="x")], "dark": None},
        tags={"BIAS": made(bias)},
    )
    return [bias, other, flat]


def test_entries_come_back_as_they_were():
    rows = night()
    assert unpack(pack(rows)) == rows


def test_what_an_earlier_row_says_is_not_repeated():
    bias, other, flat = pack(night())
    assert json.loads(other) == {
        "as": 1,
        "content": "sha256:b-{02}.fits",
        "key": night()[1]["key"],
        "output": "B#2",
        "parameters": {"nifu": 2},
        "product": "b-{02}.fits",
        "without": ["set"],
    }
    assert json.loads(flat)["inputs"] == [
        {"name": "raw.fits", "role": "BIAS"},
        {"role": "MASTER_BIAS", "row": 1},
        {"role": "MASTER_BIAS", "row": 2},
    ]
    assert json.loads(flat)["calibrations"] == {
        "bias": [{"row": 1, "set": None}, {"row": 2, "set": "x"}],
        "dark": None,
    }
    assert json.loads(flat)["run"] == {"folders": {"/data": [1, 2, "raw.fits"]}}
    assert "sha256:raw" in bias


def test_inputs_of_which_one_differs_are_that_one():
    refs = [{"name": f"r{n}.fits", "digest": f"sha256:{n}"} for n in range(5)]
    rows = [entry("a.fits", *refs), entry("b.fits", *refs[:3], refs[0], refs[4])]
    assert json.loads(pack(rows)[1])["inputs"] == {"4": {"name": "r0.fits"}}
    assert unpack(pack(rows)) == rows


def test_equal_parts_are_one_object_in_memory():
    first, second, _ = unpack(pack(night()))
    assert first["run"] is second["run"]
    assert first["inputs"] is second["inputs"]


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), (None, ""), ([], {})]
)
def test_values_that_are_only_equal_in_python_are_kept_apart(one, other):
    rows = [entry("a.fits", parameters={"x": one}),
            entry("b.fits", parameters={"x": other})]  # fmt: skip
    back = unpack(pack(rows))
    assert [canonical(row) for row in back] == [canonical(row) for row in rows]


def some_value(rng, depth=0):
    kind = rng.integers(0, 8 if depth < 3 else 5)
    if kind == 5:
        return [some_value(rng, depth + 1) for _ in range(rng.integers(0, 3))]
    if kind > 5:
        words = rng.choice(["as", "row", "name", "x"], rng.integers(0, 3))
        return {str(word): some_value(rng, depth + 1) for word in words}
    return (None, True, 1, 1.0, "a")[kind]


def some_reference(rng):
    found = {"name": str(rng.choice(["a.fits", "b.fits", "c.fits"]))}
    for word, values in {
        "key": ["k1", "k2"], "digest": ["d"], "role": ["R", "S", None],
        "set": ["s", "t"], "memory": [True], "row": [1],
    }.items():  # fmt: skip
        if rng.random() < (0.05 if word == "row" else 0.5):
            found[word] = values[rng.integers(0, len(values))]
    return found


def some_entry(rng):
    listed = [some_reference(rng) for _ in range(rng.integers(0, 4))]
    places = [
        "/d/a.fits",
        "/e/b.fits",
        "/e/a.fits",
        "a.fits",
        "/d/c.fits",
        ["/d/a.fits"],
    ]
    paths = {
        str(rng.choice(["a.fits", "b.fits", "c.fits"])): places[rng.integers(0, 6)]
        for _ in range(rng.integers(0, 4))
    }
    row = entry(
        str(rng.choice(["a.fits", "b.fits", "c.fits"])),
        *listed,
        calibrations={"x": None, "y": listed} if rng.random() < 0.5 else {},
        run={"paths": paths, "ended": int(rng.integers(0, 2))},
        parameters={"p": some_value(rng)} if rng.random() < 0.7 else {},
        step=str(rng.choice(["s", "t"])),
    )
    if rng.random() < 0.5:
        row["key"] = str(rng.choice(["k1", "k2"]))
    for word in ("set", "tags", "qc", "as", "anew", "without", "plain", "members"):
        if rng.random() < 0.1:
            row[word] = "s" if word == "set" else some_value(rng)
    if rng.random() < 0.1:
        del row["run"]["paths"]
    return row


@pytest.mark.parametrize("chunk", range(4))
def test_any_entries_come_back_as_they_were(chunk):
    for seed in range(200):
        rng = np.random.default_rng([20120828, chunk, seed])
        rows = [some_entry(rng) for _ in range(rng.integers(1, 7))]
        back = unpack(pack(rows))
        assert [canonical(row) for row in back] == [canonical(row) for row in rows]


# ---- rows that were not written by us


def written(path, stated):
    """Write a file whose record has these rows."""
    texts = [canonical(row).encode() for row in stated]
    hdu = record.encode([entry("a.fits")])[:2880]
    for keyword, value in {
        "NAXIS1": 8, "NAXIS2": len(texts), "PCOUNT": sum(map(len, texts)), "TFIELDS": 1,
        "TFORM1": "'1PA     '", "TTYPE1": "'RECORD  '",
    }.items():  # fmt: skip
        at = hdu.find(keyword.encode().ljust(8) + b"=")
        hdu = (
            hdu[:at] + f"{keyword:8}= {value!s:>20}".ljust(80).encode() + hdu[at + 80 :]
        )
    places, start = b"", 0
    for text in texts:
        places += struct.pack(">ii", len(text), start)
        start += len(text)
    data = places + b"".join(texts)
    primary = (RECORDS / "schema_2.fits").read_bytes()[:2880]
    path.write_bytes(primary + hdu + data + bytes(-len(data) % 2880))


FIRST = entry("a.fits")


@pytest.mark.parametrize(
    "second",
    [
        {"as": 2}, {"as": 0}, {"as": -1}, {"as": 10**30}, {"as": True}, {"as": "1"},
        {"as": None}, {"as": 1, "inputs": [{"row": 2}]},
        {"as": 1, "inputs": [{"row": 0}]},
        {"as": 1, "inputs": [{"name": "unknown.fits"}]},
        {"as": 1, "inputs": [{"name": ["a"]}]}, {"as": 1, "inputs": {"1": {"row": 1}}},
        {"as": 1, "inputs": {"x": {"row": 1}}}, {"as": 1, "anew": 5},
        {"as": 1, "without": "step"}, {"as": 1, "without": ["step"]},
        {"as": 1, "run": {"folders": []}}, {"as": 1, "run": {"folders": {"/d": 5}}},
        {"as": 1, "run": {"folders": {"/d": [7]}}},
        {"as": 1, "run": {"folders": {"/d": [[1]]}}},
        {"as": 1, "run": {"folders": {"": {"x": 7}}}},
        {"as": 1, "calibrations": {"bias": {"row": 1, "set": 5}}},
        {"as": 1, "set": 5}, {"as": 1, "members": [5]}, {"plain": []}, {"plain": {}},
        {"plain": FIRST, "as": 1, "anew": ["run"], "run": 5}, [], "x", None,
    ],
    ids=str,
)  # fmt: skip
def test_rows_that_point_nowhere_or_have_wrong_parts_are_refused(tmp_path, second):
    written(tmp_path / "x.fits", [FIRST, second])
    with pytest.raises(RecordError, match=r"x\.fits: entry 2 .* cannot be understood"):
        read_records(tmp_path / "x.fits")
    side = side_path(tmp_path / "y.fits")
    side.parent.mkdir(parents=True)
    lines = [canonical(row) for row in ({"schema": 3}, FIRST, second)]
    side.write_text("[" + ",\n".join(lines) + "]\n")
    with pytest.raises(RecordError, match=r"y\.fits.*entry 2 .* cannot be understood"):
        read_side(tmp_path / "y.fits")


BOMBS = {
    "rows": [entry("a.fits", parameters={"pad": "x" * 20_000}), *[{"as": 1}] * 3000],
    "chain": [
        entry("a.fits", parameters={"pad": "x" * 20_000}),
        *({"as": n} for n in range(1, 3000)),
    ],
    "keys": [
        {**entry("a.fits"), "key": "x" * 100_000},
        {"as": 1, "inputs": [{"row": 1}] * 3000},
    ],
    "digests": [
        entry("a.fits", {"name": "r", "digest": "x" * 100_000}),
        {"as": 1, "inputs": [{"name": "r"}] * 3000},
    ],
    "folders": [
        FIRST,
        {"as": 1, "run": {"folders": {"/" + "x" * 50_000: [*map(str, range(3000))]}}},
    ],
    "merged": [
        entry("a.fits", parameters={"pad": "x" * 200_000}),
        *[{"as": 1, "parameters": {"q": 1}}] * 300,
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_rows_that_would_be_larger_than_any_record_are_refused(tmp_path, name):
    written(tmp_path / "x.fits", BOMBS[name])
    assert (tmp_path / "x.fits").stat().st_size < LARGEST / 50
    tracemalloc.start()
    try:
        with pytest.raises(RecordError, match="larger than any record"):
            read_records(tmp_path / "x.fits")
        assert tracemalloc.get_traced_memory()[1] < 200 << 20
    finally:
        tracemalloc.stop()


def test_a_record_of_1000_products_of_one_run_is_no_bomb(tmp_path):
    log = "x" * 4000
    rows = [entry(f"{n}.fits", run={"log": log}) for n in range(1000)]
    written(tmp_path / "x.fits", [json.loads(text) for text in pack(rows)])
    assert read_records(tmp_path / "x.fits") == rows


# ---- older records


def test_record_of_schema_2_is_read_and_its_keys_are_valid(tmp_path):
    rows = json.loads((RECORDS / "schema_2.json").read_text())
    assert read_records(RECORDS / "schema_2.fits") == rows
    assert [row["schema"] for row in rows] == [2, 2, 2]
    assert [entry_key(row) for row in rows] == [row["key"] for row in rows]
    side = side_path(tmp_path / "x.fits")
    side.parent.mkdir(parents=True)
    side.write_text((RECORDS / "schema_2.json").read_text())
    assert read_side(tmp_path / "x.fits") == rows


def test_entries_of_older_schemas_keep_theirs_in_a_new_record(tmp_path):
    rows = json.loads((RECORDS / "schema_2.json").read_text())
    rows.append(entry("new.fits", made(rows[-1])))
    record.write_side(tmp_path / "x.fits", rows)
    assert read_side(tmp_path / "x.fits") == rows


# ---- the size of real records


@pytest.mark.parametrize(
    ("form", "ifus", "steps"), [("merged", 24, 135), ("units", 5, 56)]
)
def test_record_of_a_night_of_muse_is_small(folder, form, ifus, steps):
    write_night(folder / "ob", ifus=ifus)
    with simulated_recipes():
        rows = reduce_night(folder / "ob", form).record
    assert len(rows) == steps
    stored = sum(map(len, pack(rows)))
    assert stored < 1000 * steps, f"{stored} bytes for {steps} steps"
    assert sum(len(canonical(row)) for row in rows) > 4 * stored
    assert DataFile("cube.fits").record == rows
