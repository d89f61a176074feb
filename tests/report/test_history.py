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
    text = history([row], "a.fits")
    assert "by imarith (iraf images.imutil.imarith, iraf 2.17)" in text
    for line in (
        "from operand1: x.fits", "from operand2: y.fits", "op = +", "MEF_ext = False",
        "table: t1.dat, t2.dat",
    ):  # fmt: skip
        assert f"     {line}\n" in text


def test_history_shows_what_was_measured(entry, raw):
    numbers = {"rms": {"value": 0.123456789, "unit": "nm"}, "lines": 17}
    text = history([entry("a.fits", [raw("x.fits")], qc=numbers)], "a.fits")
    assert "measured rms = 0.123457 nm" in text
    assert "measured lines = 17" in text


def test_history_counts_many_files_unless_it_is_full(entry, raw):
    row = entry("a.fits", [raw(f"z{n}.fits", f"sha256:{n}") for n in range(9)])
    assert "from z0.fits, z1.fits ... z8.fits (9 files)" in history([row], "a.fits")
    assert "z4.fits" in history([row], "a.fits", full=True)


def test_history_says_versions_where_they_change(entry, raw, product):
    rows = [entry("p0.fits", [raw("x.fits")])]
    for number, version in enumerate(("2", "2", "3"), 1):
        run = {"host": "h", "ended": "2026-01-01", "versions": {"numpy": version}}
        rows.append(entry(f"p{number}.fits", [product(rows[-1])], run=run))
    assert history(rows, "p3.fits").count("with numpy") == 2


def test_history_in_full_has_text_paths_and_log(entry, raw):
    row = entry(
        "a.fits", [raw("x.fits")], source="def work(x):\n    return helper(x)\n",
        script={"each": "file", "outputs": [None],
                "context": [["helper", "def helper(x): return x"]]},
        run={"paths": {"x.fits": "/raw/x.fits"}, "log": "first\nsecond"},
    )  # fmt: skip
    text = history([row], "a.fits", full=True)
    for line in (
        "    | def work(x):",
        "    | def helper(x)",
        "/raw/x.fits",
        "| second",
    ):
        assert line in text
    assert "helper" not in history([row], "a.fits")


def test_history_says_that_uncertainty_was_not_used(entry, raw):
    row = entry("a.fits", [raw("x.fits")], config={"use_uncert": False, "bad_flags": 1})
    assert "     use_uncert = False" in history([row], "a.fits")


@pytest.mark.parametrize("full", [True, False])
def test_history_keeps_names_from_steering_the_terminal(entry, raw, full):
    row = entry("a\x1b[2J.fits", [raw("x\n.fits")], parameters={"a": "\x1b]0;hi\x07"})
    text = history([row], "b\x1b.fits", full=full)
    assert "\x1b" not in text
    assert "x?.fits" in text
