"""Simulated nights from the command line."""

from pathlib import Path

import pytest


def test_two_ifus_of_muse(command, folder):
    found = command("simulate", "muse", "night", "--rows", "32", "--json").json
    names = {Path(name).name for name in found["files"]}
    assert {"MUSE.SIM_BIAS01.fits", "WAVECAL_TABLE-02.fits", "sky_lines.fits"} <= names
    assert "WAVECAL_TABLE-03.fits" not in names
    assert all(Path(name).is_file() for name in found["files"])
    result = command("simulate", "muse", "night")
    assert result.code == 1
    assert "night is not empty" in result.err


def test_seed_and_ifus(command, folder):
    def first(name, *words):
        command("simulate", "muse", name, "--rows", "32", "--ifus", "3", *words)
        return Path(name, "raw", "MUSE.SIM_BIAS01.fits").read_bytes()

    assert first("a") == first("b", "--seed", "1")
    assert first("a2", "--seed", "2") != first("b2", "--seed", "1")
    assert [p.name for p in Path("a/masters").glob("WAVE*")] == [
        "WAVECAL_TABLE-03.fits"
    ]


@pytest.mark.parametrize("words", [("--ifus", "1-x"), ("--rows", "x")])
def test_wrong_command_line(command, folder, words):
    assert command("simulate", "muse", "night", *words).code == 2


def test_camera(command, folder):
    assert command("simulate", "ccd", "night").out.startswith("night: ")
    assert len(list(Path("night").glob("*.fits"))) > 5
