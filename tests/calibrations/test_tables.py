"""Surveys and matching with tables of one's own, and with times that are not known."""

from pathlib import Path

import pytest
from shared_helpers import write_image

from ndmapper import config
from ndmapper.calibrations import survey
from ndmapper.calibrations.frames import read_frame
from ndmapper.calibrations.mismatch import objections


def write_frame(path: Path, **cards: object) -> Path:
    return write_image(
        path, cards={key.replace("_", "-"): value for key, value in cards.items()}
    )


def mine(path: Path) -> Path:
    path.write_text(
        "schema = 1\n[descriptors]\nkind = 'KIND'\n"
        "[[class]]\nname = 'bias'\nwhere = { kind = 'b' }\n"
    )
    return path


@pytest.mark.parametrize("count", [2, 25])
def test_configuration_names_the_instrument_of_a_survey(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Also where frames are remembered from a survey without it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    for number in range(count):
        write_frame(tmp_path / "raw" / f"f{number}.fits", KIND="b", IMAGETYP="flat")
    assert set(survey("raw")["class"]) == {"flat"}
    with config.using(instrument=mine(tmp_path / "kast.toml")):
        found = survey("raw")
        assert set(found["class"]) == {"bias"}
        # A name that another table has, too, is told apart by the path.
        assert set(found["instrument"]) == {str(tmp_path / "kast.toml")}
    assert set(survey("raw")["class"]) == {"flat"}


def test_frames_without_time_are_named_with_card_and_value(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(7):
        write_frame(
            tmp_path / f"f{number}.fits", IMAGETYP="bias", DATE_OBS="soon", JD=0
        )
    survey(tmp_path)
    assert "the time of 7 frames is not known: f0.fits: DATE-OBS = 'soon', JD = 0;" in (
        caplog.text
    )
    assert caplog.text.count("f6.fits") == 0


def test_match_that_fails_for_a_time_names_the_frame_and_the_card(
    tmp_path: Path,
) -> None:
    good = write_frame(
        tmp_path / "a.fits", IMAGETYP="light", DATE_OBS="2024-03-10T22:00:00"
    )
    bad = write_frame(
        tmp_path / "b.fits", IMAGETYP="bias", DATE_OBS="2024-03-10T99:00:00"
    )
    target, candidate = read_frame(good), read_frame(bad)
    assert target.instrument is not None
    rule = target.instrument.rule("bias")
    assert rule is not None
    assert (
        "the time of b.fits is not known (DATE-OBS = '2024-03-10T99:00:00')"
        in objections(target, rule, candidate)
    )
