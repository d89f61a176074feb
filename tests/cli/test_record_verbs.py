"""The verbs that show what records hold."""

import numpy as np
import pytest
from astropy.io import fits
from shared_steps import double

from ndmapper.io.record import encode
from ndmapper.report.doctor import Finding


@pytest.fixture
def product(folder):
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones((3, 4)), name="SCI")])
    hdus.writeto(folder / "x.fits")
    double("x.fits")
    return "dx.fits"


@pytest.fixture
def with_numbers(folder):
    """Two products with the numbers of two steps."""

    def row(product, step, **parts):
        return {
            "schema": 1, "step": step, "product": product, "key": f"{product} {step}",
            "inputs": [], "calibrations": {}, "references": {}, "run": {},
        } | parts  # fmt: skip

    bias = row("bias.fits", "make_bias", qc={"noise": {"value": 3.25, "unit": "adu"}},
               run={"figures": [".ndmapper/figures/bias.png"]})  # fmt: skip
    for number in (1, 2):
        last = row(f"a{number}.fits", "fit", qc={"rms": 0.5 * number, "model": "line"})
        hdu = fits.PrimaryHDU(np.zeros(2))
        hdu.writeto(folder / f"a{number}.fits")
        with (folder / f"a{number}.fits").open("ab") as stream:
            stream.write(encode([bias, last]))
    return ["a1.fits", "a2.fits"]


def test_graph_draws_a_tree(command, product):
    assert command("graph", product).out == "dx.fits <- double\n`-- x.fits\n"


@pytest.mark.parametrize(("form", "start"), [("mermaid", "flow"), ("dot", "digraph")])
def test_graph_format_is_chosen(command, product, form, start):
    assert command("graph", "--format", form, product).out.startswith(start)


def test_graph_json_has_nodes(command, product):
    nodes = command("graph", "--json", product).json["nodes"]
    assert [node["name"] for node in nodes] == ["x.fits", "dx.fits"]


@pytest.mark.parametrize("verb", ["graph", "qc", "script"])
def test_verbs_of_records_say_where_there_is_none(command, product, verb):
    result = command(verb, "x.fits")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "x.fits has no record" in result.err


def test_log_full_has_the_text_of_the_step(command, product):
    assert "return ndd * 2" in command("log", "--full", product).out
    assert "return ndd * 2" not in command("log", product).out


def test_qc_has_a_table_for_each_step_with_each_number_once(command, with_numbers):
    lines = command("qc", *with_numbers).out.splitlines()
    assert lines == [
        "make_bias",
        "product    noise [adu]",
        "bias.fits  3.25",
        "",
        "fit",
        "product  model  rms",
        "a1.fits  line   0.5",
        "a2.fits  line   1",
        "",
        "product    step       figure",
        "bias.fits  make_bias  .ndmapper/figures/bias.png",
    ]


def test_qc_of_one_step(command, with_numbers):
    numbers = command("qc", "--json", "--step", "fit", *with_numbers).json["numbers"]
    assert [(n["product"], n["name"]) for n in numbers] == [
        ("a1.fits", "model"), ("a1.fits", "rms"),
        ("a2.fits", "model"), ("a2.fits", "rms"),
    ]  # fmt: skip


def test_qc_json_has_units_and_figures(command, with_numbers):
    found = command("qc", "--json", *with_numbers).json
    assert found["numbers"][0] == {
        "product": "bias.fits", "step": "make_bias", "name": "noise",
        "value": 3.25, "unit": "adu",
    }  # fmt: skip
    assert [figure["product"] for figure in found["figures"]] == ["bias.fits"]


def test_qc_without_numbers_says_so(command, product):
    assert command("qc", product).out == "no step recorded any number\n"


@pytest.fixture
def pair(folder):
    """Two products that differ by one step of the same number."""
    for number, value in enumerate((1.0, 1.25), 1):
        hdu = fits.ImageHDU(np.full((3, 4), value), name="SCI")
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(folder / f"{number}.fits")
    return "1.fits", "2.fits"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 4, "1.fits and 2.fits differ\n"),
        (("--tolerance", "0.3"), 3, "1.fits and 2.fits agree within 0.3\n"),
        (("--tolerance", "0.2"), 4, "1.fits and 2.fits differ\n"),
        (("--tolerance", "0.3", "--in", "relative"), 3, "agree within 0.3 of the"),
        (("--tolerance", "9", "--in", "sigma"), 4, "differ"),
    ],
    ids=str,
)
def test_diff_exit_code_tells_the_verdict(command, pair, words, code, said):
    result = command("diff", *words, *pair)
    assert result.code == code
    assert said in result.out
    assert "HDU 1 (SCI): 12 of 12 values differ, at most by 0.25" in result.out


