"""The log: a file for a run, the terminal only where nobody set up logging."""

import contextlib
import logging
import os
from pathlib import Path

import pytest

from ndmapper.log import FILE_ONLY, log_to_file, log_to_terminal


@pytest.fixture(autouse=True)
def bare_logger():
    logger = logging.getLogger("ndmapper")
    before, level = list(logger.handlers), logger.level
    logger.handlers.clear()
    yield logger
    logger.handlers[:] = before
    logger.setLevel(level)


def test_log_to_file_appends_and_makes_the_folder(tmp_path):
    path = tmp_path / "new" / "run.log"
    for word in ("first", "second"):
        with log_to_file(path):
            logging.getLogger("ndmapper.x").info(word)
    assert [line.split()[-1] for line in path.read_text().splitlines()] == [
        "first",
        "second",
    ]


def test_log_to_file_nested_writes_each_line_once(tmp_path):
    path = tmp_path / "run.log"
    with log_to_file(path), log_to_file(path):
        logging.getLogger("ndmapper.x").info("once")
    assert path.read_text().count("once") == 1


def test_log_to_file_none_writes_nothing(bare_logger):
    with log_to_file(None):
        assert not bare_logger.handlers


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "NUL"])
def test_log_file_that_cannot_be_written_is_warned_of(tmp_path, caplog, kind):
    path = tmp_path / "run.log"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":  # which would wait for a reader
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(path)
    else:
        path = tmp_path / "run\0.log"
    with log_to_file(path):
        done = True
    assert done
    assert "config['logfile']" in caplog.text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("stream", ["full", "closed", "none"])
def test_nothing_can_be_written_anywhere(monkeypatch, stream):
    err = None if stream == "none" else Path("/dev/full").open("w", buffering=1)  # noqa: SIM115
    if stream == "closed":
        err.close()
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_terminal()
    with log_to_file(Path("/dev/full")):
        for _ in range(2):
            logging.getLogger("ndmapper.x").info("a word")
    if stream == "full":
        with contextlib.suppress(OSError):
            err.close()


def test_message_that_is_none_is_not_a_full_disk(tmp_path, capsys, monkeypatch):
    # The handler of pytest raises at such a message.
    monkeypatch.setattr(logging.getLogger("ndmapper"), "propagate", False)
    path = tmp_path / "run.log"
    with log_to_file(path):
        logging.getLogger("ndmapper.x").info("%d", "word")
        logging.getLogger("ndmapper.x").info("after it")
    assert "cannot be written" not in capsys.readouterr().err
    assert "after it" in path.read_text()


def test_log_to_terminal_twice_shows_lines_once(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_terminal()
    log_to_terminal()
    logging.getLogger("ndmapper.x").info("once")
    assert capsys.readouterr().err == "once\n"


def test_log_to_terminal_names_the_level_of_warnings(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_terminal()
    logging.getLogger("ndmapper.x").warning("look")
    assert capsys.readouterr().err == "WARNING: look\n"


def test_log_to_terminal_leaves_out_what_is_for_the_file(capsys, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log_to_terminal()
    logging.getLogger("ndmapper.x").info("START", extra=FILE_ONLY)
    assert capsys.readouterr().err == ""


def test_log_to_terminal_respects_logging_set_up_by_the_user(bare_logger, monkeypatch):
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    log_to_terminal()
    assert not bare_logger.handlers
