"""``ndmapper demo``: simulate a night, reduce it, show what came out."""

import argparse
import contextlib
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.run_script import READER_LEFT, ScriptResult, run_script
from ndmapper.cli.verb import Verb
from ndmapper.errors import FileAccessError, NdmapperError, OutputExistsError

__all__ = ["VERB"]

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class _Demo:
    """A simulated night, and the script that reduces it."""

    folder: str  # where it works, unless another is given; its marker, too
    script: str
    night: Mapping[str, Any]  # what the simulated night is like
    shown: Mapping[str, str]  # files to look at, by what they are; a picture first

    @property
    def marker(self) -> str:
        """The file that tells the folder of such a demo from others."""
        return f".{self.folder}"


FRAMES = _Demo(
    "ndmapper-demo", "demo_night.py", {}, {"before and after": "before_after.png"}
)
IMAGING = _Demo(
    "ndmapper-demo-imaging",
    "imaging_night.py",
    {"science": 6, "pointing": (150.0, 2.0)},
    {
        "sources of the deep image": ".ndmapper/figures/sdeep_sources.ecsv-1.png",
        "their catalogue": "sdeep_cal.ecsv",
    },
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        metavar="DIR",
        type=Path,
        help="where to work (default: ./ndmapper-demo[-imaging])",
    )
    parser.add_argument(
        "--imaging",
        action="store_true",
        help="go on to a deep image and a catalogue with magnitudes",
    )


def _run(args: argparse.Namespace) -> int:
    demo = IMAGING if args.imaging else FRAMES
    folder: Path = args.folder or Path(demo.folder)
    script = folder / demo.script
    with _clear_errors(folder):
        _claim(folder, demo)
        _simulate(folder / "raw", demo)
        if not script.exists():  # it may have been edited since
            shutil.copyfile(SCRIPTS / demo.script, script)
    result = run_script(
        script,
        [str(folder / "raw")],
        settings={"outdir": str(folder)},
        output_to_stderr=args.json,
        debug=args.debug,
    )
    if result.code == 0:
        _show(folder, demo, result, as_json=args.json)
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


def _claim(folder: Path, demo: _Demo) -> None:
    """Make the folder, or know it by its marker; refuse one with other things in it."""
    marker = folder / demo.marker
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


def _simulate(raw: Path, demo: _Demo) -> None:
    """Make the raw frames, unless they are there."""
    from ndmapper.lib.simulate import Night, simulate_night

    if raw.is_dir():
        return
    # Half a night, after an interruption, must not be taken for a whole one.
    partial = raw.with_name(".raw.partial")
    shutil.rmtree(partial, ignore_errors=True)
    simulate_night(partial, Night(**demo.night))
    partial.rename(raw)


def _show(folder: Path, demo: _Demo, result: ScriptResult, *, as_json: bool) -> None:
    """Print what was made: a line for each step, and where to look next."""
    from ndmapper.io.record import read_records

    # A product has the longer a record the further it is from the raw frames.
    records = {path.name: read_records(path) for path in sorted(folder.glob("*.fits"))}
    by_step: dict[str, list[str]] = {}
    for name in sorted(records, key=lambda name: len(records[name])):
        if records[name]:
            by_step.setdefault(records[name][-1]["step"], []).append(name)
    shown = {what: folder / name for what, name in demo.shown.items()}
    if as_json:
        print_json(
            {
                "folder": str(folder),
                "steps": by_step,
                "picture": str(next(iter(shown.values()))),
                **result.products,
            }
        )
        return
    rows = [(step, len(names), names[0]) for step, names in by_step.items()]
    say(f"\n{format_columns(rows, ['step', 'products', 'the first of them'])}\n")
    final = rows[-1][-1]
    places = [
        *shown.items(),
        ("the script", folder / demo.script),
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
draw the raw and the reduced science frame side by side. With --imaging go on: align the
frames by a catalogue of stars, stack them, find sources, and calibrate magnitudes.

It works in ./ndmapper-demo or ./ndmapper-demo-imaging, or in DIR, which must be new,
empty, or the folder of an earlier demo of the kind. There are the script (yours to
edit), the raw frames, the products, the calibration document (calibrations.json) and
the log. A second run re-uses what is there.""",
    examples=(
        ("ndmapper demo", "work in ./ndmapper-demo"),
        ("ndmapper demo --imaging", "go on to a catalogue"),
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
