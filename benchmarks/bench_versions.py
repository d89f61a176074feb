"""
Compare this checkout with an older one: the same work in turns, in one run.

    python benchmarks/bench_versions.py OLD [ROUNDS]

OLD is a folder with the older checkout (``git worktree add OLD COMMIT``). In each round
each of the two works in a process of its own, the order changing from round to round;
what is printed is the median of new / old over the rounds, with its quartiles.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

# What each process runs: public names only, since both checkouts must know them.
WORK = r"""
import json, logging, sys, tempfile
from pathlib import Path
import numpy as np
from timing import best
from ndmapper import DataFile, DataFileList, NDLater, config, run_task
from ndmapper.testing import make_mef

logging.getLogger("ndmapper").setLevel(logging.ERROR)
config["logfile"] = None
folder = Path(tempfile.mkdtemp(dir=sys.argv[1]))
config["outdir"] = str(folder / "made")

mef, big = folder / "mef.fits", folder / "big.fits"
make_mef(mef, n_ext=6, shape=(128, 128), var=True, dq=True, table=True)
make_mef(big, n_ext=1, shape=(2048, 2048), var=True, dq=True)
raws = [folder / f"raw{number:02}.fits" for number in range(20)]
for raw in raws:
    make_mef(raw, n_ext=2, shape=(64, 64))
links = [folder / f"N20260101S{number:04}.fits" for number in range(100)]
for link in links:
    link.hardlink_to(mef)
rng = np.random.default_rng(1)


def image(shape=(2048, 1024)):
    return NDLater(
        rng.random(shape, dtype="f4") + 1,
        variance=rng.random(shape, dtype="f4"),
        flags=rng.integers(0, 4, shape).astype("u2"),
    )


one, two, small, other = image(), image(), image((32, 32)), image((32, 32))
opened, huge = DataFile(mef), DataFile(big)


def saved(df):
    target = folder / "out.fits"
    target.unlink(missing_ok=True)
    df.save(target)


@run_task(prefix="s")
def scale(ndd, *, factor: float = 2.0):
    "Multiply by a number."
    return ndd * factor


scale(DataFileList(raws))
works = {
    "open a file": lambda: DataFile(mef),
    "open, every group": lambda: [ndd.meta for ndd in DataFile(mef)],
    "open 100 files, idents": lambda: [df.idents for df in DataFileList(links)],
    "section, read": lambda: huge[0][900:1000, 900:1000].data,
    "section with variance and flags": lambda: [
        getattr(huge[0][900:1000, 900:1000], what)
        for what in ("data", "variance", "flags")
    ],
    "multiply, in memory": lambda: (one * two).data,
    "divide, in memory": lambda: (one / two).data,
    "multiply, 32 x 32": lambda: (small * other).data,
    "(a - b) / f, saved": lambda: saved((huge - huge) / huge),
    "multiply and save a MEF": lambda: saved(opened * 2),
    "re-run of 20 products": lambda: scale(DataFileList(raws), reprocess=False),
    "re-run of 20, 'auto'": lambda: scale(DataFileList(raws), reprocess="auto"),
}
print(json.dumps({what: best(work, 3, 0.1) for what, work in works.items()}))
"""


def measure(checkout: Path, folder: str) -> dict[str, float]:
    """Run the work with one checkout, in a process of its own."""
    paths = [str(checkout), str(Path(__file__).resolve().parent)]
    done = subprocess.run(
        [sys.executable, "-c", WORK, folder],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{checkout}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main(old: Path, rounds: int) -> None:
    """Measure both in turns, and print the ratios."""
    checkouts = {"old": old.resolve(), "new": Path(__file__).resolve().parents[1]}
    ratios: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            order = sorted(checkouts, reverse=bool(number % 2))
            times = {name: measure(checkouts[name], folder) for name in order}
            for what, new in times["new"].items():
                ratios.setdefault(what, []).append(new / times["old"][what])
                seconds[what] = min(new, seconds.get(what, new))
    print(f"{'':<34}{'new/old':>8}  {'quartiles':<14}{'new [ms]':>10}")
    for what, found in ratios.items():
        low, middle, high = (
            statistics.quantiles(found, n=4) if len(found) > 1 else found * 3
        )
        print(
            f"{what:<34}{middle:8.2f}  {low:.2f} to {high:.2f}"
            f"{seconds[what] * 1e3:12.3f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 15)
