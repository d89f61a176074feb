"""``ndmapper demo``: simulate a night, reduce it, show what came out."""

import argparse
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.run_script import READER_LEFT, ScriptResult, run_script
from ndmapper.cli.verb import Verb
from ndmapper.errors import FileAccessError, NdmapperError, OutputExistsError

__all__ = ["VERB"]

SCRIPT = Path(__file__).parent / "scripts" / "demo_night.py"
MARKER = ".ndmapper-demo"
PICTURE = "before_after.png"


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        default="ndmapper-demo",
        metavar="DIR",
        type=Path,
        help="where to work (default: ./ndmapper-demo)",
    )


def _run(args: argparse.Namespace) -> int:
    folder: Path = args.folder
    script = folder / SCRIPT.name
    with _clear_errors(folder):
        _claim(folder)
        _simulate(folder / "raw")
        if not script.exists():  # it may have been edited since
            shutil.copyfile(SCRIPT, script)
    result = run_script(
        script,
        [str(folder / "raw")],
        settings={"outdir": str(folder)},
        output_to_stderr=args.json,
        debug=args.debug,
    )
    if result.code == 0:
        _show(folder, result, as_json=args.json)
    return result.code


@contextlib.contextmanager
def _clear_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except NdmapperError:
        raise
    except OSError as err:
        msg = (
            f"the folder {folder} cannot be made or written to "
            f"({err.strerror or err}); name another: ndmapper demo DIR"
        )
        raise FileAccessError(msg) from err


def _claim(folder: Path) -> None:
    """Make the folder, or know it by its marker; refuse one with other things in it."""
    marker = folder / MARKER
    if marker.exists():
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        msg = (
            f"{folder} has other things in it; give the name of a new or empty folder: "
            "ndmapper demo DIR"
        )
        raise OutputExistsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("The folder of 'ndmapper demo'. It may be deleted.\n")


def _simulate(raw: Path) -> None:
    """Make the raw frames, unless they are there."""
    from ndmapper.lib.simulate import simulate_night

    if raw.is_dir():
        return
    # Half a night, after an interruption, must not be taken for a whole one.
    partial = raw.with_name(".raw.partial")
    shutil.rmtree(partial, ignore_errors=True)
    simulate_night(partial)
    partial.rename(raw)


def _show(folder: Path, result: ScriptResult, *, as_json: bool) -> None:
    """Print what was made: a line for each step, and where to look next."""
    from ndmapper.io.record import read_records

    # A product has the longer a record the further it is from the raw frames.
    records = {path.name: read_records(path) for path in sorted(folder.glob("*.fits"))}
    by_step: dict[str, list[str]] = {}
    for name in sorted(records, key=lambda name: len(records[name])):
        if records[name]:
            by_step.setdefault(records[name][-1]["step"], []).append(name)
    picture = folder / PICTURE
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "steps": by_step,
                "picture": str(picture),
                **result.products,
            }
        )
        return
    rows = [(step, len(names), names[0]) for step, names in by_step.items()]
    say(f"\n{format_columns(rows, ['step', 'products', 'the first of them'])}\n")
    final = rows[-1][-1]
    places = [
        ("before and after", picture),
        ("the script", folder / SCRIPT.name),
        ("calibrations, yours to edit", folder / "calibrations.json"),
        ("how a product was made", f"ndmapper log {folder / final}"),
        ("what it holds", f"ndmapper info {folder / final}"),
    ]
    width = max(len(what) for what, _ in places)
    for what, where in places:
        say(f"{what:<{width}}  {where}")


VERB = Verb(
    description="""\
Simulate a night of raw frames (several amplifiers, overscan, bias and flat structure,
cosmic rays, a few objects), reduce it with a short script, print what was made, and
draw the raw and the reduced science frame side by side.

It works in ./ndmapper-demo, or in DIR, which must be new, empty, or the folder of an
earlier demo. There are the script (demo_night.py, yours to edit), the raw frames, the
products, the calibration document (calibrations.json) and the log. A second run re-uses
what is there.""",
    examples=(
        ("ndmapper demo", "work in ./ndmapper-demo"),
        ("ndmapper demo /tmp/night", "work elsewhere"),
        (
            "ndmapper run ndmapper-demo/demo_night.py ndmapper-demo/raw",
            "run the script",
        ),
    ),
    exit_codes={
        0: "done",
        1: "an error",
        130: "interrupted from the keyboard",
        READER_LEFT: "stopped, since nobody reads its output (as in '| head')",
    },
    add_arguments=_add_arguments,
    run=_run,
)
