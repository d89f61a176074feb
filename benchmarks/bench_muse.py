"""
Reduce a night of MUSE, against the bare recipes: python bench_muse.py [IFUS] [FOLDER].

IFUS is 24 (the default) or fewer, which are done one by one only. The processor time of
esorex is that of children, the framework's own is that of its process: one worker. Two
workers are compared with one by the clock. Recipes have one thread, for with several
one worker takes all processors.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from muse_bare import Bare

from ndmapper import DataFile
from ndmapper.lib.simulate import simulate_muse_night

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "muse_night.py"

# Runs code, and prints the processor time of this process and of its children.
TIMED = """
import os, runpy, sys
import ndmapper.data, ndmapper.steps, astropy.table
del sys.argv[0]
start = os.times()
if sys.argv[1:]:
    runpy.run_path(sys.argv[0], run_name="__main__")
end = os.times()
own, children = (sum(end[i : i + 2]) - sum(start[i : i + 2]) for i in (0, 2))
print(f"\\n{own} {children} {end[4] - start[4]}")
"""


def timed(
    script: Path, night: Path, folder: Path, *more: str, workers: int = 1
) -> tuple[float, float, float]:
    """Run the script; the time of its process, of all others, and by the clock [s]."""
    folder.mkdir(exist_ok=True)
    line = [sys.executable, "-c", TIMED, str(script), str(night), *more]
    done = subprocess.run(
        line, cwd=folder, check=True, capture_output=True, text=True,
        env=os.environ | {"NDMAPPER_WORKERS": str(workers)},
    )  # fmt: skip
    own, children, clock = map(float, done.stdout.split()[-3:])
    return own, children, clock


def bare(files: dict[str, list[Path]], folder: Path, *, together: bool) -> float:
    """Run the recipes alone, and return their processor time [s]."""
    code = (
        "import json, os, sys\nfrom pathlib import Path\nfrom muse_bare import Bare\n"
        "files = {t: [Path(p) for p in ps] for t, ps in json.load(sys.stdin).items()}\n"
        f"Bare(files, Path(sys.argv[1]), together={together}).reduce()\n"
        "print(sum(os.times()[2:4]))"
    )
    names = json.dumps({tag: [str(p) for p in paths] for tag, paths in files.items()})
    done = subprocess.run(
        [sys.executable, "-c", code, folder], input=names, check=True, text=True,
        capture_output=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    return float(done.stdout)


def gain_of_two(files: dict[str, list[Path]], folder: Path, count: int) -> float:
    """Measure how much sooner bare recipes end if two run at once: the floor."""
    bare = Bare(files, folder, together=False)

    def run(number: int) -> None:
        frames = {"BIAS": files["BIAS"]}
        bare.run("muse_bias", f"bias{number}", frames, f"--nifu={number}")

    times = []
    for workers in (1, 2):
        start = time.perf_counter()
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(1, min(count, 8) + 1)))
        times.append(time.perf_counter() - start)
    return times[0] / times[1]


def split_time(folder: Path) -> float:
    """Sum the time by the clock of the first calls of several units [s]."""
    lines = (folder / ".ndmapper" / "log.jsonl").read_text().splitlines()
    total, started = 0.0, None
    for event in map(json.loads, lines):
        when = datetime.fromisoformat(event["time"])
        if event["event"] == "start":
            started = when if event["units"] > 1 else None
        elif event["event"] == "end" and started and event["made"]:
            total += (when - started).total_seconds()
    return total


def show_records(folder: Path) -> None:
    """Print the sizes of what is known of the products, and of the products."""
    products = sorted(folder.glob("*.fits"))
    sizes = {p.name: len(json.dumps(DataFile(p).record)) for p in products}
    largest = max(sizes, key=sizes.__getitem__)
    beside = sum(p.stat().st_size for p in (folder / ".ndmapper").rglob("*.json*"))
    megabytes = sum(path.stat().st_size for path in products) / 1e6
    print(f"    {len(products)} products of {megabytes:.0f} MB; records "
          f"{sum(sizes.values()) / 1e3:.0f} kB, the largest {sizes[largest] / 1e3:.0f} "
          f"kB ({largest}); in .ndmapper {beside / 1e3:.0f} kB")  # fmt: skip


def main(count: int, folder: Path) -> None:
    """Measure both ways, or the one that is possible."""
    os.environ["OMP_NUM_THREADS"] = "1"
    files = simulate_muse_night(folder / "night", ifus=range(1, count + 1))
    text = SCRIPT.read_text()
    for together in [False, True] if count == 24 else [False]:
        name = "all IFUs in a call" if together else "a call for each IFU"
        work = folder / ("together" if together else "each")
        work.mkdir()
        script = work / "muse_night.py"
        script.write_text(text.replace('by="ifu"', "nifu=-1") if together else text)
        alone = bare(files, work / "bare", together=together)
        own, children, clock = timed(script, folder / "night", work / "ours")
        print(f"{name}: esorex alone {alone:.1f} s, with ndmapper {children:.1f} s and "
              f"{own:.2f} s of its own: {own / alone:.1%}")  # fmt: skip
        one = split_time(work / "ours")
        own, *_ = timed(script, folder / "night", work / "ours")
        print(f"    again, with nothing to do: {own:.2f} s")
        own, children, _ = timed(script, folder / "night", work / "ours", "0.6")
        print(f"    another parameter of the sky: {own:.2f} s, esorex {children:.1f} s")
        show_records(work / "ours")
        if not together:
            *_, clock_two = timed(script, folder / "night", work / "two", workers=2)
            two = split_time(work / "two")
            floor = gain_of_two(files, work / "two" / "bare", count)
            print(f"    by the clock: {clock:.1f} s, two workers {clock_two:.1f} s")
            print(f"    calls of several units: {one:.1f} s and {two:.1f} s, a gain of "
                  f"{one / two:.2f}; that of bare recipes is {floor:.2f}")  # fmt: skip


if __name__ == "__main__":
    ifus = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    if len(sys.argv) > 2:
        main(ifus, Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temp:
            main(ifus, Path(temp))
