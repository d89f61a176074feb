"""What `ndmapper cals override` and `ls` say of what they do not know."""

from pathlib import Path
from typing import Any

import pytest
from astropy.io import fits

from ndmapper.lib.simulate import Night, simulate_night


@pytest.fixture(autouse=True)
def document(command: Any, folder: Path) -> Path:
    """Look up a simulated night: 0001 to 0003 are biases, 0004 a flat, 0005 object."""
    (folder / "raw").mkdir()
    simulate_night(folder / "raw", Night(shape=(32, 32), biases=3, flats=1, science=1))
    assert command("cals", "update", "raw/sim0005.fits").code == 0
    return folder / "calibrations.json"


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


def write(path: Path, **cards: str) -> None:
    header = fits.Header()
    for key, value in cards.items():
        header[key] = value
    fits.PrimaryHDU([[1]], header).writeto(path)


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
        write(other / f"a{number:02}.fits", **{key: value})
    rows = command("ls", "other", "--json").json
    assert [row["class"] for row in rows] == [kind or "?" for *_, kind in types]


def test_unclassified_names_stand_in_columns(
    command: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = folder / "other"
    other.mkdir()
    for number in range(300):
        write(other / f"nobody_knows_{number:03}.fits")
    assert command("ls", "other").code == 0
    lines = caplog.text.splitlines()
    assert "300 of 300 frames in other without a class" in caplog.text
    assert max(map(len, lines)) < 200
    assert sum("nobody_knows_" in line for line in lines) == 100
