"""An IRAF task on extensions, against bare PyRAF, and two processes against one."""

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import numpy as np
from astropy.io import fits
from timing import show, timed, together

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.data.saving.save import write_datafile
from ndmapper.engines import Job, Task
from ndmapper.engines.iraf import IrafEngine
from ndmapper.testing import make_mef

SHAPE = (512, 512)
REPEAT = 30

# The same task on the same extensions, with nothing checked; and the file read and
# written by astropy, as somebody does who wants the rest of it in the product.
BARE = """
import os, sys, time
os.environ.update(PYRAF_NO_DISPLAY="1", TERM="dumb", USER="bench")
from pyraf import iraf
from astropy.io import fits
iraf.set(use_new_imt="no")
name, repeat = sys.argv[1], int(sys.argv[2])
def once():
    for ver in (1, 2):
        iraf.imarith(f"{name}[SCI,{ver}]", "+", 1, f"o{ver}.fits")
    with fits.open(name) as hdus:
        for ver in (1, 2):
            hdus["SCI", ver].data = fits.getdata(f"o{ver}.fits")
            os.remove(f"o{ver}.fits")
        hdus.writeto("product.fits", overwrite=True)
once()
best = float("inf")
for _ in range(repeat):
    start = time.perf_counter()
    once()
    best = min(best, time.perf_counter() - start)
print(best)
"""


def job_of(path: Path, folder: Path, name: str, **parameters: object) -> Job:
    """Declare one call of a task."""
    role, output = ("operand1", "result") if "imarith" in name else ("input", "output")
    words = dict(IrafEngine.words) | {"vardq": "carry"}
    task = Task(
        engine="iraf", name=name, inputs=(role,), outputs=(output,), words=words
    )
    return Job(
        step=name, task=task, each="file", roles={role: [DataFile(path)]},
        parameters=parameters, outputs=(output,), targets={output: "x.fits"},
        settings=config.snapshot(outdir=str(folder)), folder=folder / "job",
    )  # fmt: skip


def once(job: Job) -> None:
    """Run a job in an empty folder, and write its product."""
    assert job.folder is not None
    job.folder.mkdir()
    outcome = IrafEngine().run(job)
    for product in outcome.products.values():
        write_datafile(product, job.folder / "product.fits")
    shutil.rmtree(job.folder)


def bare(path: Path, folder: Path) -> float:
    """Time bare PyRAF in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", BARE, path.name, str(REPEAT)],
        cwd=folder, env=dict(os.environ, HOME=str(folder)), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    return float(done.stdout.split()[-1])


def at_once(jobs: list[Job]) -> None:
    """Run jobs at the same time, each with a process of its own."""
    threads = [threading.Thread(target=once, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


with tempfile.TemporaryDirectory() as name:
    home = Path(name)
    small = make_mef(home / "small.fits", n_ext=2, shape=SHAPE)
    job = job_of(small, home, "images.imutil.imarith", op="+", operand2=1)
    floor = bare(small, home)
    ours = together({"ours": lambda: once(job)}, REPEAT)["ours"]
    times = {"bare PyRAF, astropy reads and writes": floor, "a job of the engine": ours}
    show(times, "file of 2 x (SCI, VAR, DQ)")

    pixels = np.random.default_rng(1).normal(size=(400, 400)).astype("float32")
    fits.PrimaryHDU(pixels).writeto(home / "big.fits")
    jobs = []
    for number in range(4):
        folder = home / str(number)
        folder.mkdir()
        work = job_of(
            home / "big.fits", folder, "images.imfilter.median", xwindow=21, ywindow=21
        )
        jobs.append(dataclasses.replace(work, folder=folder / "job"))
    at_once(jobs[:2])  # both processes are there from now on
    serial = min(timed(lambda: [once(j) for j in jobs]) for _ in range(3))
    parallel = min(
        timed(lambda: [at_once(jobs[:2]), at_once(jobs[2:])]) for _ in range(3)
    )
    show(
        {"four median filters, one process": serial, "two processes": parallel},
        "four tasks",
    )
