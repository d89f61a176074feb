"""What a run shows on a terminal: a line for each call, and what its log file has."""

import contextlib
import os
import pty
import subprocess
import sys
import termios
import textwrap
from pathlib import Path

import pytest
from astropy.io import fits

SCRIPT = """
import sys
from ndmapper.config import config
from ndmapper.steps import run_task

by = float(sys.argv[1])
for word in sys.argv[2:]:
    key, value = word.split("=")
    config[key] = {"False": False}.get(value, value)
if config["reprocess"] is None:
    config["reprocess"] = "auto"

@run_task(prefix="s")
def scale(ndd, *, by: float = 1.0):
    if ndd.data[0, 0] < 0:
        raise ValueError("it is negative")
    return ndd * by

@run_task(prefix="d")
def double(ndd):
    return ndd * 2

@run_task(suffix="_sum", each="list")
def total(files):
    result = files[0]
    for one in files[1:]:
        result = result + one
    return result

total(double(scale([f"x{n:02d}.fits" for n in range(1, 6)], by=by)))
"""


class Terminal:
    """A script, and what it shows on a pseudo-terminal."""

    def __init__(self) -> None:
        self.raw = ""

    def run(self, *words: object) -> list[str]:
        """Run the script; give the lines that are left on the screen."""
        mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 100))
        process = subprocess.Popen(
            [sys.executable, "night.py", *map(str, words)],
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, close_fds=True,
        )  # fmt: skip
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):  # the other side is closed
            while part := os.read(mine, 65536):
                seen += part
        process.wait(120)
        os.close(mine)
        self.raw = seen.decode()
        screen = []
        for line in self.raw.split("\n"):
            shown = ""
            for part in line.split("\r"):
                shown = part + shown[len(part) :]
            screen.append(shown.rstrip())
        return [line for line in screen if line]


@pytest.fixture
def terminal(make_raw, folder):
    for n in range(1, 6):
        make_raw(f"x{n:02d}.fits", (float(n),))
    Path("night.py").write_text(textwrap.dedent(SCRIPT))
    for path in Path().glob("x*.fits"):
        os.utime(path, (1e9, 1e9))  # digests of files written just now are not kept
    return Terminal()


def test_a_call_has_one_line_and_a_progress_bar(terminal):
    assert terminal.run(1) == [
        "scale: x{01..05}.fits -> sx{01..05}.fits: 5 made",
        "double: sx{01..05}.fits -> dsx{01..05}.fits: 5 made",
        "total: dsx{01..05}.fits -> dsx01_sum.fits: made",
        "11 products made, 0 re-used",
    ]
    assert "scale:   0%|" in terminal.raw
    assert "0/5" in terminal.raw
    log = Path("ndmapper.log").read_text()
    assert "INFO    scale: x04.fits -> sx04.fits: made\n" in log
    assert "INFO    END   scale: 5 made, 0 re-used, 0 of these differ\n" in log
    assert "{01..05}.fits: 5 made" not in log


def test_a_second_run_is_as_short(terminal):
    terminal.run(1)
    Path("sx02.fits").unlink()
    assert terminal.run(1) == [
        "scale: x{01..05}.fits -> sx{01..05}.fits: 1 made, 4 re-used",
        "double: sx{01..05}.fits -> dsx{01..05}.fits: 5 re-used",
        "total: dsx{01..05}.fits -> dsx01_sum.fits: re-used",
        "1 product made, 10 re-used",
    ]


def test_a_reason_is_told_once(terminal):
    terminal.run(1)
    assert terminal.run(2, "reprocess=False") == [
        "WARNING: scale: x{01..05}.fits -> sx{01..05}.fits: 5 re-used, but they differ "
        "from what would be made now: parameter by was 1, now 2",
        "double: sx{01..05}.fits -> dsx{01..05}.fits: 5 re-used but stale",
        "total: dsx{01..05}.fits -> dsx01_sum.fits: re-used but stale",
        "0 products made, 11 re-used",
        "WARNING: 11 products are stale since by of scale was 1, now 2; "
        "reprocess='auto' makes them again",
    ]
    log = Path("ndmapper.log").read_text()
    assert log.count("re-used, but it differs from what would be made now: ") == 11
    assert terminal.run(2) == [
        "scale: x{01..05}.fits -> sx{01..05}.fits: 5 made again, "
        "parameter by was 1, now 2",
        "double: sx{01..05}.fits -> dsx{01..05}.fits: 5 made again, "
        "the input of double differs",
        "total: dsx{01..05}.fits -> dsx01_sum.fits: made again, "
        "inputs dsx{01..05}.fits differ",
        "11 products made, 0 re-used",
    ]


def test_several_reasons_have_lines_of_their_own(terminal):
    terminal.run(1)
    for name in ("sx01.fits", "x02.fits"):
        with fits.open(name, mode="update") as hdus:
            hdus[1].data[0, 0] += 1
    Path("sx03.fits").write_bytes(Path("sx03.fits").read_bytes()[:-2880])
    first, *rest = terminal.run(1)
    assert first == (
        "WARNING: scale: x{01..05}.fits -> sx{01..05}.fits: 2 re-used, 2 made again, "
        "1 re-used, but it differs from what would be made now"
    )
    assert rest[0] == "    1 made again, input x02.fits differs (sx02.fits)"
    assert rest[1].startswith("    1 made again, sx03.fits is not a whole file (")
    assert rest[2] == (
        "    1 re-used, but it differs from what would be made now: it was changed by "
        "hand or by another program (sx01.fits)"
    )
    assert rest[-1] == "WARNING: 1 product is kept although it was edited"


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_are_counted_and_the_first_ones_told(terminal, make_raw, workers):
    for n in (1, 2, 3, 5):
        Path(f"x{n:02d}.fits").unlink()
        make_raw(f"x{n:02d}.fits", (-1.0,))
    lines = terminal.run(1, "on_error=continue", f"workers={workers}")
    errors = [line for line in lines if line.startswith("ERROR: scale failed on x0")]
    assert len(errors) == 3
    assert lines[3:] == [
        "ERROR: scale: x{01..05}.fits -> sx{01..05}.fits: 1 made; "
        "4 failed (sx{01..03,05}.fits); see the log",
        "double: sx04.fits -> dsx04.fits: made",
        "total: dsx04.fits -> dsx04_sum.fits: made",
        "ERROR: 3 products made, 0 re-used; 4 products failed: sx{01..03,05}.fits",
    ]
    log = Path("ndmapper.log").read_text()
    assert log.count("ERROR   scale failed on") == 4


def test_what_was_made_before_an_error_is_told(terminal, make_raw):
    Path("x04.fits").unlink()
    make_raw("x04.fits", (-1.0,))
    lines = terminal.run(1)
    assert lines[0] == (
        "scale: x{01..03}.fits -> sx{01..03}.fits: 3 made, stopped by an error"
    )
    assert lines[-1] == "stopped by an error; 3 products made before that, 0 re-used"


def test_inputs_that_were_removed_are_made_again_in_one_line(terminal):
    from ndmapper.steps.clean import find_removable, finish_removals, remove

    terminal.run(1)
    for candidate in find_removable(Path(), "final"):
        if candidate.kept is None:
            remove(candidate.path)
    finish_removals(Path())
    Path("dsx01_sum.fits").unlink()
    lines = terminal.run(1)
    assert lines[-3:] == [
        "dsx{01..05}.fits are needed, and made again",
        "total: dsx{01..05}.fits -> dsx01_sum.fits: made",
        "11 products made, 0 re-used",
    ]
