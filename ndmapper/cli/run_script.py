"""Run a script in this process, and say what went wrong in one message."""

import contextlib
import runpy
import select
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ndmapper.cli.output import say
from ndmapper.config import config
from ndmapper.errors import (
    FileAccessError,
    FormatError,
    MissingFileError,
    NdmapperError,
)

__all__ = ["READER_LEFT", "ScriptResult", "run_script"]

READER_LEFT = 141
"""Exit code of a script whose output pipe was closed, as shells have it."""


@dataclass(frozen=True)
class ScriptResult:
    """
    How a script ended.

    Parameters
    ----------
    code : int
        Exit code.
    error : str or None
        The message of the error that ended it.
    products : mapping of str to list of str
        Names of the products that its steps ``made`` and ``reused``, of those among
        the latter that were ``cleaned`` and that are ``differing`` from what would be
        made now, and of those that ``failed`` while others went on.
    line : int or None
        The line of the script where the error was.
    """

    code: int
    error: str | None
    products: Mapping[str, list[str]]
    line: int | None = None


def run_script(
    script: str | Path,
    arguments: Sequence[str] = (),
    *,
    settings: Mapping[str, object] | None = None,
    output_to_stderr: bool = False,
    quiet: bool = False,
    debug: bool = False,
) -> ScriptResult:
    """
    Run a script as ``python script`` would, with some of the configuration given.

    Products that differ from what would be made now are made again (``reprocess``
    'auto') where neither the settings, the environment, a configuration file nor the
    script says otherwise.
    """
    from ndmapper.steps.record.summary import summary

    path = Path(script)
    if not path.is_file():
        msg = f"there is no script {script}; give the path of a Python file"
        raise MissingFileError(msg)
    _check_is_script(path)
    summary.clear()
    code, error, line = 0, None, None
    with _surroundings(path, arguments, settings or {}, output_to_stderr):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code, error = _exit(stop)
        except Exception as err:
            if isinstance(err, BrokenPipeError) and _reader_left():
                summary.clear()
                return ScriptResult(READER_LEFT, None, {})
            if debug:
                traceback.print_exc()
            line = _line(err, path)
            code, error = 1, _message(err, path, line)
            if not quiet:
                say(f"ndmapper: {error}", file=sys.stderr)
    products = {
        "made": summary.made,
        "reused": summary.reused,
        "cleaned": summary.cleaned,
        "differing": summary.differing,
        "failed": summary.failed,
    }
    if summary.failed and code == 0:
        code, error = 1, f"{len(summary.failed)} products failed, while others went on"
    if quiet:
        summary.clear()
    else:
        summary.report(
            failed=code != 0 and not summary.failed,
            remedy="--reprocess auto makes them again",
        )
    return ScriptResult(code, error, products, line)


@contextlib.contextmanager
def _surroundings(
    path: Path,
    arguments: Sequence[str],
    settings: Mapping[str, object],
    output_to_stderr: bool,
) -> Iterator[None]:
    """Set what a script sees, and restore it afterwards."""
    argv, search = sys.argv, list(sys.path)
    with contextlib.ExitStack() as stack:
        stack.enter_context(config.scope())
        config.from_command_line(**settings)
        stack.callback(config.from_command_line)
        if config.source("reprocess") == "default":
            # With the script's own precedence, so that the script can still say.
            config["reprocess"] = "auto"
        if output_to_stderr:
            stack.enter_context(contextlib.redirect_stdout(sys.stderr))
        sys.argv = [str(path), *arguments]
        sys.path.insert(0, str(path.parent.absolute()))
        try:
            yield
        finally:
            sys.argv, sys.path[:] = argv, search


def _exit(stop: SystemExit) -> tuple[int, str | None]:
    """Read an exit code as the interpreter does."""
    if stop.code is None or isinstance(stop.code, int):
        return int(stop.code or 0) & 0xFF, None
    say(stop.code, file=sys.stderr)
    return 1, str(stop.code)


def _reader_left() -> bool:
    """Tell standard output, as in ``ndmapper run FILE | head``, from other pipes."""
    try:
        sys.stdout.flush()
        # Without a buffer (python -u) nothing is left to be flushed.
        poll = select.poll()
        poll.register(sys.stdout.fileno(), select.POLLOUT)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except BrokenPipeError:
        return True
    except (AttributeError, OSError):  # no polling there, or no file
        return False


def _line(err: Exception, path: Path) -> int | None:
    """Find the line of the script in which something went wrong."""
    if isinstance(err, SyntaxError) and err.filename == str(path):
        return err.lineno
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(err.__traceback__)
        if frame.filename == str(path)
    ]
    return lines[-1] if lines else None


def _message(err: Exception, path: Path, line: int | None) -> str:
    """Say what went wrong, and in which line of the script."""
    where = f"{path}, line {line}: " if line else ""
    if isinstance(err, NdmapperError):
        return f"{where}{err}"
    return f"{where}{type(err).__name__}: {err} (--debug shows the traceback)"


def _check_is_script(path: Path) -> None:
    """Tell a script with a mistake in it from a file that is no script."""
    try:
        with path.open("rb") as stream:
            content = stream.read()
    except OSError as err:
        msg = f"the script {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    # A FITS file may be all text, and its first card a statement of Python.
    if b"\0" in content or content.startswith(b"SIMPLE  ="):
        msg = f"{path} is not a Python script, but a file of another kind"
        raise FormatError(msg)
