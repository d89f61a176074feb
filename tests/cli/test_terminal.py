"""What names, cards and records hold never steers the terminal."""

import logging
import re

import pytest
from astropy.io import fits
from shared_steps import double

from ndmapper.errors import FormatError
from ndmapper.log import log_to_terminal
from ndmapper.terminal import one_line, printable
from ndmapper.testing import make_mef

EVIL = {
    "escape": "\x1b]0;owned\x07\x1b[2J",
    "c1": "\x9b31m",
    "bidi": "abc\u202efed",
    "isolate": "\u2066x\u2069",
    "backspace": "a\b\b\rb",
    "delete": "\x7f",
    "surrogate": "\udcff",
    "invisible": "a\u200bb",
    "paragraph": "a\u2028b",
}
BAD = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069"
                 "\ud800-\udfff]")  # fmt: skip


@pytest.mark.parametrize("name", EVIL)
def test_printable_shows_what_would_steer(name):
    shown = printable(f"line\n\t{EVIL[name]}")
    assert not BAD.search(shown)
    assert shown.startswith("line\n\t")
    assert shown != f"line\n\t{EVIL[name]}"


@pytest.mark.parametrize("text", ["plain", "naïve café", "Ω Cen", "日本語", "5 µm"])
def test_printable_leaves_letters_of_all_scripts(text):
    assert printable(text) == one_line(text) == text


def test_one_line_is_one():
    assert one_line("a\nb\tc") == "a\\nb\\tc"


def poison(text):
    def change(row):
        row["step"] = f"dou{text}ble"
        row["parameters"] = {f"a{text}": text}
        row["inputs"][0]["name"] = f"x{text}.fits"
        row["product"] = f"p{text}"
        row["tool"] = {"name": f"t{text}", "version": f"v{text}"}
        row["run"]["host"] = f"h{text}"
        row["run"]["log"] = f"said {text}"
        row["qc"] = {f"rms{text}": 1}
        row["config"] = {f"k{text}": text}
        row["source"] = f"def double(ndd):\n    return '{text}'\n"

    return change


@pytest.mark.parametrize("name", [n for n in EVIL if n != "surrogate"])
@pytest.mark.parametrize("json", [(), ("--json",)])
def test_no_verb_prints_what_a_record_holds_raw(command, forge, folder, name, json):
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    double("x.fits")
    forge("dx.fits", "evil.fits", poison(EVIL[name]))
    for verb in ("info", "log", "graph", "qc", "script", "why", "diff"):
        files = ["evil.fits", *(["dx.fits"] if verb == "diff" else [])]
        found = command(verb, *json, *files)
        assert not BAD.search(found.out + found.err), verb
        assert found.code in (0, 3), found.err


def test_newlines_in_names_make_no_lines(command, forge, folder):
    make_mef("x.fits", n_ext=1, shape=(4, 4))
    double("x.fits")
    forge("dx.fits", "evil.fits", poison("\nndmapper: all is well"))
    for verb in ("log", "graph", "why", "qc"):
        lines = command(verb, "evil.fits").out.splitlines()
        assert not [line for line in lines if line.startswith("ndmapper:")], verb


def test_errors_and_the_log_show_and_do_not_obey(folder, capsys):
    err = FormatError(f"{EVIL['escape']}.fits is damaged")
    assert str(err) == "\\x1b]0;owned\\x07\\x1b[2J.fits is damaged"
    logger = logging.getLogger("ndmapper")
    before = list(logger.handlers)
    log_to_terminal()
    logger.warning("%s is odd", EVIL["c1"])
    logger.handlers[:] = before
    assert not BAD.search(capsys.readouterr().err)


def test_cards_are_shown_without_acting(command, folder):
    fits.PrimaryHDU().writeto("x.fits")
    with (folder / "x.fits").open("r+b") as stream:
        content = stream.read().replace(b"EXTEND  =                    T",
                                        b"EXTNAME = 'a\x1b[2Jb\x9b31m'  ")  # fmt: skip
        stream.seek(0)
        stream.write(content)
    found = command("info", "x.fits")
    assert not BAD.search(found.out + found.err)
