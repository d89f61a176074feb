"""``ndmapper demo``: simulate a night, reduce it, show what came out."""

import argparse
import shutil
from pathlib import Path

from ndmapper.cli.output import format_columns, print_json
from ndmapper.cli.script import ScriptResult, run_script
from ndmapper.cli.verb import Verb
from ndmapper.errors import OutputExistsError

__all__ = ["VERB"]

SCRIPT = Path(__file__).parent / "scripts" / "demo_night.py"
MARKER = ".ndmapper-demo"


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
    _claim(folder)
    _simulate(folder / "raw")
    script = folder / SCRIPT.name
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
    """Print what was made."""
    from ndmapper.data import DataFile

    picture = folder / "before_after.png"
    rows = []
    for path in sorted(folder.glob("*.fits")):
        df = DataFile(path)
        rows.append((path.name, df.record[-1]["step"], len(df), df[0].shape))
    heads = ["product", "made by", "extensions", "shape"]
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "products": [dict(zip(heads, row, strict=True)) for row in rows],
                "picture": str(picture),
                **result.products,
            }
        )
        return
    print(format_columns(rows, heads))


VERB = Verb(
    name="demo",
    summary="simulate a night, reduce it, show what came out",
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
    exit_codes={0: "done", 1: "an error", 130: "interrupted from the keyboard"},
    add_arguments=_add_arguments,
    run=_run,
)
