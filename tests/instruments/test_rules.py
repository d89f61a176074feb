"""Rules as data: what the TOML may say, and what it means."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ndmapper import instruments
from ndmapper.errors import InstrumentError
from ndmapper.instruments import loader
from ndmapper.instruments.descriptors import parse_descriptor
from ndmapper.instruments.functions import HeaderPair
from ndmapper.instruments.rules import Tolerance

TABLE = """
schema = 1
[applies]
INSTRUME = "MINE"
[descriptors]
object = "OBJECT"
mode = "MODE"
angle = { keys = ["ANGLE"], type = "float" }
time = { fn = "timestamp", keys = ["DATE-OBS"] }
night = { fn = "night", keys = ["DATE-OBS"], cut = "12:00" }
"""


def load(tmp_path: Path, text: str) -> instruments.Instrument:
    path = tmp_path / "mine.toml"
    path.write_text(TABLE + text, encoding="utf-8")
    return instruments.load(path)


def test_rule_levels_relax_step_by_step(tmp_path: Path) -> None:
    rule = load(
        tmp_path,
        """
        [[rule]]
        type = "bias"
        window = "night"
        min = 3
        tolerance = { angle = 1.0 }
        levels = [{ window = 1.0 }, { min = 1, warn = "few" }]
        """,
    ).rule("bias")
    assert rule is not None
    found = [(r.night, r.window, r.minimum, r.warn) for r in rule.graded]
    assert found == [
        (True, None, 3, None),
        (False, (1.0, 1.0), 3, None),
        (False, (1.0, 1.0), 1, "few"),
    ]
    assert all(r.tolerance["angle"].limit == 1.0 for r in rule.graded)


def test_rule_is_the_first_of_its_type_for_such_a_frame(tmp_path: Path) -> None:
    mine = load(
        tmp_path,
        """
        [[rule]]
        type = "flat"
        when = { mode = "image" }
        max = 20
        [[rule]]
        type = "flat"
        when = { mode = { not = ["none"] } }
        max = 2
        """,
    )
    maxima = [r and r.maximum for m in ("image", "spectrum", "none")
              if (r := mine.rule("flat", {"mode": m})) or True]  # fmt: skip
    assert maxima == [20, 2, None]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("levels = 3", r"rule\[0\]\.levels: expected tables"),
        ("levels = [{ select = 'x' }]", r"levels\[0\]: there is no key 'select'"),
        ("levels = [{ min = 0 }]", r"levels\[0\]\.min"),
        ("tolerance = { angle = {} }", r"tolerance\.angle: expected max"),
        ("tolerance = { angle = { max = 1, relative = 1 } }", r"angle\.relative"),
        ("tolerance = { angle = { cases = [{ max = 1, if = 2 }] } }", "no key 'if'"),
        ("tolerance = { angle = { max = 1, over_cos = 'x' } }", "no descriptor 'x'"),
        ("covers = ['areas']", "no descriptor 'areas'"),
        ("period = 'run'", "no descriptor 'run'"),
        ("order = [{ dt = 0 }]", "units above 0"),
        ("order = [5]", "expected descriptors or dt"),
        ("values = { lamp = ['Ne'] }", "no descriptor 'lamp'"),
        ("when = { mood = 'x' }", "did you mean 'mode'"),
    ],
)
def test_rule_wrong_is_refused_by_name(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(InstrumentError, match=problem):
        load(tmp_path, f"[[rule]]\ntype = 'bias'\n{line}\n")


@pytest.mark.parametrize(
    ("tolerance", "found", "wanted", "fits"),
    [
        (Tolerance(limit=1.0), 11.0, 10.0, True),
        (Tolerance(limit=1.0), 11.1, 10.0, False),
        (Tolerance(limit=1.0), None, 10.0, False),
        (Tolerance(limit=1.0, skip_missing=True), None, 10.0, True),
        (Tolerance(limit=1.0), None, None, True),
        (Tolerance(limit=0.01, relative=True), 101.0, 100.0, True),
        (Tolerance(limit=0.01, relative=True), 102.0, 100.0, False),
        (Tolerance(limit=0.01, relative=True, at_least=True), 300.0, 100.0, True),
        (Tolerance(limit=0.01, relative=True, at_least=True), 90.0, 100.0, False),
        (Tolerance(limit=2.0, circle=360.0), 359.0, 1.0, True),
        (Tolerance(limit=2.0, circle=360.0), 358.0, 1.0, False),
        (Tolerance(limit=None), 1.0, 100.0, True),
        (Tolerance(limit=1.0), "a", "b", False),
    ],
)
def test_tolerance(tolerance: Tolerance, found: Any, wanted: Any, fits: bool) -> None:
    assert (tolerance.against("x", found, wanted, {}) is None) is fits


@pytest.mark.parametrize(("angle", "limit"), [(0.0, 10.0), (60.0, 20.0), (86.0, None)])
def test_tolerance_over_cosine(angle: float, limit: float | None) -> None:
    tolerance = Tolerance(limit=10.0, over_cos="elevation")
    assert tolerance.limit_for({"elevation": angle}) == (limit and pytest.approx(limit))


@pytest.mark.parametrize(
    ("spec", "cards", "expected"),
    [
        ({"fn": "before", "keys": ["G"], "mark": "+_"}, {"G": "B600+_G5"}, "B600"),
        ({"fn": "before", "keys": ["G"], "mark": "+_"}, {"G": "MIRROR"}, "MIRROR"),
        ({"fn": "night", "keys": ["D"], "cut": "20:40"},
         {"D": "2017-06-16T20:39:59"}, "2017-06-15"),
        ({"fn": "night", "keys": ["D"], "cut": "20:40"},
         {"D": "2017-06-16T20:40:00"}, "2017-06-16"),
        ({"fn": "night", "keys": ["D"], "cut": [["N", "00:00"], ["S", "16:00"]],
          "by": "I"}, {"D": "2017-06-16T03:00:00", "I": "S"}, "2017-06-15"),
        ({"fn": "above", "keys": ["A"], "limit": [["S1*", 8], ["*", 2]], "by": "T",
          "yes": "slow", "no": "fast"}, {"A": 5, "T": "S10"}, "fast"),
        ({"fn": "above", "keys": ["A"], "limit": [["S1*", 8], ["*", 2]], "by": "T",
          "yes": "slow", "no": "fast"}, {"A": 5, "T": "e2v"}, "slow"),
        ({"fn": "cases", "cases": [{"M": -1, "is": "IFU"},
                                   {"N": "*arcsec", "is": "LS"}]}, {"M": -1}, "IFU"),
        ({"fn": "cases", "cases": [{"M": -1, "is": "IFU"},
                                   {"N": "*arcsec", "is": "LS"}]},
         {"N": "1.0arcsec", "M": 1}, "LS"),
        ({"fn": "cases", "cases": [{"M": -1, "is": "IFU"}]}, {}, None),
        ({"fn": "timestamp", "keys": ["DATE-OBS", "UT", "JD"]}, {"JD": 2457556.25},
         "2016-06-16T18:00:00.000"),
    ],
)  # fmt: skip
def test_function(spec: object, cards: dict[str, Any], expected: Any) -> None:
    assert parse_descriptor(spec).find(cards) == expected


def test_functions_that_see_all_images_and_the_name() -> None:
    images = [{"AMPNAME": f"a{i}", "DETSEC": f"[{i}:9,1:9]", "GAIN": g}
              for i, g in ((1, 5.0), (2, 2.0), (3, 2.1))]  # fmt: skip
    pair = HeaderPair({}, images[0], others=images[1:], filename="wfm_gto19.fits")
    regions = parse_descriptor({"fn": "regions", "keys": ["AMPNAME", "DETSEC"]})
    assert regions.find_in(pair) == "a1@[1:9,1:9];a2@[2:9,1:9];a3@[3:9,1:9]"
    gain = parse_descriptor({"fn": "above", "keys": ["GAIN"], "limit": 3, "yes": "high",
                             "no": "low", "majority": True})  # fmt: skip
    assert gain.find_in(pair) == "low"
    run = parse_descriptor({"fn": "in_name", "pattern": r"_(\w+)\.fits"})
    assert run.find_in(pair) == "gto19"


@pytest.mark.parametrize(
    "spec",
    [
        {"fn": "night", "keys": ["D"], "cut": "25:00"},
        {"fn": "night", "keys": ["D"], "cut": [["N", "00:00"]]},
        {"fn": "cases", "cases": [{"M": 1}]},
        {"fn": "in_name", "pattern": "("},
        {"fn": "in_name", "pattern": "none"},
        {"fn": "above", "keys": ["A"], "limit": [["*"]], "by": "T", "yes": "a",
         "no": "b"},
    ],
)  # fmt: skip
def test_function_with_wrong_options_is_refused(spec: object) -> None:
    with pytest.raises(ValueError, match=r"expected|needs by"):
        parse_descriptor(spec)


def test_table_that_extends_another_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "mymuse.toml"
    path.write_text(
        'extends = "muse"\n'
        'period = [{ name = "gto99", begin = 2030-01-01, end = 2030-01-05 }]\n'
        "[descriptors]\nseeing = 'ESO TEL IA FWHM'\n"
        "[[rule]]\ntype = 'illum'\nmatch = ['field']\nmax = 7\n"
    )
    mine, muse = instruments.load(path), instruments.load("muse")
    rule = mine.rule("illum")
    assert rule is not None
    assert rule.maximum == 7
    assert mine.periods["gto99"].end == date(2030, 1, 5)
    assert set(mine.periods) == {*muse.periods, "gto99"}
    assert set(mine.descriptors) == {*muse.descriptors, "seeing"}
    assert mine.digest != muse.digest


@pytest.mark.parametrize("base", ["'mussel'", "5", "'mymuse.toml'"])
def test_table_that_extends_nothing_known_is_refused(tmp_path: Path, base: str) -> None:
    path = tmp_path / "mymuse.toml"
    path.write_text(f"extends = {base}\n")
    with pytest.raises(InstrumentError, match="extends"):
        instruments.load(path)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder for the tables of a user."""
    folder = tmp_path / "instruments"
    folder.mkdir()
    monkeypatch.setattr(loader, "user_folder", lambda: folder)
    return folder


def test_table_in_the_folder_of_the_user_is_known_by_name_and_header(own: Path) -> None:
    (own / "mine.toml").write_text(TABLE)
    assert "mine" in instruments.names()
    assert instruments.load("mine").source == str(own / "mine.toml")
    found = instruments.recognise({"INSTRUME": "MINE", "IMAGETYP": "flat"})
    assert found is not None
    assert found.name == "mine"


def test_table_of_the_user_goes_before_one_of_the_same_name(own: Path) -> None:
    (own / "gmos.toml").write_text(TABLE.replace("MINE", "GMOS-N"))
    found = instruments.recognise({"INSTRUME": "GMOS-N"})
    assert found is not None
    assert found.source == str(own / "gmos.toml")


def test_broken_table_of_the_user_stops_nobody_else(
    own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own / "broken.toml").write_text("schema = ")
    found = instruments.recognise({"INSTRUME": "MUSE"})
    assert found is not None
    assert found.name == "muse"
    assert "broken.toml is not valid TOML" in caplog.text
    with pytest.raises(InstrumentError, match="not valid TOML"):
        instruments.load("broken")