def test_diff_of_a_file_with_itself(command, pair):
    result = command("diff", pair[0], pair[0])
    assert (result.code, result.out) == (0, "1.fits and 1.fits are identical\n")


def test_diff_json_has_everything(command, pair):
    found = command("diff", "--json", *pair).json
    assert found["verdict"] == "differs"
    assert found["values"]["HDU 1 (SCI)"]["beyond"] == 12


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "much"])
def test_diff_refuses_a_tolerance_that_is_none(command, pair, value):
    assert command("diff", f"--tolerance={value}", *pair).code == 2


def test_diff_of_a_missing_file_is_an_error(command, pair):
    result = command("diff", pair[0], "nowhere.fits")
    assert (result.code, result.err.count("\n")) == (1, 1)


@pytest.fixture
def findings(monkeypatch):
    """Let the doctor find what a test says."""

    def find(*states):
        found = [
            Finding("packages", f"p{n}", state, "1.0", "work", f"get p{n}")
            for n, state in enumerate(states)
        ]
        monkeypatch.setattr("ndmapper.report.doctor.examine", lambda: found)

    return find


@pytest.mark.parametrize(
    ("states", "code"),
    [(("ok", "ok"), 0), (("ok", "missing"), 0), (("missing", "wrong"), 3)],
    ids=str,
)
def test_doctor_exit_code_tells_if_something_is_wrong(command, findings, states, code):
    findings(*states)
    assert command("doctor").code == code


def test_doctor_gives_advice_for_what_is_missing(command, findings):
    findings("ok", "missing")
    assert "p1, for work:\n    get p1\n" in command("doctor").out
    assert "p0" not in command("doctor", "--missing").out


def test_doctor_says_that_nothing_is_missing(command, findings):
    findings("ok")
    assert command("doctor", "--missing").out == "nothing is missing\n"


def test_doctor_json_lists_findings(command, findings):
    findings("ok", "wrong")
    found = command("doctor", "--json").json
    assert [finding["state"] for finding in found] == ["ok", "wrong"]


@pytest.mark.parametrize("digest", [{}, {"digest": ""}, {"key": None}])
def test_why_of_an_input_without_a_digest_says_so(command, forge, product, digest):
    def change(row):
        row["inputs"] = [{"name": "x.fits", **digest}]

    forge(product, "other.fits", change)
    assert (
        "input x.fits has no digest in the record" in command("why", "other.fits").out
    )


def test_qc_of_recipes_is_in_headers(command, folder):
    def product(name, cards):
        row = {
            "schema": 1, "step": "bias", "product": name, "key": name, "inputs": [],
            "calibrations": {}, "references": {}, "run": {},
        }  # fmt: skip
        hdu = fits.PrimaryHDU(np.zeros(2))
        for key, value in cards.items():
            hdu.header[f"HIERARCH ESO QC {key}"] = value
        hdu.writeto(name)
        with (folder / name).open("ab") as stream:
            stream.write(encode([row]))
        return name

    name = product("a.fits", {"BIAS MASTER1 RON": 2.5, "FLAT SLICE7 RMS": 0.1})
    numbers = command("qc", "--json", name).json["numbers"]
    assert [(n["step"], n["name"], n["value"]) for n in numbers] == [
        ("bias", "BIAS MASTER1 RON", 2.5)
    ]
    numbers = command("qc", "--json", "--details", name).json["numbers"]
    assert [n["name"] for n in numbers] == ["BIAS MASTER1 RON", "FLAT SLICE7 RMS"]
    # Many numbers are below each other.
    name = product("b.fits", {f"X{n} RMS": float(n) for n in range(13)})
    lines = command("qc", name).out.splitlines()
    assert lines[1].split() == ["number", name]
    assert lines[3].split() == ["X1", "RMS", "1"]
