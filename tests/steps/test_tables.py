"""What an instrument table gave to a step: in record and key, told, and reproduced."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import DeclarationError, InstrumentError, ParameterError
from ndmapper.instruments import load, loader
from ndmapper.io.record import entry_key
from ndmapper.lib import ccd
from ndmapper.report.script import write_script
from ndmapper.steps import InstrumentTable, chain, run_task
from ndmapper.steps.instrument_block import given_by_table, named_changes
from ndmapper.steps.record.freshness import why_stale

TABLE = """
schema = 1
description = "a camera of somebody"
{extends}
[applies]
INSTRUME = "SOMECAM"
[descriptors]
shape = {{ fn = "shape" }}
level = {{ fn = "in_name", pattern = "_([0-9])\\\\.fits" }}
[[class]]
name = "object"
where = {{ shape = "*" }}
[[amplifier]]
name = "left"
where = {{ {where} }}
data = "[1:20,1:30]"
overscan = "[21:24,1:30]"
gain = {gain}
read_noise = 3.0
"""


def table(path, gain=2.0, where='shape = "24x30"', extends="", flags=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = TABLE.format(gain=gain, where=where, extends=extends)
    text = text.replace("[applies]", f"{flags}\n[applies]")
    # Two edits within one tick of the clock are told apart by size and content.
    path.write_text(f"{text}# {path.stat().st_size if path.exists() else 0}\n")
    return path


def write_frame(path, camera="SOMECAM", **cards):
    header = fits.Header()
    header["INSTRUME"] = camera
    header.update(cards)
    fits.writeto(path, np.full((30, 24), 1000, "i2"), header)
    return str(path)


@pytest.fixture
def users(tmp_path, monkeypatch):
    """The folder of the tables of a user."""
    monkeypatch.setattr(loader, "user_folder", lambda: tmp_path / "conf")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "conf"


@pytest.fixture
def raw(users, tmp_path):
    return write_frame(tmp_path / "raw_1.fits")


def changes(step, files, **words):
    item = step.plan(files, reprocess="auto", **words).items[0]
    return item.action, item.reason


def test_record_has_what_a_table_gave_and_where_from(users, raw):
    table(users / "somecam.toml")
    made = ccd.subtract_overscan(raw)
    block = made.record[-1]["instrument"]
    assert (block["table"], block["origin"]) == ("somecam.toml", "user")
    assert block["amplifiers"] == [
        [
            1,
            [
                {
                    "name": "left",
                    "data": "[1:20,1:30]",
                    "overscan": "[21:24,1:30]",
                    "gain": 2.0,
                    "read_noise": 3.0,
                }
            ],
        ]
    ]
    # The step after it finds all that in the header.
    assert ccd.trim(made).record[-1]["instrument"] == {}


def test_edit_of_a_table_makes_again_and_is_told(users, raw):
    table(users / "somecam.toml")
    made = ccd.subtract_overscan(raw)
    assert changes(ccd.subtract_overscan, raw) == ("reuse", "exists")
    assert why_stale(Path(made)) == []
    table(users / "somecam.toml", gain=3.0)
    text = "gain of amplifier left was 2.0, now 3.0, in somecam.toml"
    assert changes(ccd.subtract_overscan, raw) == ("replace", text)
    assert why_stale(Path(made)) == [text]
    again = ccd.subtract_overscan(raw, reprocess="auto")
    assert again[0].meta["GAIN1"] == 3.0
    assert why_stale(Path(again)) == []


def test_edit_of_a_comment_changes_nothing(users, raw):
    path = table(users / "somecam.toml")
    ccd.subtract_overscan(raw)
    path.write_text(path.read_text() + "# a remark\n")
    assert changes(ccd.subtract_overscan, raw) == ("reuse", "exists")


def test_table_that_goes_is_told(users, raw):
    path = table(users / "somecam.toml")
    made = ccd.subtract_overscan(raw)
    path.unlink()
    (first, *_) = why_stale(Path(made))
    assert first.startswith("data section of amplifier left was [1:20,1:30], now")


def test_edit_of_a_table_reaches_a_chain_and_workers(users, tmp_path):
    files = [write_frame(tmp_path / f"raw{n}_1.fits") for n in range(2)]
    table(users / "somecam.toml")
    reduce = chain(ccd.subtract_overscan, ccd.trim, ccd.correct_gain)
    first = [df.record[-1]["key"] for df in reduce(files, workers=2)]
    assert [i.action for i in reduce.plan(files, reprocess="auto").items] == [
        "reuse",
        "reuse",
    ]
    table(users / "somecam.toml", gain=3.0)
    plan = reduce.plan(files, reprocess="auto")
    assert [i.action for i in plan.items] == ["replace", "replace"]
    again = [df.record[-1]["key"] for df in reduce(files, reprocess="auto", workers=2)]
    assert not set(first) & set(again)


def test_chain_that_begins_with_a_step_that_takes_nothing(users, raw):
    """What the table says of the raw frame counts for what is made of it in memory."""

    @run_task(prefix="p")
    def plus_one(ndd):
        return ndd + 1

    table(users / "somecam.toml")
    both = chain(plus_one, ccd.subtract_overscan)
    both(raw)
    assert both.plan(raw, reprocess="auto").items[0].action == "reuse"
    table(users / "somecam.toml", gain=3.0)
    assert "gain of amplifier left" in both.plan(raw, reprocess="auto").items[0].reason


def test_facts_of_a_planned_product_are_those_of_the_made_one(users, raw):
    table(users / "somecam.toml")
    planned = ccd.trim.plan(ccd.subtract_overscan(raw, dry_run=True))
    made = ccd.trim(ccd.subtract_overscan(raw))
    assert planned.items[0].expected[None]["key"] == made.record[-1]["key"]


def test_calibration_whose_frames_had_a_table_does_not_hide_the_facts(users, tmp_path):
    table(users / "somecam.toml")
    bias = ccd.subtract_overscan(write_frame(tmp_path / "bias_1.fits"))
    raw = write_frame(tmp_path / "raw_1.fits")
    made = ccd.subtract_overscan(ccd.subtract_bias(raw, bias=bias))
    assert made.record[-1]["instrument"]["amplifiers"]


def test_header_cards_do_not_count_twice(users, tmp_path):
    raw = write_frame(
        tmp_path / "raw_1.fits", camera="X", DATASEC="[1:20,1:30]", GAIN=2.0,
        BIASSEC="[21:24,1:30]",
    )  # fmt: skip
    made = ccd.subtract_overscan(raw)
    row = made.record[-1]
    assert row["instrument"] == {}
    # The key is the one that older versions gave.
    assert entry_key({n: v for n, v in row.items() if n != "instrument"}) == row["key"]


def test_keyword_of_a_table_counts(users, tmp_path):
    path = users / "somecam.toml"
    keys = '[amplifier_keys]\ndata = "DATASEC"\noverscan = "BIASSEC"\ngain = "{}"\n'
    head = 'schema = 1\ndescription = "x"\n[applies]\nINSTRUME = "SOMECAM"\n'
    users.mkdir()
    path.write_text(head + keys.format("GAIN"))
    raw = write_frame(
        tmp_path / "raw_1.fits", DATASEC="[1:20,1:30]", BIASSEC="[21:24,1:30]",
        GAIN=2.0, EGAIN=1.5,
    )  # fmt: skip
    assert ccd.subtract_overscan(raw)[0].meta["GAIN1"] == 2.0
    path.write_text(head + keys.format("EGAIN"))
    assert changes(ccd.subtract_overscan, raw) == (
        "replace",
        "keyword of gain was GAIN, now EGAIN, in somecam.toml",
    )


def test_keywords_of_several_amplifiers_count(users, tmp_path):
    path = users / "somecam.toml"
    keys = '[amplifier_keys]\namplifiers = ["A", "B"]\ndata = "DATASEC{}"\n'
    keys += 'overscan = "BIASSEC{}"\ngain = "%s{}"\n'
    head = 'schema = 1\ndescription = "x"\n[applies]\nINSTRUME = "SOMECAM"\n'
    users.mkdir()
    path.write_text(head + keys % "GAIN")
    raw = write_frame(
        tmp_path / "raw_1.fits", DATASECA="[1:10,1:30]", BIASSECA="[21:22,1:30]",
        DATASECB="[11:20,1:30]", BIASSECB="[23:24,1:30]", GAINA=2.0, GAINB=3.0,
        EGAINA=1.5, EGAINB=1.6,
    )  # fmt: skip
    made = ccd.subtract_overscan(raw)
    assert [made[0].meta[f"GAIN{n}"] for n in (1, 2)] == [2.0, 3.0]
    recorded = made.record[-1]["instrument"]["keywords"]
    assert recorded["overscan"] == "BIASSECA, BIASSECB"
    path.write_text(head + keys % "EGAIN")
    assert changes(ccd.subtract_overscan, raw) == (
        "replace",
        "keyword of gain was GAINA, GAINB, now EGAINA, EGAINB, in somecam.toml",
    )


def test_record_of_an_older_version_stays_current(users, raw, monkeypatch):
    table(users / "somecam.toml")
    made = ccd.subtract_overscan(raw)
    row = {n: v for n, v in made.record[-1].items() if n != "instrument"}
    row["schema"] = 1
    row["key"] = entry_key(row)
    old = DataFile(str(made))
    old.record = [row]
    old.save("old.fits")
    Path("old.fits").replace(str(made))
    item = ccd.subtract_overscan.plan(raw, reprocess="auto").items[0]
    assert (item.action, item.reason, item.is_kept) == ("reuse", "exists", True)
    told = "its record is of an older version and does not say what somecam.toml gave"
    assert item.changes == (told,)
    again = ccd.subtract_overscan(raw, reprocess=False)
    assert again.expected_key is None


def test_flags_table_that_appears_later_makes_again(users, raw):
    @run_task(prefix="q")
    def plain(ndd):
        return ndd.copy()

    plain(raw)
    assert changes(plain, raw) == ("reuse", "exists")
    table(users / "somecam.toml", flags='flags = "hst"')
    action, reason = changes(plain, raw)
    assert action == "replace"
    assert reason == "flags, convention was not given, now hst, in somecam.toml"


def test_flags_table_of_a_user_counts_in_every_step(users, raw):
    @run_task(prefix="q")
    def plain(ndd):
        return ndd.copy()

    flags = (Path(loader.__file__).parent / "flags" / "ndmapper.toml").read_text()
    table(users / "somecam.toml", flags='flags = "bits.toml"')
    bits = users / "bits.toml"
    bits.write_text(flags)
    # The folder holds it for the table, and nobody takes it for an instrument.
    made = plain(raw)
    assert made.record[-1]["instrument"]["flags"]["convention"] == "bits.toml"
    assert changes(plain, raw) == ("reuse", "exists")
    bits.write_text(
        flags.replace("bit = 2\n", "bit = 9\n", 1).replace("bit = 2,", "bit = 9,", 1)
    )
    table(users / "somecam.toml", flags='flags = "bits.toml"')
    action, reason = changes(plain, raw)
    assert action == "replace"
    assert reason.startswith("flags, meaning of bits was")


def test_flags_of_a_table_do_not_hide_its_amplifiers(users, raw):
    @run_task(prefix="q")
    def plain(ndd):
        return ndd.copy()

    table(users / "somecam.toml", flags='flags = "hst"')
    made = ccd.subtract_overscan(plain(raw))
    assert made.record[-1]["instrument"]["amplifiers"]
    assert made.record[-2]["instrument"]["flags"] == {"convention": "hst"}


def test_section_that_nobody_needs_is_no_error(users, tmp_path):
    table(users / "somecam.toml", extends='extends = "ccd"')
    raw = write_frame(tmp_path / "raw_1.fits", DATASEC="[0:9,1:2]")
    made = ccd.subtract_overscan(raw, overscan="[21:24,1:30]")
    assert made[0].meta["AMPSEC1"] == "[1:20,1:30]"


@pytest.mark.parametrize("form", ["mine.toml", Path("mine.toml")])
def test_instrument_of_a_call_and_of_the_configuration(users, tmp_path, form):
    table(tmp_path / "mine.toml", gain=7.0)
    raw = write_frame(tmp_path / "raw_1.fits")
    with pytest.raises(InstrumentError, match="no overscan section"):
        ccd.subtract_overscan(raw)
    made = ccd.subtract_overscan(raw, instrument=form)
    assert made[0].meta["GAIN1"] == 7.0
    assert made.record[-1]["instrument"]["origin"] == "given"
    with config.using(instrument=form):
        assert changes(ccd.subtract_overscan, raw) == ("reuse", "exists")
        assert ccd.readouts(DataFile(raw)[0])[0].gain == 7.0


def test_table_for_another_camera_is_used_with_a_word(users, tmp_path, caplog):
    table(tmp_path / "mine.toml")
    raw = write_frame(tmp_path / "raw_1.fits", camera="OTHER")
    ccd.subtract_overscan(raw, instrument="mine.toml")
    assert "mine.toml is used, though INSTRUME = 'OTHER'" in caplog.text


def test_unknown_instrument_of_a_call_is_an_error(users, raw):
    with pytest.raises(InstrumentError, match="did you mean 'kast'"):
        ccd.trim(raw, instrument="kst")
    with pytest.raises(ParameterError, match="name of an instrument or the path"):
        ccd.trim(raw, instrument=3)


def test_descriptor_from_the_file_name_chooses_amplifiers(users, tmp_path):
    table(users / "somecam.toml", where='level = "1"')
    assert len(ccd.trim(write_frame(tmp_path / "a_1.fits"))) == 1
    with pytest.raises(
        InstrumentError,
        match=r"amplifier left does not fit \(level '2', not '1'\)",
    ):
        ccd.trim(write_frame(tmp_path / "a_2.fits"))


def test_chain_routes_instrument_to_the_steps_that_take_it(users, tmp_path):
    table(tmp_path / "mine.toml")
    raw = write_frame(tmp_path / "raw_1.fits")
    reduce = chain(ccd.subtract_overscan, ccd.subtract_bias, ccd.trim)
    made = reduce(raw, bias=None, instrument="mine.toml")
    assert made[0].shape == (30, 20)


def test_step_of_a_user_may_take_a_table(users, raw):
    @run_task(prefix="u")
    def half(ndd, *, instrument: InstrumentTable = None):
        """Divide by half the gain."""
        (amplifier,) = ccd.readouts(ndd, instrument=instrument)
        return ndd / (amplifier.gain / 2)

    table(users / "somecam.toml", gain=4.0)
    assert half(raw)[0].data[0, 0] == 500
    table(users / "somecam.toml", gain=5.0)
    assert changes(half, raw)[0] == "replace"
    with pytest.raises(DeclarationError, match="call that parameter instrument"):

        @run_task(prefix="u")
        def other(ndd, *, camera: InstrumentTable = None):
            return ndd


def test_script_tells_where_the_table_differs_and_takes_what_was_recorded(
    users, raw, tmp_path
):
    table(users / "somecam.toml")
    made = ccd.correct_gain(ccd.trim(ccd.subtract_overscan(raw)))
    table(users / "somecam.toml", gain=3.0)
    text = write_script({str(made): made.record}).text
    line = "gain of amplifier left was 2.0, now 3.0, in somecam.toml"
    assert f"# THE TABLE HERE DIFFERS: {line}" in text
    other = tmp_path / "other"
    other.mkdir()
    (other / "again.py").write_text(text)
    table(other / "somecam.toml", gain=5.0)
    done = subprocess.run(
        [sys.executable, "again.py", str(tmp_path)],
        cwd=other, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "was 2.0, now 5.0, in somecam.toml here; what was recorded" in done.stderr
    again = DataFile(other / str(made.filename))
    assert [r["key"] for r in again.record] == [r["key"] for r in made.record]


def test_table_beside_the_script_counts(tmp_path):
    place = tmp_path / "night"
    table(place / "somecam.toml", gain=6.0)
    (place / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    write_frame(place / "raw_1.fits")
    write_frame(place / "raw_2.fits")
    (place / "reduce.py").write_text(
        "from ndmapper.lib import ccd\n"
        "from ndmapper.calibrations import survey\n"
        "made = ccd.subtract_overscan(['night/raw_1.fits', 'night/raw_2.fits'], "
        "workers=2)\n"
        "print(set(survey('night')['instrument']), [d[0].meta['GAIN1'] for d in made],"
        " made[0].record[-1]['instrument']['origin'])\n"
    )
    done = subprocess.run(
        [sys.executable, "night/reduce.py"], cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "somecam" in done.stdout
    assert "[6.0, 6.0] script" in done.stdout


def test_remarks_name_the_file(users, tmp_path, caplog):
    raw = write_frame(tmp_path / "raw_1.fits", camera="X", GAIN=100, EGAIN=2.0)
    with caplog.at_level(logging.WARNING):
        made = ccd.correct_gain(raw)
    assert made[0].data[0, 0] == 2000
    assert "EGAIN = 2.0 is taken for the gain, not GAIN = 100" in caplog.text
    assert "raw_1.fits" in caplog.text


def test_star_in_a_section_is_the_same_without_looking_at_the_frame():
    found = load("kast").amplifiers({"NAXIS1": 2112, "NAXIS2": 400})
    block = {"table": "kast.toml", "amplifiers": [[1, given_by_table(found)]]}
    assert named_changes(block) == []
    block["amplifiers"][0][1][0]["data"] = "[1:1023,1:400]"
    (told,) = named_changes(block)
    assert "amplifier left was [1:1023,1:400], now [1:1024,*], in kast.toml" in told
