"""What would be done, and CL lines that do the same."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.engines import Job
from ndmapper.engines.iraf import IrafEngine
from ndmapper.testing import make_mef

pytestmark = pytest.mark.iraf

JobFor = Callable[..., Job]


def test_every_extension_is_shown(
    need_iraf: None, job_for: JobFor, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "x.fits")
    job = job_for(
        "images.imutil.imarith", None, {"operand1": path}, {"result": "y.fits"}, op="+",
        operand2=2, verbose=True,
    )  # fmt: skip
    shown = IrafEngine().preview(job)
    assert shown.language == "cl"
    assert shown.text.splitlines()[:3] == [
        "images.imutil.imarith",
        "  extension 1",
        f"    operand1 = '{path}[SCI,1]'",
    ]
    assert shown.script.splitlines()[-1] == (
        f'imarith (operand1="{path}[SCI,2]", op="+", operand2="2", verbose=yes, '
        'result="y.fits[SCI,2,append]", mode="h")'
    )


def test_values_are_data(need_iraf: None, job_for: JobFor, tmp_path: Path) -> None:
    name = 'x"; !touch HIT; print("\\.fits'
    make_mef(tmp_path / "x.fits").rename(tmp_path / name)
    job = job_for(
        "images.imutil.imarith", None, {"operand1": tmp_path / name},
        {"result": "y.fits"}, op="+", operand2=2, title='"; !touch HIT',
    )  # fmt: skip
    *_, line = IrafEngine().preview(job).script.splitlines()
    assert 'x\\"; !touch HIT; print(\\"\\\\.fits[SCI,2]"' in line
    assert 'title="\\"; !touch HIT"' in line


def test_the_script_replays_it(
    need_iraf: None, job_for: JobFor, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "x.fits")
    job = job_for(
        "images.imutil.imarith", None, {"operand1": path}, {"result": "y.fits"}, op="+",
        operand2=2,
    )  # fmt: skip
    script = IrafEngine().preview(job).script
    (tmp_path / "x.cl").write_text(f"{script}\nlogout\n")
    (tmp_path / "login.cl").write_text(
        f'set home = "{tmp_path}/"\nset uparm = "{tmp_path}/"\nset userid = "x"\n'
        "stty vt100\nimages\nkeep\n"
    )
    done = subprocess.run(
        ["irafcl", "-f", "x.cl"], cwd=tmp_path, stdin=subprocess.DEVNULL,
        capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    with fits.open(tmp_path / "y.fits") as hdus:
        for ver in (1, 2):
            expected = DataFile(path)[ver - 1].data + 2
            np.testing.assert_array_equal(hdus["SCI", ver].data, expected, str(done))


def test_nothing_is_touched(need_iraf: None, job_for: JobFor, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits")
    job = job_for("images.imutil.imcopy", None, {"input": path}, {"output": "y.fits"})
    before = sorted(tmp_path.iterdir())
    IrafEngine().preview(job)
    assert sorted(tmp_path.iterdir()) == before
