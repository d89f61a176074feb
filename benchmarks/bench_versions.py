"""
Compare this checkout with an older one: the same work in turns, in one run.

    python benchmarks/bench_versions.py OLD [ROUNDS] [compiled|numpy]

OLD is a folder with the older checkout (``git worktree add OLD COMMIT``). Arithmetic is
that of the compiled loops, or with ``numpy`` of NumPy in blocks, in both of them. In
each round both start anew, each in a process of its own, and do every piece of work
right after one another, the order changing from round to round, so that what else the
machine does meets both; what is printed is the median of new / old over the rounds,
with its quartiles.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# What each process runs: names that both checkouts know.
WORK = r"""
import json, logging, sys, tempfile
from pathlib import Path
import numpy as np
from timing import best
from ndmapper import DataFile, DataFileList, NDLater, config, run_task
from ndmapper.numerics import arith
from ndmapper.testing import make_mef

if sys.argv[2] == "numpy":
    arith.FUSED_FROM = 1 << 60
else:
    arith.LOADED_AFTER = 0  # compiled from the start, as it was in older ones
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
DataFile(data=[huge[0]]).save(folder / "packed.fits.fz")
packed = DataFile(folder / "packed.fits.fz")


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
    "section of tiles": lambda: packed[0][900:1000, 900:1000].data,
    "multiply, in memory": lambda: (one * two).data,
    "divide, in memory": lambda: (one / two).data,
    "multiply, 32 x 32": lambda: (small * other).data,
    "(a - b) / f, saved": lambda: saved((huge - huge) / huge),
    "multiply and save a MEF": lambda: saved(opened * 2),
    "re-run of 20 products": lambda: scale(DataFileList(raws), reprocess=False),
    "re-run of 20, 'auto'": lambda: scale(DataFileList(raws), reprocess="auto"),
}
print(json.dumps(list(works)), flush=True)
for line in sys.stdin:
    print(best(works[line.rstrip("\n")], 5, 0.05), flush=True)
"""


class Worker:
    """A process that does the work with one checkout, a piece at a time."""

    def __init__(self, checkout: Path, folder: str, path: str) -> None:
        paths = [str(checkout), str(Path(__file__).resolve().parent)]
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORK, folder, path],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.works: list[str] = self._answer()

    def _answer(self) -> Any:
        """Read what the process says next."""
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit("a process ended early")

    def measure(self, work: str) -> float:
        """Return the seconds that one piece of work takes."""
        self.process.stdin.write(work + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def main(old: Path, rounds: int, path: str) -> None:
    """Measure both in turns, and print the ratios."""
    checkouts = {"old": old.resolve(), "new": Path(__file__).resolve().parents[1]}
    ratios: dict[str, list[float]] = {}
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            workers = {
                name: Worker(checkout, folder, path)
                for name, checkout in checkouts.items()
            }
            order = sorted(workers, reverse=bool(number % 2))
            for what in workers["new"].works:
                times = {name: workers[name].measure(what) for name in order}
                ratios.setdefault(what, []).append(times["new"] / times["old"])
                seconds[what] = min(times["new"], seconds.get(what, times["new"]))
            for worker in workers.values():
                worker.close()
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
    words = sys.argv[2:]
    main(
        Path(sys.argv[1]),
        int(words[0]) if words else 15,
        words[1] if words[1:] else "compiled",
    )
