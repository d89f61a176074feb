"""Two products compared: records, headers, values."""

import gzip
import tracemalloc

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from ndmapper.io.provenance import provenance_hdus
from ndmapper.io.record import encode
from ndmapper.report.array_differences import Tolerance
from ndmapper.report.compare import compare


@pytest.fixture
def write_group(folder):
    """Write a product of one group; some things can be changed."""

    def write_group(
        name, *, data=0.0, variance=4.0, flags=0, cards=(), row=0, record=(), table=1.5
    ):
        values = np.full((3, 4), 100.0)
        values[1, 2] += data
        noise = np.full((3, 4), 4.0)
        noise[1, 2] = variance
        marks = np.zeros((3, 4), np.uint16)
        marks[row, 0] = flags
        primary = fits.PrimaryHDU()
        primary.header["OBJECT"] = "star"
        primary.header.update(cards)
        hdus = [
            fits.ImageHDU(values, name="SCI", ver=1),
            fits.ImageHDU(noise, name="VAR", ver=1),
            fits.ImageHDU(marks, name="DQ", ver=1),
            fits.table_to_hdu(Table({"wave": [1.0, table], "name": ["a", "b"]})),
        ]
        hdus[-1].name = "LINES"
        path = folder / name
        fits.HDUList([primary, *hdus]).writeto(path)
        if record:
            with path.open("ab") as stream:
                stream.write(encode(record))
        return path

    return write_group


def test_equal_files_are_identical(write_group):
    assert compare(write_group("a.fits"), write_group("b.fits")).verdict == "identical"


def test_a_compressed_copy_is_identical(write_group, folder):
    path = write_group("a.fits")
    (folder / "b.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert compare(path, folder / "b.fits.gz").verdict == "identical"


def test_volatile_cards_and_records_do_not_count(write_group, entry, raw):
    rows = [[entry("a.fits", [raw("x.fits", f"sha256:{n}")])] for n in "ab"]
    first = write_group("a.fits", cards={"DATE": "2026-01-01"}, record=rows[0])
    found = compare(first, write_group("b.fits", record=rows[1]))
    assert (found.verdict, found.headers) == ("identical", [])
    assert found.records == ["they part at work, which made a.fits",
                             "input x.fits differs"]  # fmt: skip


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [
        (None, "differs"),
        (Tolerance(0.5), "within"),
        (Tolerance(0.4), "differs"),
        (Tolerance(0.0051, "relative"), "within"),
        (Tolerance(0.0049, "relative"), "differs"),
        (Tolerance(0.25, "sigma"), "within"),  # 0.5 of a sigma of 2
        (Tolerance(0.24, "sigma"), "differs"),
    ],
    ids=str,
)
def test_data_within_or_beyond_a_tolerance(write_group, tolerance, verdict):
    found = compare(write_group("a.fits"), write_group("b.fits", data=0.5), tolerance)
    assert found.verdict == verdict
    assert list(found.values) == ["HDU 1 (SCI)"]
    assert found.values["HDU 1 (SCI)"].where == (1, 2)
    assert found.values["HDU 1 (SCI)"].largest == 0.5


@pytest.mark.parametrize(("value", "verdict"), [(0.3, "within"), (0.1, "differs")])
def test_uncertainty_in_sigma_may_differ_by_that_part(write_group, value, verdict):
    pair = write_group("a.fits"), write_group("b.fits", variance=5.0)
    assert compare(*pair, Tolerance(value, "sigma")).verdict == verdict


@pytest.mark.parametrize("kind", ["absolute", "relative", "sigma"])
def test_flags_must_be_equal_in_any_case(write_group, kind):
    found = compare(
        write_group("a.fits"), write_group("b.fits", flags=1), Tolerance(99, kind)
    )
    assert found.verdict == "differs"
    assert list(found.values) == ["HDU 3 (DQ)"]


@pytest.mark.parametrize(("value", "verdict"), [(0.6, "within"), (0.4, "differs")])
def test_columns_of_tables_are_compared(write_group, value, verdict):
    found = compare(
        write_group("a.fits"), write_group("b.fits", table=2.0), Tolerance(value)
    )
    assert found.verdict == verdict
    assert list(found.values) == ["HDU 4 (LINES) column wave"]


def test_cards_are_named_with_both_values(write_group):
    found = compare(
        write_group("a.fits", cards={"EXPTIME": 1.0, "ONLYA": 1}),
        write_group("b.fits", cards={"EXPTIME": 2.0, "ONLYB": "x"}),
    )
    assert found.headers == [
        "HDU 0: EXPTIME = 1.0 and 2.0",
        "HDU 0: only the first has ONLYA = 1",
        "HDU 0: only the second has ONLYB = 'x'",
    ]
    assert found.verdict == "differs"


def test_ignored_cards_do_not_count(write_group):
    pair = [
        write_group(f"{n}.fits", cards={"HIERARCH ESO QC RMS": n, "EXPTIME": n})
        for n in (1, 2)
    ]
    found = compare(*pair, ignore=["ESO QC *", "EXPTIME"])
    assert found.verdict == "identical"


def test_cards_that_come_several_times_and_in_another_order(folder, write_group):
    first, second = write_group("a.fits"), write_group("b.fits")
    for path, words in ((first, ("one", "two")), (second, ("one", "three"))):
        for word in words:
            with fits.open(path, mode="update") as hdus:
                hdus[0].header.add_history(word)
    assert compare(first, second).headers == [
        "HDU 0: only the first has HISTORY 'two'",
        "HDU 0: only the second has HISTORY 'three'",
    ]


