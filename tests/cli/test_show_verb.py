"""The verb that shows images."""

import numpy as np
import pytest
from shared_helpers import read_picture

from ndmapper import config
from ndmapper.plot import samp
from ndmapper.testing import make_mef

pytest.importorskip("matplotlib", reason="the extra plot is not installed")


@pytest.fixture(autouse=True)
def no_display(monkeypatch, tmp_path):
    hub = (tmp_path / "no hub").as_uri()
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{hub}")


@pytest.fixture
def display(monkeypatch):
    sent = []
    monkeypatch.setattr(samp, "image_displays", lambda: {"c1": "DS9"})
    monkeypatch.setattr(samp, "send_image", lambda path: sent.append(path) or ["DS9"])
    return sent


@pytest.fixture
def mef(folder):
    return make_mef(folder / "bS20120827S0066.fits", n_ext=2, shape=(20, 30))


def test_show_without_display_writes_a_png(command, mef, folder):
    result = command("show", mef.name)
    assert (result.code, result.out) == (0, "bS20120827S0066.png\n")
    assert np.ptp(read_picture(folder / "bS20120827S0066.png")[..., 0]) > 0.5


def test_show_png_goes_to_outdir(command, mef, folder):
    with config.using(outdir="reduced"):
        command("show", mef.name)
    assert (folder / "reduced" / "bS20120827S0066.png").exists()


def test_show_png_never_replaces_a_file_unasked(command, mef, folder):
    (folder / "bS20120827S0066.png").write_text("mine")
    result = command("show", mef.name)
    assert result.code == 1
    assert "exists already" in result.err
    assert (folder / "bS20120827S0066.png").read_text() == "mine"
    assert command("show", "--overwrite", mef.name).code == 0


def test_show_output_names_the_png_and_idents_choose(command, mef, folder):
    all_of_them = command("show", "-o", "all.png", mef.name)
    one = command("show", "-o", "one.png", mef.name, "2")
    assert (all_of_them.code, one.code) == (0, 0)
    assert (
        read_picture(folder / "all.png").shape != read_picture(folder / "one.png").shape
    )


def test_show_unknown_ident_lists_those_there_are(command, mef):
    result = command("show", mef.name, "7")
    assert result.code == 1
    assert "[1, 2]" in result.err


def test_show_with_display_sends_the_file(command, mef, folder, display):
    result = command("show", mef.name)
    assert result.out == "bS20120827S0066.fits was sent to DS9\n"
    assert [path.name for path in display] == [mef.name]
    assert not (folder / "bS20120827S0066.png").exists()


def test_show_png_writes_one_though_a_display_runs(command, mef, folder, display):
    command("show", "--png", mef.name)
    assert display == []
    assert (folder / "bS20120827S0066.png").exists()


def test_show_samp_without_display_is_an_error(command, mef):
    result = command("show", "--samp", mef.name)
    assert result.code == 1
    assert "no SAMP hub runs" in result.err


def test_show_json_says_what_was_made(command, mef):
    assert command("show", "--json", mef.name).json == {
        "file": "bS20120827S0066.fits",
        "picture": "bS20120827S0066.png",
    }


def test_show_bad_file_is_one_message_and_nothing_is_sent(command, folder, display):
    (folder / "notes.fits").write_text("not FITS")
    result = command("show", "notes.fits")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "notes.fits is not a FITS file" in result.err
    assert display == []
