"""What `ndmapper cals override` and `ls` say of what they do not know."""

import gzip
import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits
from shared_helpers import write_image

from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict
from ndmapper.errors import ParameterError

pytestmark = pytest.mark.usefixtures("document")


def test_unknown_type_is_an_error_with_a_suggestion(
    command: Any, document: Path
) -> None:
    before = document.read_text()
    result = command("cals", "override", "sim0005.fits", "bais", "--none")
    assert (result.code, document.read_text()) == (1, before)
    assert "type 'bais'; did you mean 'bias'?" in result.err


def test_type_of_another_instrument_is_known(command: Any) -> None:
    assert command("cals", "override", "sim0005.fits", "arc", "--none").code == 0


def test_unknown_frame_is_an_error_with_a_suggestion(
    command: Any, document: Path
) -> None:
    before = document.read_text()
    result = command("cals", "override", "sim0005.fits", "bias", "sim0O01.fits")
    assert (result.code, document.read_text()) == (1, before)
    assert "no" in result.err
    assert "did you mean 'sim00" in result.err
    result = command("cals", "override", "sim0006.fits", "bias", "--none")
    assert result.code == 1
    assert "did you mean 'sim000" in result.err


def test_frame_that_lies_in_a_folder_is_known(command: Any, document: Path) -> None:
    (document.parent / "raw/extra.fits").write_bytes(
        (document.parent / "raw/sim0001.fits").read_bytes()
    )
    for name in ("extra.fits", "raw/extra.fits", "sim0002.fits"):
        assert command("cals", "override", "sim0005.fits", "bias", name).code == 0


