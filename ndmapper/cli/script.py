"""Run a script in this process, and say what went wrong in one message."""

import contextlib
import runpy
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ndmapper.config import config
from ndmapper.errors import MissingFileError, NdmapperError

__all__ = ["ScriptResult", "run_script"]


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
        Names of the products that its steps ``made`` and ``reused``, and of those
        among the latter that are ``differing`` from what would be made now.
    """

    code: int
    error: str | None
    products: Mapping[str, list[str]]


def run_script(
    script: str | Path,
    arguments: Sequence[str] = (),
    *,
    settings: Mapping[str, object] | None = None,
    output_to_stderr: bool = False,
    debug: bool = False,
) -> ScriptResult:
    """
    Run a script as ``python script`` would, with some of the configuration given.

    Products are re-used (``reprocess`` False) where neither the settings, the
    environment, a configuration file nor the script says otherwise.

    Parameters
    ----------
    script : str or Path
        The script.
    arguments : sequence of str
        What it finds in ``sys.argv[1:]``.
    settings : mapping, optional
        Configuration keys and values, with the precedence of the command line.
    output_to_stderr : bool
        Send what it prints to standard error.
    debug : bool
        Print the traceback of an error.

    Returns
    -------
    ScriptResult
        The exit code, and the message that was printed on standard error.

    Raises
    ------
    MissingFileError
        If there is no such script.
    """
    from ndmapper.steps.tally import tally

    path = Path(script)
    if not path.is_file():
        msg = f"there is no script {script}; give the path of a Python file"
        raise MissingFileError(msg)
    tally.clear()
    code, error = 0, None
    with _surroundings(path, arguments, settings or {}, output_to_stderr):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as stop:
            code, error = _exit(stop)
        except Exception as err:
            if debug:
                traceback.print_exc()
            code, error = 1, _message(err, path)
            print(f"ndmapper: {error}", file=sys.stderr)
    products = {
        "made": tally.made,
        "reused": tally.reused,
        "differing": tally.differing,
    }
    tally.report(failed=code != 0)
    return ScriptResult(code, error, products)


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
            config["reprocess"] = False
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
    print(stop.code, file=sys.stderr)
    return 1, str(stop.code)


def _message(err: Exception, path: Path) -> str:
    """Say what went wrong, and in which line of the script."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(err.__traceback__)
        if frame.filename == str(path)
    ]
    where = f"{path}, line {lines[-1]}: " if lines else ""
    if isinstance(err, NdmapperError):
        return f"{where}{err}"
    return f"{where}{type(err).__name__}: {err} (--debug shows the traceback)"