def test_other_order_of_cards_differs(write_group):
    pair = (
        write_group("a.fits", cards={"A": 1, "B": 2}),
        write_group("b.fits", cards={"B": 2, "A": 1}),
    )
    assert compare(*pair).headers == ["HDU 0: the cards have another order"]


def test_shapes_and_numbers_of_hdus_that_do_not_match(folder):
    one, two = (fits.ImageHDU(np.zeros((n, 3)), name="SCI") for n in (2, 4))
    fits.HDUList([fits.PrimaryHDU(), one]).writeto("a.fits")
    fits.HDUList([fits.PrimaryHDU(), two, one]).writeto("b.fits")
    found = compare(folder / "a.fits", folder / "b.fits")
    assert "2 HDUs and 3" in found.headers
    assert "HDU 1 (SCI): shape (2, 3) and (4, 3)" in found.headers


def test_records_part_at_the_first_step_that_differs(write_group, entry, raw, product):
    def record(scale):
        first = entry("p.fits", [raw("x.fits")], step="prepare")
        middle = entry("s.fits", [product(first)], step="scale",
                       parameters={"scale": scale})  # fmt: skip
        last = entry("e.fits", [product(middle)], step="extract")
        return [first, middle, last]

    pair = [write_group(f"{n}.fits", record=record(n)) for n in (2, 3)]
    assert compare(*pair).records == [
        "they part at scale, which made s.fits",
        "parameter scale was 2, now 3",
    ]


def test_records_part_at_every_step_that_differs(write_group, entry, raw, product):
    def record(n, prepare, extract):
        first = entry("p.fits", [raw("x.fits")], step="prepare",
                      parameters={"order": prepare})  # fmt: skip
        other = entry("q.fits", [raw("y.fits", f"sha256:{n}")], step="prepare")
        middle = entry("s.fits", [product(first)], step="scale")
        last = entry("e.fits", [product(middle), product(other)], step="extract",
                     parameters={"width": extract})  # fmt: skip
        return [first, other, middle, last]

    pair = [write_group(f"{n}.fits", record=record(n, n, n * 10)) for n in (1, 2)]
    assert compare(*pair).records == [
        "they part at prepare, which made p.fits", "parameter order was 1, now 2",
        "they part at prepare, which made q.fits", "input y.fits differs",
        "they part at extract, which made e.fits", "parameter width was 10, now 20",
    ]  # fmt: skip


def test_records_with_a_step_in_one_only_say_so_beside_other_differences(
    write_group, entry, raw, product
):
    def record(n, extra):
        first = entry("p.fits", [raw("x.fits")], step="prepare",
                      parameters={"order": n})  # fmt: skip
        rows = [first]
        if extra:
            rows.append(entry("c.fits", [product(first)], step="clean"))
        return [*rows, entry("e.fits", [product(rows[-1])], step="extract")]

    pair = [write_group(f"{n}.fits", record=record(n, n == 2)) for n in (1, 2)]
    assert compare(*pair).records == [
        "they part at prepare, which made p.fits", "parameter order was 1, now 2",
        "they part at extract, which made e.fits", "input p.fits is no longer used",
        "input c.fits is new", "only the second went through clean (c.fits)",
    ]  # fmt: skip


def test_records_of_two_schemas_differ_in_nothing_else(
    write_group, entry, raw, product
):
    def record(version):
        old = version is None
        words = {"schema": 1} if old else {"schema": 2, "revision": 1}
        first = entry("p.fits", [raw("x.fits")], step="prepare", **words)
        last = entry("e.fits", [product(first)], step="extract", **words)
        return [first, last]

    pair = [write_group(f"{n}.fits", record=record(n)) for n in (None, 2)]
    assert compare(*pair).records == []


def test_records_of_other_steps_name_both(write_group, entry, raw):
    pair = [
        write_group(f"{n}.fits", record=[entry("a.fits", [raw("x.fits")], step=n)])
        for n in ("copy", "cp")
    ]
    assert compare(*pair).records == [
        "they part at copy, which made a.fits", "the step was copy, now cp",
    ]  # fmt: skip


def test_records_that_differ_in_versions_only_say_so(write_group, entry, raw):
    pair = [
        write_group(f"{n}.fits", record=[
            entry("a.fits", [raw("x.fits")]) | {"run": {"versions": {"numpy": str(n)}}}
        ])
        for n in (1, 2)
    ]  # fmt: skip
    assert compare(*pair).records == [
        "other versions from work on (a.fits)", "numpy was 1, now 2",
    ]  # fmt: skip


def test_a_record_in_one_file_only_is_said(write_group, entry, raw):
    pair = (
        write_group("a.fits", record=[entry("a.fits", [raw("x.fits")])]),
        write_group("b.fits"),
    )
    assert compare(*pair).records == ["only the first has a record"]


def test_tables_of_provenance_do_not_count(write_group, entry, raw):
    first, second = write_group("a.fits"), write_group("b.fits")
    with second.open("ab") as stream:
        stream.write(provenance_hdus([entry("b.fits", [raw("x.fits")])]))
    assert compare(first, second).verdict == "identical"


def test_large_images_are_compared_in_little_memory(folder):
    values = np.zeros((4000, 3000), np.float32)
    fits.ImageHDU(values).writeto("a.fits")
    values[2000, 1000] = 1
    fits.ImageHDU(values).writeto("b.fits")
    size = values.nbytes
    del values
    tracemalloc.start()
    try:
        found = compare(folder / "a.fits", folder / "b.fits")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.values["HDU 1"].where == (2000, 1000)
    assert peak < size
