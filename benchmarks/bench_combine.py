"""
Combine frames from disk to disk, against IRAF's imcombine and ccdproc.

Each runs in a process of its own, in turns; the time is that of the call, without
imports, and the memory the largest of the process and its children. The page cache is
warm: the first round is not counted. Fifty frames: --frames 50 --only clipped; two
hundred compressed ones: --frames 200 --size 1024 --only "clipped mean: ndmapper"
--ending fits.gz.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

from ndmapper import DataFile, NDLater

START = """
import glob, os, resource, sys, time
os.environ.update(PYRAF_NO_DISPLAY="1", TERM="dumb", USER="bench")
names = sorted(glob.glob("{first}*.fits*"))
for name in {"made.fits", "log"} & set(os.listdir()):
    os.remove(name)
"""

END = """
wall = time.perf_counter() - start
peak = max(resource.getrusage(who).ru_maxrss
           for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
print(wall, peak / 1024)
"""

OURS = """
from ndmapper import DataFileList, config
from ndmapper.lib.combine import combine
# Which is imported when it is first used, as the peers' loops are before.
import ndmapper.numerics.stack_loops
config["logfile"] = None
start = time.perf_counter()
combine(DataFileList(names), combined="made.fits", reprocess=True{words})
"""

IRAF = """
from pyraf import iraf
iraf.images(); iraf.images.immatch()
iraf.set(use_new_imt="no")
start = time.perf_counter()
iraf.imcombine("f*.fits", "made.fits", combine="{how}", reject="{reject}",
               lsigma=4, hsigma=4, Stdout="log")
iraf.flprcache()
"""

CCDPROC = """
import warnings; warnings.simplefilter("ignore")
import ccdproc, numpy as np
start = time.perf_counter()
ccdproc.combine(names, "made.fits", method="{how}", unit="adu", dtype=np.float32,
                sigma_clip={clip}, sigma_clip_low_thresh=4, sigma_clip_high_thresh=4,
                mem_limit=4e8)
"""

RUNS = {
    "clipped mean: ndmapper": OURS.format(words=""),
    "clipped mean: ndmapper, with variance and flags": OURS.format(words=""),
    "clipped mean: imcombine sigclip": IRAF.format(how="average", reject="sigclip"),
    "clipped mean: ccdproc": CCDPROC.format(how="average", clip=True),
    "median: ndmapper": OURS.format(words=", method='median'"),
    "median: imcombine": IRAF.format(how="median", reject="none"),
    "median: ccdproc": CCDPROC.format(how="median", clip=False),
}


def make_frames(
    folder: Path, count: int, size: int, *, ending: str = "fits", more: bool = False
) -> None:
    """Write frames of sky with cosmic rays; also with variance and flags."""
    rng = np.random.default_rng(1)
    for number in range(count):
        data = rng.standard_normal((size, size), np.float32) * 12 + 150
        hits = rng.integers(0, size, (2, size * size // 1000))
        data[tuple(hits)] += rng.uniform(100, 20000, hits.shape[1])
        image = NDLater(data)
        path = folder / f"f{number:04}.{ending}"
        if ending == "fits.fz":
            DataFile(path, data=[image], mode="new").save()
        else:  # in the primary HDU, where imcombine looks for it
            fits.PrimaryHDU(data).writeto(path)
        if more:
            image.variance = np.full(data.shape, 144, np.float32)
            image.flags = np.zeros(data.shape, np.uint16)
            DataFile(folder / f"v{number:04}.fits", data=[image], mode="new").save()


def run(title: str, code: str, folder: Path) -> tuple[float, float] | None:
    """Run a program; give its time [s] and memory [MB], or None where it fails."""
    first = "v" if "flags" in title else "f"
    done = subprocess.run(
        [sys.executable, "-c", START.replace("{first}", first) + code + END],
        cwd=folder, text=True,
        env=dict(os.environ, HOME=str(folder)), stdin=subprocess.DEVNULL,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(done.stderr.splitlines()[-1:], file=sys.stderr)
        return None
    wall, peak = done.stdout.split()[-2:]
    return float(wall), float(peak)


def main() -> None:
    """Time all programs in turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", default="", help="lines that contain this")
    parser.add_argument("--ending", default="fits", help="how frames are compressed")
    given = parser.parse_args()
    runs = {name: code for name, code in RUNS.items() if given.only in name}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        more = any("flags" in title for title in runs)
        make_frames(folder, given.frames, given.size, ending=given.ending, more=more)
        for turn in range(given.repeat + 1):
            for title, code in runs.items():
                result = run(title, code, folder)
                if turn and result is not None:
                    found[title].append(result)
    for title, results in found.items():
        if results:
            wall, peak = min(r[0] for r in results), max(r[1] for r in results)
            print(f"{title:48} {wall:7.2f} s {peak:8.0f} MB")
        else:
            print(f"{title:48} not run")


if __name__ == "__main__":
    main()
