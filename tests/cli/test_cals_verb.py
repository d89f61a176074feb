"""The verbs cals and new, and what is new in ls."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from shared_helpers import read_document, write_document

from ndmapper import config
from ndmapper.data import DataFile, NDLater


def test_cals_update_makes_a_document(command: Any, simulated_night: Path) -> None:
    result = command("cals", "update", "raw/sim0005.fits")
    assert result.out == "calibrations.json: 2 calibrations of 1 files\n"
    found = read_document(simulated_night.parent / "calibrations.json")
    assert found["associations"]["sim0005.fits"]["flat"] == "sim0004_flat.fits"


def test_cals_update_says_what_was_not_found(
    command: Any, simulated_night: Path
) -> None:
    (simulated_night / "sim0004.fits").unlink()
    result = command("cals", "update", "raw/sim0005.fits")
    assert "none was found: flat of sim0005.fits" in result.out
    assert result.code == 3
    command("cals", "override", "sim0005.fits", "flat", "--none")
    assert command("cals", "update", "raw/sim0005.fits").code == 0


def test_cals_show_lists_every_association(command: Any, document: Path) -> None:
    found = command("cals", "show", "--json").json
    shown = {(e["frame"], e["cal_type"]): e for e in found}
    assert set(shown) == {
        ("sim0005.fits", "bias"), ("sim0005.fits", "flat"), ("sim0004.fits", "bias"),
    }  # fmt: skip
    bias = shown["sim0005.fits", "bias"]
    assert bias["frames"] == ["sim0001.fits", "sim0002.fits", "sim0003.fits"]
    assert (bias["source"], bias["quality"]) == ("local (simcam)", 0)
    lines = command("cals", "show", "raw/sim0005.fits").out.splitlines()
    assert lines[0].split()[:3] == ["frame", "type", "calibration"]
    assert len(lines) == 3


def test_cals_without_document_says_how_to_make_one(command: Any) -> None:
    result = command("cals", "show")
    assert result.code == 1
    assert "make one with 'ndmapper cals update" in result.err


def test_cals_why_explains_each_candidate(command: Any, document: Path) -> None:
    command("cals", "bad", "sim0002.fits", "--why", "stripes", "--who", "me")
    result = command("cals", "why", "raw/sim0005.fits", "--type", "bias", "--json")
    (found,) = result.json
    assert result.code == 3
    assert "2 of class bias, but at least 3 needed" in found["summary"]
    fates = {c["name"]: (c["status"], c["why"]) for c in found["candidates"]}
    assert fates["sim0002.fits"] == ("bad", "marked bad (me: stripes)")
    assert fates["sim0001.fits"] == ("lost", "its set has 2 of at least 3")


def test_cals_why_finds_a_frame_where_the_document_says(
    command: Any, document: Path
) -> None:
    assert read_document(document)["folders"]["sim0005.fits"] == "raw"
    whole, bare = (
        command("cals", "why", name, "--json") for name in
        ("raw/sim0005.fits", "sim0005.fits")
    )  # fmt: skip
    assert (bare.code, bare.json) == (whole.code, whole.json)
    assert command("cals", "why", "sim0099.fits").code == 1


def test_cals_why_of_a_calibration_asks_for_what_it_needs(
    command: Any, simulated_night: Path
) -> None:
    flat = command("cals", "why", "raw/sim0004.fits", "--json")
    assert [one["type"] for one in flat.json] == ["bias"]
    bias = command("cals", "why", "raw/sim0001.fits")
    assert (bias.code, bias.out.strip()) == (0, "sim0001.fits needs no calibrations")


def test_cals_why_without_document_works(command: Any, simulated_night: Path) -> None:
    result = command("cals", "why", "raw/sim0005.fits")
    assert result.code == 0
    assert result.out.startswith("bias of sim0005.fits: 3 of class bias, same shape")
    assert "flat of sim0005.fits: 1 of class flat" in result.out


def test_cals_override_replaces_one_and_wins_over_refresh(
    command: Any, document: Path
) -> None:
    command("cals", "override", "sim0005.fits", "bias", "sim0001.fits", "sim0003.fits")
    command("cals", "update", "raw/sim0005.fits", "--refresh")
    found = read_document(document)
    label = found["associations"]["sim0005.fits"]["bias"]
    assert found["calibrations"][label] == ["sim0001.fits", "sim0003.fits"]
    assert found["associations"]["sim0004.fits"]["bias"] == "sim0001_bias.fits"


def test_cals_override_with_none_or_product(command: Any, document: Path) -> None:
    assert command("cals", "override", "sim0005.fits", "flat", "--none").code == 0
    command("cals", "override", "sim0005.fits", "bias", "--product", "made.fits")
    assert read_document(document)["associations"]["sim0005.fits"] == {
        "bias": "made.fits", "flat": None,
    }  # fmt: skip


def test_cals_override_locks_and_unlocks(command: Any, document: Path) -> None:
    result = command("cals", "override", "sim0005.fits", "bias", "--lock")
    assert result.out.endswith(", locked\n")
    assert read_document(document)["locked"] == {"sim0005.fits": ["bias"]}
    command("cals", "override", "sim0005.fits", "bias", "--unlock")
    assert "locked" not in read_document(document)


@pytest.mark.parametrize(
    "words", [[], ["sim0001.fits", "--none"], ["sim0001.fits", "--product", "x.fits"]]
)
def test_cals_override_says_what_is_missing(
    command: Any, document: Path, words: list[str]
) -> None:
    before = document.read_bytes()
    assert command("cals", "override", "sim0005.fits", "bias", *words).code == 1
    assert document.read_bytes() == before


def test_cals_bad_and_undo(command: Any, document: Path) -> None:
    before = document.read_bytes()
    assert command("cals", "bad", "raw/sim0001.fits").code == 1  # without a reason
    assert document.read_bytes() == before
    result = command("cals", "bad", "raw/sim0001.fits", "--why", "fog", "--who", "me")
    assert result.out == "bad frames: sim0001.fits\n"
    shown = command("cals", "show", "sim0005.fits").out
    assert "1 bad" in shown
    assert "bad: sim0001.fits: fog (me)" in shown
    command("cals", "bad", "sim0001.fits", "--undo")
    assert document.read_bytes() == before


def test_cals_bad_hints_at_a_slip(
    command: Any, document: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = command("cals", "bad", "sim001.fits", "sim0002.fits", "--why", "fog")
    assert result.code == 0
    said = "sim001.fits is marked bad, but no calibration of the document has it"
    assert said in caplog.text
    assert "sim0002.fits is marked bad" not in caplog.text


def test_cals_check_tells_whole_missing_and_damaged_files(
    command: Any, document: Path, simulated_night: Path
) -> None:
    found = read_document(document)
    content = (simulated_night / "sim0001.fits").read_bytes()
    found["checksums"]["sim0001.fits"] = hashlib.md5(content).hexdigest()
    write_document(document, found)
    result = command("cals", "check", "--dirname", "raw", "--json")
    states = {s["name"]: s["state"] for s in result.json}
    assert result.code == 0
    assert states == {"sim0005.fits": "there", "sim0001.fits": "ok"} | dict.fromkeys(
        ["sim0002.fits", "sim0003.fits", "sim0004.fits"], "there"
    )
    (simulated_night / "sim0001.fits").write_bytes(content[:-1] + b"?")
    (simulated_night / "sim0002.fits").unlink()
    result = command("cals", "check", "--dirname", "raw", "--json")
    states = {s["name"]: s["state"] for s in result.json}
    assert result.code == 3
    assert (states["sim0001.fits"], states["sim0002.fits"]) == ("damaged", "missing")


def test_cals_check_looks_where_the_document_says_that_frames_lay(
    command: Any, document: Path
) -> None:
    assert read_document(document)["folders"]["sim0001.fits"] == "raw"
    result = command("cals", "check", "--json")
    assert result.code == 0
    assert {s["state"] for s in result.json} == {"there"}
    assert command("cals", "check", "--dirname", "elsewhere").code == 3


@pytest.mark.parametrize("case", [
    ("warn", "there", 0), ("ignore", "there", 0), ("error", "damaged", 3),
])  # fmt: skip
def test_cals_check_compares_the_files_with_their_own_sums(
    command: Any,
    document: Path,
    simulated_night: Path,
    caplog: Any,
    case: tuple[str, str, int],
) -> None:
    assert document.exists()
    setting, state, code = case
    path = simulated_night / "sim0001.fits"
    with fits.open(path) as hdus:
        hdus.writeto(path, overwrite=True, checksum=True)
    assert command("cals", "check", "--dirname", "raw").code == 0
    assert "damaged" not in caplog.text
    content = bytearray(path.read_bytes())
    content[-2880] ^= 1
    path.write_bytes(content)
    with config.using(checksums=setting):
        result = command("cals", "check", "--dirname", "raw", "--json")
    (found,) = (s for s in result.json if s["name"] == "sim0001.fits")
    assert (found["state"], result.code) == (state, code)
    assert ("DATASUM says" in found["why"]) == (setting != "ignore")
    assert ("sim0001.fits may be damaged" in caplog.text) == (setting == "warn")


def test_cals_graph_draws_the_tree(command: Any, document: Path) -> None:
    assert command("cals", "graph").out == (
        "sim0005.fits\n"
        "├─ bias: sim0001_bias.fits (3 frames)\n"
        "└─ flat: sim0004_flat.fits (1 frame)\n"
        "   └─ bias: sim0001_bias.fits (3 frames)\n"
    )
    assert command("cals", "graph", "--form", "dot").out.startswith("digraph")
    (top,) = command("--json", "cals", "graph").json
    assert [b["cal_type"] for b in top["branches"]] == ["bias", "flat"]


@pytest.mark.parametrize(
    "action", ["show", "why", "graph", "check", "update", "override", "bad"]
)
def test_help_of_every_action_fits_a_terminal(command: Any, action: str) -> None:
    result = command("cals", action, "--help")
    assert result.code == 0
    assert all(len(line) <= 88 for line in result.out.splitlines())


def test_new_instrument_drafts_a_table_that_works(
    command: Any, simulated_night: Path
) -> None:
    result = command("new", "instrument", "mycam", "raw", "--json")
    assert result.json == {
        "file": "mycam.toml", "classes": {"bias": 3, "flat": 1, "object": 1},
    }  # fmt: skip
    again = command("new", "instrument", "mycam", "raw")
    assert again.code == 1
    assert "already exists" in again.err
    listed = command("ls", "raw", "--instrument", "mycam.toml", "--rules").out
    assert "0 of 5 without a class" in listed


@pytest.mark.parametrize("name", ["../x", "a b", ""])
def test_new_instrument_with_a_name_that_is_none(
    command: Any, simulated_night: Path, name: str
) -> None:
    assert command("new", "instrument", name, "raw", "-o", "x.toml").code == 1
    assert not (simulated_night.parent / "x.toml").exists()


def test_ls_rules_shows_classes_and_what_has_none(
    command: Any, simulated_night: Path
) -> None:
    (simulated_night / "odd.fits").write_text("no FITS file")
    lines = command("ls", "raw", "--rules").out.splitlines()
    rows = [line.split() for line in lines]
    assert ["bias", "3", "-", "bias"] in rows
    assert ["object", "1", "bias,", "flat", "-"] in rows
    assert ["1", "of", "6", "without", "a", "class"] in rows
    assert rows[-1][:3] == ["odd.fits", "cannot", "be"]


def test_ls_tells_how_to_describe_a_camera_that_is_not_known(
    command: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "a night"
    folder.mkdir()
    for number in range(1, 5):
        DataFile(
            folder / f"w{number}.fits", mode="new", meta={"INSTR": "Wide"},
            data=[NDLater([[1.0]])],
        ).save()  # fmt: skip
    for more in ((), ("--rules",)):
        out = command("ls", str(folder), *more).out
        assert "w{1..4}.fits" in out
        assert f"ndmapper new instrument NAME '{folder}'" in out
    assert "w3.fits" in command("ls", str(folder), "--rules", "--all").out


def test_ls_update_adds_new_frames_to_an_edited_table(
    command: Any, simulated_night: Path
) -> None:
    last = simulated_night / "sim0005.fits"
    content = last.read_bytes()
    last.unlink()
    command("ls", "raw", "--save", "night.ecsv")
    table = simulated_night.parent / "night.ecsv"
    table.write_text(table.read_text().replace("sim0002.fits bias", "sim0002.fits ?"))
    last.write_bytes(content)
    command("ls", "raw", "--update", "night.ecsv")
    text = table.read_text()
    assert "sim0002.fits ?" in text
    assert "sim0005.fits object" in text