def test_ls_of_many_observatories(command: Any, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    types = [("OBSTYPE", "comp", "arc"), ("OBS_TYPE", "BIAS", "bias"),
             ("IMAGETYP", "COMPARISON", "arc"), ("OBSTYPE", "zero", "bias"),
             ("OBS_TYPE", "Dome Flat", "flat"), ("IMAGETYP", "science", "object"),
             ("OBSTYPE", "ARC", "arc"), ("IMAGETYP", "std", "object"),
             ("OBSTYPE", "TARGET", "object"), ("IMAGETYP", "DARK", "dark"),
             ("OBSTYPE", "focus", None)]  # fmt: skip
    for number, (key, value, _) in enumerate(types):
        write_image(other / f"a{number:02}.fits", cards={key: value})
    rows = command("ls", "other", "--json").json
    assert [row["class"] for row in rows] == [kind or "?" for *_, kind in types]


def test_unclassified_names_stand_in_columns(
    command: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = folder / "other"
    other.mkdir()
    for letters in itertools.product("abcdefghijklmnopqrst", "abcdefghijklmno"):
        write_image(other / f"nobody_knows_{''.join(letters)}x.fits")
    assert command("ls", "other").code == 0
    lines = caplog.text.splitlines()
    assert "300 of 300 frames in other without a class" in caplog.text
    assert max(map(len, lines)) < 200
    assert sum("nobody_knows_" in line for line in lines) == 100


def another(document: Path, name: str, number: int = 2, **cards: object) -> Path:
    """Write another frame of the night under a name, in a folder of its own."""
    path = document.parent / name
    path.parent.mkdir(exist_ok=True)
    with fits.open(document.parent / f"raw/sim000{number}.fits") as hdus:
        hdus[0].header.update(cards)
        hdus.writeto(path)
    return path


def frames_of(document: Path, kind: str = "bias") -> list[str]:
    found = json.loads(document.read_text())
    frames: list[str] = found["calibrations"][
        found["associations"]["sim0005.fits"][kind]
    ]
    return frames


@pytest.mark.parametrize("words", [
    ("override", "sim0005.fits", "bias", "other/sim0001.fits"),
    ("override", "other/sim0005.fits", "bias", "sim0001.fits"),
    ("bad", "other/sim0001.fits", "--why", "fog"),
    ("show", "other/sim0005.fits"),
    ("check", "other/sim0005.fits"),
    ("graph", "other/sim0005.fits"),
])  # fmt: skip
def test_frame_of_the_same_name_in_another_folder_is_refused(
    command: Any, document: Path, words: tuple[str, ...]
) -> None:
    another(document, "other/sim0001.fits", **{"DATE-OBS": "2000-01-01T00:00:00"})
    another(document, "other/sim0005.fits", **{"DATE-OBS": "2000-01-01T00:00:00"})
    before = document.read_text()
    result = command("cals", *words)
    assert (result.code, document.read_text()) == (1, before)
    assert "are two frames of one name" in result.err


def test_copy_of_the_frame_in_another_folder_is_the_frame(
    command: Any, document: Path
) -> None:
    another(document, "other/sim0001.fits", 1)
    words = ("sim0005.fits", "bias", "other/sim0001.fits")
    assert command("cals", "override", *words).code == 0
    assert frames_of(document) == ["sim0001.fits"]


def test_folder_of_a_frame_that_is_given_is_noted(command: Any, document: Path) -> None:
    another(document, "other/night2.fits")
    words = ("sim0005.fits", "bias", "other/night2.fits")
    assert command("cals", "override", *words).code == 0
    assert json.loads(document.read_text())["folders"]["night2.fits"] == "other"
    assert command("cals", "check").code == 0


def test_frame_in_two_compressions_counts_once(
    command: Any, document: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = document.parent / "raw/sim0001.fits"
    path.with_name("sim0001.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    names = ("raw/sim0001.fits", "sim0002.fits", "raw/sim0001.fits.gz")
    assert command("cals", "override", "sim0005.fits", "bias", *names).code == 0
    assert frames_of(document) == ["sim0001.fits", "sim0002.fits"]
    assert "sim0001.fits and sim0001.fits.gz are one frame" in caplog.text


@pytest.mark.parametrize(("words", "why"), [
    (("bias", "sim0004.fits"), "sim0004.fits is of class flat, not bias"),
    (("flat", "sim0004.fits", "sim0005.fits"), "sim0005.fits is itself part of the fl"),
    (("bias", "raw/master.fits"), "master.fits is no raw frame: NCOMBINE = 3"),
    (("bias", "sim0003.fits"), "sim0003.fits is marked bad (me: fog) and left out"),
    (("bias", "--product", "nobody.fits"), "there is no nobody.fits in . yet"),
    (("bias", "--product", "sim0004_flat.fits"), "is the flat of other frames"),
])  # fmt: skip
def test_what_speaks_against_it_is_said_and_it_is_done(
    command: Any, document: Path, caplog: Any, words: tuple[str, ...], why: str
) -> None:
    another(document, "raw/master.fits", NCOMBINE=3)
    command("cals", "bad", "sim0003.fits", "--why", "fog", "--who", "me")
    before = document.read_text()
    assert command("cals", "override", "sim0005.fits", *words).code == 0
    assert why in caplog.text
    assert document.read_text() != before


@pytest.mark.parametrize(("words", "why"), [
    (("bias", "raw"), "raw is a folder; name the frames in it"),
    (("bias", "notes.txt"), "notes.txt can be no frame of a calibration"),
    (("bias", "x" * 300), "has a frame xxx"),
    (("bias", "other/sim0001.fits"), "has a frame other/sim0001.fits"),
    (("bias", "--product", "sim0001.fits"), "is a raw frame of the document"),
    (("bias", "--product", ""), "expected a file name"),
    (("BIAS", "sim0001.fits"), "did you mean 'bias'?"),
])  # fmt: skip
def test_what_cannot_be_is_refused(
    command: Any, document: Path, words: tuple[str, ...], why: str
) -> None:
    document.with_name("notes.txt").write_text("fog")
    before = document.read_text()
    result = command("cals", "override", "sim0005.fits", *words)
    assert (result.code, document.read_text()) == (1, before)
    assert why in result.err


def test_lock_of_what_is_not_looked_up_yet_is_said(command: Any) -> None:
    result = command("cals", "override", "sim0005.fits", "arc", "--lock")
    assert result.out == "arc of sim0005.fits: none, locked\n"
    result = command("cals", "override", "sim0005.fits", "arc", "--lock", "--json")
    assert result.json["locked"] is True


@pytest.mark.parametrize("name", ["x\ny.fits", "\x1b[31mred.fits", "x\udcff.fits"])
def test_name_of_any_bytes_can_be_a_frame(
    command: Any, document: Path, name: str
) -> None:
    another(document, f"raw/{name}")
    result = command("cals", "override", "sim0005.fits", "bias", f"raw/{name}")
    assert result.code == 0
    assert result.out.count("\n") == 1
    assert "\x1b" not in result.out
    assert frames_of(document) == [name]
    assert command("cals", "check").code == 0


def test_document_saved_in_another_folder_still_finds_its_frames(
    command: Any, document: Path
) -> None:
    cals = init_cal_dict(document)
    other = document.parent / "deep/er/calibrations.json"
    other.parent.mkdir(parents=True)
    save_cal_dict(cals, other)
    assert json.loads(other.read_text())["folders"]["sim0001.fits"] == "../../raw"
    assert command("cals", "check", "--document", other).code == 0
    before = other.read_bytes().replace(b'"../../raw"', b'"../../raw/"')
    other.write_bytes(before)
    save_cal_dict(init_cal_dict(other), other)
    assert other.read_bytes() == before


def test_frames_added_in_python_are_those_of_their_folder(document: Path) -> None:
    cals = init_cal_dict(document)
    path = another(document, "other/sim0001.fits", **{"DATE-OBS": "2000-01-01"})
    with pytest.raises(ParameterError, match="two frames of one name"):
        add_cal_entry("sim0005.fits", "bias", [path], cals)
    assert cals == init_cal_dict(document)
    add_cal_entry("sim0005.fits", "bias", ["sim0001.fits"], cals)
    add_cal_entry("sim0004.fits", "bias", [(str(path.with_name("gone")), None)], cals)
