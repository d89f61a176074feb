"""What a step costs beside its work: a no-op, a re-run, and two workers against one."""

import logging
import os
import tempfile
import time
from pathlib import Path

from timing import timed

from ndmapper import DataFile, DataFileList, config, run_task
from ndmapper.parallel import end_workers
from ndmapper.testing import count_reads, make_mef

FILES = 100
RERUN = 200


@run_task(prefix="s")
def same(ndd):
    """Do nothing."""
    return ndd


@run_task(prefix="w")
def work(ndd, *, seconds: float = 0.5):
    """Use the processor for a while."""
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return ndd


def raws(folder: Path, count: int) -> DataFileList:
    """Write small files, old enough for their digests to be kept."""
    folder.mkdir()
    names = [folder / f"x{n:03}.fits" for n in range(count)]
    for name in names:
        make_mef(name, n_ext=2, shape=(64, 64))
        os.utime(name, (1e9, 1e9))
    return DataFileList(names)


def save_all(files: DataFileList, folder: Path) -> None:
    """Write what the files hold, without a step."""
    folder.mkdir()
    for df in files:
        DataFile(data=df).save(filename=folder / Path(str(df)).name)


def overhead(home: Path) -> None:
    """Show the cost of a step that does nothing, per file, above that of saving."""
    files = raws(home / "raw", FILES)
    made = {"floor: read and save": [], "a step that does nothing": []}
    for n in range(5):
        works = (
            lambda n=n: save_all(files, home / f"floor{n}"),
            lambda n=n: same(files, outdir=str(home / f"step{n}")),
        )
        for row, step in zip(made.values(), works, strict=True):
            start = time.process_time()
            row.append((timed(step), time.process_time() - start))
    best = [
        [min(column) / FILES * 1e3 for column in zip(*r, strict=True)]
        for r in made.values()
    ]
    rows = dict(zip(made, best, strict=True))
    rows["overhead (target: 5)"] = [b - a for a, b in zip(*best, strict=True)]
    for what, (wall, cpu) in rows.items():
        print(f"{what:<37} {wall:8.2f} ms, of the processor {cpu:6.2f} ms, per file")


def rerun(home: Path) -> None:
    """Show how long a re-run takes that has nothing to do, and what it reads."""
    files = raws(home / "many", RERUN)
    outdir = str(home / "made")
    same(files, outdir=outdir)
    times = []
    for _ in range(5):
        with count_reads() as reads:
            times.append(timed(lambda: same(files, outdir=outdir, reprocess="auto")))
    print(f"re-run of {RERUN} products               {min(times):8.3f} s  (target: 1)")
    print(f"reads of pixels in it                 {reads.reads:8d}    (target: 0)")


def workers(home: Path) -> None:
    """Show how much faster two workers are than one, once they are started."""
    files = raws(home / "few", 8)
    same(files, outdir=str(home / "start"), workers=2)
    times = {
        n: timed(lambda n=n: work(files, outdir=str(home / f"w{n}"), workers=n))
        for n in (1, 2)
    }
    end_workers()
    ratio = times[1] / times[2]
    print(f"two workers against one               {ratio:8.2f} times (target: 1.7)")


if __name__ == "__main__":
    config["logfile"] = None
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        for part in (overhead, rerun, workers):
            part(Path(folder))
