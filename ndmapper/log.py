"""
Logging of ndmapper: standard library logging, one file per run, and the terminal.

Modules log to ``logging.getLogger(__name__)``. Importing ndmapper attaches no handler;
the first step that runs attaches the log file and, unless the user has configured
logging, a plain stream to the terminal.
"""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ndmapper.terminal import printable

__all__ = ["FILE_ONLY", "TERMINAL_ONLY", "log_to_file", "log_to_terminal"]

ROOT = "ndmapper"
FILE_ONLY = {"file_only": True}
"""Value of ``extra`` for messages that are written to the log file only."""
TERMINAL_ONLY = {"terminal_only": True}
"""The same for messages that sum up what the log file has line by line."""

_FILE_FORMAT = "%(asctime)s %(levelname)-7s %(message)s"


class _TerminalHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Write whole lines to stderr, above any progress bar."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not getattr(record, "file_only", False) and bool(super().filter(record))

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
            if "tqdm" in sys.modules:  # a progress bar may be shown
                from tqdm import tqdm

                tqdm.write(text, file=sys.stderr)
            else:
                sys.stderr.write(text + "\n")
        except Exception:  # as logging itself: a failing log never stops a reduction
            with suppress(ValueError):  # logging does not expect a closed stream
                self.handleError(record)


class _LogFile(logging.FileHandler):
    """A log file that reports only once that it cannot be written."""

    _is_broken = False

    def filter(self, record: logging.LogRecord) -> bool:
        is_ours = not getattr(record, "terminal_only", False)
        return is_ours and bool(super().filter(record))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        if not isinstance(sys.exc_info()[1], OSError):
            with suppress(ValueError):
                super().handleError(record)  # invalid message
        elif not self._is_broken:
            self._is_broken = True
            # If the disk is full, stderr may be redirected to it as well.
            with suppress(OSError, ValueError, AttributeError):
                sys.stderr.write(
                    f"the log file {self.baseFilename} cannot be written\n"
                )


class _TerminalFormatter(logging.Formatter):
    """Format plain messages, with the level only if it is a warning or error."""

    def format(self, record: logging.LogRecord) -> str:
        text = printable(super().format(record))
        if record.levelno >= logging.WARNING:
            return f"{record.levelname}: {text}"
        return text


class _FileFormatter(logging.Formatter):
    """Format messages so that the file can be shown on a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def log_to_terminal(level: int = logging.INFO) -> None:
    """
    Show the log on the terminal, unless the user has configured logging.

    Parameters
    ----------
    level : int
        The lowest level that is shown.
    """
    logger = logging.getLogger(ROOT)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    for handler in logger.handlers:
        if isinstance(handler, _TerminalHandler):
            handler.setLevel(level)
            return
    if logging.getLogger().handlers:
        return
    handler = _TerminalHandler()
    handler.setLevel(level)
    handler.setFormatter(_TerminalFormatter())
    logger.addHandler(handler)


@contextmanager
def log_to_file(path: Path | None) -> Iterator[None]:
    """
    Append the log to a file within a ``with`` block.

    Parameters
    ----------
    path : Path or None
        The log file; its folder is created if missing. None writes no file.

    Notes
    -----
    A file that cannot be written is warned of, and the work goes on without it: a log
    never stops a reduction.
    """
    if path is None:
        yield
        return
    logger = logging.getLogger(ROOT)
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    target = str(path.absolute())
    if any(getattr(h, "baseFilename", None) == target for h in logger.handlers):
        yield  # an enclosing step writes to this file already
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_fifo():
            raise OSError(errno.EINVAL, "it is a pipe, which may have no reader")
        handler = _LogFile(path, encoding="utf-8")
    except (OSError, ValueError) as err:  # ValueError: a name with NUL
        logger.warning(
            "the log file %s cannot be written (%s), and nothing is logged there; "
            "choose another with config['logfile'], or None for no log file",
            path,
            getattr(err, "strerror", None) or err,
        )
        yield
        return
    handler.setFormatter(_FileFormatter(_FILE_FORMAT))
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        with suppress(OSError):  # a full disk; the error of the step itself counts
            handler.close()
