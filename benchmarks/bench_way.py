"""
Count the files and calls on the way of common work, here and in an older checkout.

    python benchmarks/bench_way.py [OLD]

A file is counted if any function of it is called; calls are those of Python functions
of ndmapper. Everything is done once before it is counted, so that what is only read or
made in the beginning of a session does not show.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

# Public names only, since both checkouts must know them.
WORK = r"""
import json, logging, shutil, sys
from pathlib import Path
import numpy as np
import ndmapper
from ndmapper import DataFile, config, run_task
from ndmapper.testing import make_mef

logging.getLogger("ndmapper").setLevel(logging.ERROR)
config["logfile"] = None
folder = Path(sys.argv[1])
config["outdir"] = str(folder / "made")
root = str(Path(ndmapper.__file__).parent)
files = [folder / f"raw{number}.fits" for number in range(3)]
for file in files:
    make_mef(file, n_ext=1, shape=(128, 128), var=True, dq=True)
huge = [folder / f"huge{number}.fits" for number in range(2)]
for file in huge:
    make_mef(file, n_ext=1, shape=(2048, 1024), var=True, dq=True)


def counted(work):
    "Return how many files and calls of ndmapper a piece of work needs."
    found, calls = set(), 0

    def on_event(frame, event, argument):
        nonlocal calls
        if event == "call" and (name := frame.f_code.co_filename).startswith(root):
            found.add(name)
            calls += 1

    sys.setprofile(on_event)
    try:
        work()
    finally:
        sys.setprofile(None)
    return [len(found), calls]


@run_task(prefix="s")
def scale(ndd, *, factor: float = 2.0):
    "Multiply by a number."
    return ndd * factor


def saved():
    target = folder / "out.fits"
    target.unlink(missing_ok=True)
    first, second = DataFile(huge[0]), DataFile(huge[1])
    return lambda: (first - second).save(target)


def section():
    df = DataFile(huge[0])
    return lambda: df[0][100:200, 100:200].data


def made(reprocess):
    shutil.rmtree(folder / "made", ignore_errors=True)
    if not reprocess:
        scale(files[0])
    return lambda: scale(files[0], reprocess=reprocess)


works = {
    "open": lambda: lambda: DataFile(files[0])[0].shape,
    "section": section,
    "(a - b).save": saved,
    "a step call": lambda: made(True),
    "a re-used call": lambda: made(False),
}
for prepare in works.values():
    prepare()()
print(json.dumps({what: counted(prepare()) for what, prepare in works.items()}))
"""


def count(checkout: Path) -> dict[str, list[int]]:
    """Count with one checkout, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = subprocess.run(
            [sys.executable, "-c", WORK, folder],
            env=os.environ | {"PYTHONPATH": str(checkout)},
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    counts: dict[str, list[int]] = json.loads(found.stdout)
    return counts


def main(old: Path | None) -> None:
    """Print the counts, and those of the older checkout before them."""
    new = count(Path(__file__).resolve().parents[1])
    before = new if old is None else count(old.resolve())
    print(f"{'':<18}{'files':>14}{'calls':>18}")
    for what, (files, calls) in new.items():
        old_files, old_calls = before[what]
        print(f"{what:<18}{old_files:>6} -> {files:<6}{old_calls:>8} -> {calls:<6}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
