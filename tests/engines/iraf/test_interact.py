"""A task that asks has the user's terminal; nobody hurries the user."""

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

pytestmark = pytest.mark.iraf

SCRIPT = """
import sys
from pathlib import Path
from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Job, Task
from ndmapper.engines.iraf import IrafEngine

source, folder = sys.argv[1:3]
Path(folder).mkdir()
task = Task(engine="iraf", name="noao.twodspec.apextract.apall", inputs=("input",),
            outputs=("output",))
job = Job(step="extract", task=task, each="file", roles={"input": [DataFile(source)]},
          parameters=dict(interactive=False, resize=False, edit=False, fittrace=False,
                          extras=False, review=False, apextract_dispaxis=1),
          outputs=("output",), targets={"output": "x.fits"}, timeout=0.5,
          settings=config.snapshot(interact=True, outdir=folder), folder=Path(folder))
outcome = IrafEngine().run(job)
print("SHAPE", outcome.products["output"][0].shape)
print("LOGGED", "Number of apertures" in outcome.log)
"""


def read_until(descriptor: int, text: bytes, seconds: float = 120) -> bytes:
    seen, end = b"", time.monotonic() + seconds
    while text not in seen and time.monotonic() < end:
        try:
            seen += os.read(descriptor, 4096)
        except OSError:  # the other side is closed
            break
    return seen


def test_questions_are_answered(need_iraf: None, tmp_path: Path) -> None:
    y, _ = np.mgrid[:60, :100]
    image = (1000 * np.exp(-0.5 * ((y - 30) / 2) ** 2)).astype("float32")
    fits.PrimaryHDU(image).writeto(tmp_path / "spec.fits")
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, tmp_path / "spec.fits", tmp_path / "job"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, close_fds=True,
        env={k: v for k, v in os.environ.items() if k != "DISPLAY"},
    )  # fmt: skip
    os.close(theirs)
    try:
        seen = read_until(mine, b"to be found automatically")
        assert b"to be found automatically" in seen, seen.decode()
        time.sleep(1)  # longer than the time limit, which does not hold here
        os.write(mine, b"1\n")
        seen = read_until(mine, b"LOGGED")
        seen += read_until(mine, b"\n")
        assert process.wait(120) == 0, seen.decode()
        assert b"LOGGED True" in seen
    finally:
        process.kill()
        process.wait()
        os.close(mine)
