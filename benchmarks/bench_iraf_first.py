"""The first IRAF call of a session, with and without the translations of CL scripts."""

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

REPEAT = 5

# One task that is a CL script, in a package of scripts.
SESSION = """
import resource, time
from ndmapper import DataFileList, run_task
from ndmapper.engines.iraf.pool import close_workers
start = time.perf_counter()
run_task("noao.imred.ccdred.zerocombine", inputs={"input": DataFileList("b*.fits")},
         outputs={"output": "zero.fits"}, comb_in=True, ccdtype="", process=False,
         reprocess=True)
wall = time.perf_counter() - start
close_workers()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(wall, used.ru_utime + used.ru_stime)
"""


def session(folder: Path) -> tuple[float, float]:
    """Run a session of one call; give its time, and that of processors [s]."""
    done = subprocess.run(
        [sys.executable, "-c", SESSION], cwd=folder, text=True, check=True,
        env=dict(os.environ, XDG_CACHE_HOME=str(folder / "cache")),
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wall, used = done.stdout.split()[-2:]
    return float(wall), float(used)


def main() -> None:
    """Time sessions in turn."""
    from ndmapper.testing import make_mef

    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n in range(3):
            make_mef(folder / f"b{n}.fits", n_ext=1, shape=(100, 100))
        session(folder)  # the parameters of the task are known from here on
        for _ in range(REPEAT):
            found.setdefault("translations kept", []).append(session(folder))
            for path in (folder / "cache").rglob("clcache-*"):
                path.unlink()
            found.setdefault("nothing kept", []).append(session(folder))
    for title, times in found.items():
        wall, used = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"{title:24} {wall:6.2f} s, {used:6.2f} s of processors")


if __name__ == "__main__":
    main()
