"""The record of a product as text."""

import pytest

from ndmapper.report import history


def test_history_names_the_task_and_what_it_was_given(entry, raw):
    row = entry(
        "a.fits", [raw("x.fits", role="operand1"), raw("y.fits", role="operand2")],
        engine="iraf", step="imarith", tool={"name": "iraf", "version": "2.17"},
        task={"name": "images.imutil.imarith", "parameters": {"op": "+"},
              "words": {"MEF_ext": False}},
        references={"table": [raw("t1.dat"), raw("t2.dat")]},
    )  # fmt: skip
    text = history({"a.fits": [row]})
    assert "by imarith (iraf images.imutil.imarith, iraf 2.17)" in text
    for line in (
        "from operand1: x.fits", "from operand2: y.fits", "op = +", "MEF_ext = False",
        "table: t1.dat, t2.dat",
    ):  # fmt: skip
        assert f"     {line}\n" in text


def test_history_shows_what_was_measured(entry, raw):
    numbers = {"rms": {"value": 0.123456789, "unit": "nm"}, "lines": 17}
    text = history({"a.fits": [entry("a.fits", [raw("x.fits")], qc=numbers)]})
    assert "measured rms = 0.123457 nm" in text
    assert "measured lines = 17" in text


def test_history_counts_many_files_unless_it_is_full(entry, raw):
    row = entry("a.fits", [raw(f"z{n}.fits", f"sha256:{n}") for n in range(9)])
    assert "from z{0..8}.fits" in history({"a.fits": [row]})
    assert "z4.fits" in history({"a.fits": [row]}, full=True)


def test_history_says_versions_where_they_change(entry, raw, product):
    rows = [entry("p0.fits", [raw("x.fits")])]
    for number, version in enumerate(("2", "2", "3"), 1):
        run = {"host": "h", "ended": "2026-01-01", "versions": {"numpy": version}}
        rows.append(entry(f"p{number}.fits", [product(rows[-1])], run=run))
    assert history({"p3.fits": rows}).count("with numpy") == 2


def test_history_in_full_has_text_paths_and_log(entry, raw):
    row = entry(
        "a.fits", [raw("x.fits")], source="def work(x):\n    return helper(x)\n",
        script={"each": "file", "outputs": [None],
                "context": [["helper", "def helper(x): return x"]]},
        run={"paths": {"x.fits": "/raw/x.fits"}, "log": "first\nsecond"},
    )  # fmt: skip
    text = history({"a.fits": [row]}, full=True)
    for line in (
        "    | def work(x):",
        "    | def helper(x)",
        "/raw/x.fits",
        "| second",
    ):
        assert line in text
    assert "helper" not in history({"a.fits": [row]})


def test_history_says_that_uncertainty_was_not_used(entry, raw):
    row = entry("a.fits", [raw("x.fits")], config={"use_uncert": False, "bad_flags": 1})
    assert "     use_uncert = False" in history({"a.fits": [row]})


@pytest.mark.parametrize("full", [True, False])
def test_history_keeps_names_from_steering_the_terminal(entry, raw, full):
    row = entry("a\x1b[2J.fits", [raw("x\n.fits")], parameters={"a": "\x1b]0;hi\x07"})
    text = history({"b\x1b.fits": [row]}, full=full)
    assert "\x1b" not in text
    assert "x?.fits" in text


@pytest.fixture
def ifus(entry, raw, product):
    """Give the record of a sum of three IFUs, each a unit of its own."""

    def unit(step, ifu, inputs, **parts):
        task = {"name": step, "parameters": {"nifu": ifu, "cr": 7}, "words": {}}
        run = {"host": "here", "ended": f"2026-01-0{ifu}", "versions": {"numpy": "2"}}
        return entry(
            f"{step}-{ifu:02d}.fits", inputs, step=step, engine="esorex", task=task,
            unit={"ifu": ifu}, unit_parameter="nifu", run=run, **parts,
            qc={"rms": {"value": ifu / 10, "unit": "adu"}},
        ) | {"set": f"{step}-{{ifu:02d}}.fits"}  # fmt: skip

    frames = [raw(f"r{n}.fits", f"sha256:{n}") for n in range(3)]
    biases = [unit("bias", ifu, frames) for ifu in (1, 2, 3)]
    flats = [
        unit("flat", ifu, [raw("f.fits")], calibrations={"bias": product(bias)})
        for ifu, bias in zip((1, 2, 3), biases, strict=True)
    ]
    total = entry("sum.fits", [product(flat) for flat in flats], step="total")
    return [*biases, *flats, total]


def test_history_shows_what_was_done_alike_as_one_step(ifus):
    assert history({"sum.fits": ifus}).splitlines() == [
        "sum.fits was made by 3 steps from 4 raw files: f.fits, r{0..2}.fits",
        "",
        "  1. bias-{01..03}.fits  by bias (esorex bias, ndmapper 9.9)",
        "     from r{0..2}.fits",
        "     ifu = {1..3}",
        "     nifu = {1..3}",
        "     cr = 7",
        "     measured rms = 0.1 adu ... 0.3 adu",
        "     on here, 2026-01-01 ... 2026-01-03",
        "     with numpy 2",
        "",
        "  2. flat-{01..03}.fits  by flat (esorex flat, ndmapper 9.9)",
        "     from f.fits",
        "     bias: bias-{01..03}.fits",
        "     ifu = {1..3}",
        "     nifu = {1..3}",
        "     cr = 7",
        "     measured rms = 0.1 adu ... 0.3 adu",
        "     on here, 2026-01-01 ... 2026-01-03",
        "",
        "  3. sum.fits  by total (ndmapper.lib.ccd.bias, ndmapper 9.9)",
        "     from flat-{01..03}.fits",
        "     on here, 2026-01-01",
    ]


@pytest.mark.parametrize("how", ["each", "full"])
def test_history_shows_each_file_where_that_is_asked_for(ifus, how):
    text = history({"sum.fits": ifus}, **{how: True})
    assert "sum.fits was made by 7 steps" in text
    assert "  4. bias-02.fits  by bias" in text or "  3. bias-02.fits  by bias" in text
    assert "nifu = 2" in text


def test_history_of_products_that_were_made_alike_is_one(ifus, entry, raw):
    records = {row["product"]: [*ifus[:3], row] for row in ifus[3:6]}
    other = {"other.fits": [entry("other.fits", [raw("x.fits")], step="copy")]}
    none = {"r0.fits": [], "r1.fits": []}
    lines = history(records | other | none).splitlines()
    heads = [line.split(" by ")[0] for line in lines if line and line[0] != " "]
    assert heads == [
        "flat-{01..03}.fits were made",
        "other.fits was made",
        "r0.fits, r1.fits have no record: no step of ndmapper made them",
    ]
    assert history(records, each=True).count(" was made by ") == 3


def test_history_parts_what_other_parameters_have_made(entry, raw, product):
    rows = [
        entry(f"s{n}.fits", [raw(f"x{n}.fits", f"sha256:{n}")], parameters={"by": by})
        for n, by in enumerate((1, 1, 2, 1))
    ]
    total = entry("sum.fits", [product(row) for row in rows], step="total")
    text = history({"sum.fits": [*rows, total]})
    assert "  1. s{0,1,3}.fits  by work" in text
    assert "  2. s2.fits  by work" in text


def test_history_parts_a_step_that_takes_its_own_products(entry, raw, product):
    rows = [entry("p0.fits", [raw("x.fits")])]
    for n in (1, 2, 3):
        rows.append(entry(f"p{n}.fits", [product(rows[-1])]))
    assert "made by 4 steps" in history({"p3.fits": rows})
