"""
Reduce a night of MUSE, against the bare recipes: python bench_muse.py [IFUS] [FORM].

IFUS is 24 (the default) or fewer, which are done one by one only. FORM is "each" (a
call for each IFU) or "together" (all in a call), or both are done. The processor time
of esorex is that of children, the framework's own is that of its process: one worker.
Two workers are compared with one by the clock, in turns with two bare recipes. Recipes
have one thread, for with several one worker takes all processors.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

from bench_sets import size_of_record
from muse_bare import Bare

from ndmapper import DataFileList, config, run_task
from ndmapper.lib.simulate import simulate_muse_night

FIRST = "\n\ndef respond"
TOGETHER = """
for name in ("bias", "flat", "scibasic"):
    night.parameters[name] = {**night.parameters.get(name, {}), "by": None, "nifu": -1}
"""
"""What makes the script call each recipe once for all IFUs, and where it goes."""
SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "muse_night.py"

ROUNDS = 3
"""Each is timed so many times, in turns."""

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


def gains_of_two(files: dict[str, list[Path]], folder: Path, count: int) -> str:
    """Compare one worker and two on a call of many units, and so the bare recipes."""
    bare = Bare(files, folder / "bare", together=False)
    raw = DataFileList(files["BIAS"])
    make_bias = run_task(
        "esorex:muse_bias", inputs="BIAS", by="ifu",
        outputs={"MASTER_BIAS": "{base}_bias-{ifu:02d}.fits"},
    )(lambda: None)  # fmt: skip

    def ours(workers: int) -> None:
        with config.using(outdir=str(folder / "made"), workers=workers, logfile=None):
            make_bias(raw, reprocess=True)

    def run(number: int) -> None:
        frames = {"BIAS": files["BIAS"]}
        bare.run("muse_bias", f"bias{number}", frames, f"--nifu={number}")

    def recipes(workers: int) -> None:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(run, range(1, count + 1)))

    times: dict[tuple[str, int], list[float]] = {}
    ours(2)  # which starts the workers
    for _ in range(ROUNDS):
        for name, work in (("ours", ours), ("bare", recipes)):
            for workers in (1, 2):
                start = time.perf_counter()
                work(workers)
                used = time.perf_counter() - start
                times.setdefault((name, workers), []).append(used)
    best = {key: median(values) for key, values in times.items()}
    ours_gain, bare_gain = (best[n, 1] / best[n, 2] for n in ("ours", "bare"))
    return (
        f"a call of {count} units: {best['ours', 1]:.1f} s, two workers "
        f"{best['ours', 2]:.1f} s, a gain of {ours_gain:.2f}; bare recipes: "
        f"{best['bare', 1]:.1f} s, two at once {best['bare', 2]:.1f} s, {bare_gain:.2f}"
    )


def show_records(folder: Path) -> None:
    """Print the sizes of what is known of the products, and of the products."""
    products = sorted(folder.glob("*.fits"))
    sizes = {path.name: size_of_record(path) for path in products}
    largest = max(sizes, key=sizes.__getitem__)
    beside = sum(p.stat().st_size for p in (folder / ".ndmapper").rglob("*.json*"))
    megabytes = sum(path.stat().st_size for path in products) / 1e6
    print(f"    {len(products)} products of {megabytes:.0f} MB; records "
          f"{sum(sizes.values()) / 1e3:.0f} kB, the largest {sizes[largest] / 1e3:.0f} "
          f"kB ({largest}); in .ndmapper {beside / 1e3:.0f} kB")  # fmt: skip


def main(count: int, forms: list[str], folder: Path) -> None:
    """Measure the ways that are asked for."""
    os.environ["OMP_NUM_THREADS"] = "1"
    files = simulate_muse_night(folder / "night", ifus=range(1, count + 1))
    text = SCRIPT.read_text()
    for form in forms:
        together = form == "together"
        name = "all IFUs in a call" if together else "a call for each IFU"
        work = folder / form
        work.mkdir()
        script = work / "muse_night.py"
        script.write_text(text.replace(FIRST, TOGETHER + FIRST) if together else text)
        alone = bare(files, work / "bare", together=together)
        own, children, clock = timed(script, folder / "night", work / "ours")
        print(f"{name}: esorex alone {alone:.1f} s, with ndmapper {children:.1f} s and "
              f"{own:.2f} s of its own: {own / alone:.1%}")  # fmt: skip
        own, *_ = timed(script, folder / "night", work / "ours")
        print(f"    again, with nothing to do: {own:.2f} s")
        own, children, _ = timed(script, folder / "night", work / "ours", "0.6")
        print(f"    another parameter of the sky: {own:.2f} s, esorex {children:.1f} s")
        show_records(work / "ours")
        if not together:
            *_, clock_two = timed(script, folder / "night", work / "two", workers=2)
            print(f"    by the clock: {clock:.1f} s, two workers {clock_two:.1f} s")
            print(f"    {gains_of_two(files, work / 'turns', count)}")


if __name__ == "__main__":
    ifus = int(sys.argv[1]) if len(sys.argv) > 1 else 24
    wanted = sys.argv[2:] or (["each", "together"] if ifus == 24 else ["each"])
    with tempfile.TemporaryDirectory() as temp:
        main(ifus, wanted, Path(temp))
