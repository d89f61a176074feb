"""Arithmetic: in memory, from disk to disk, and the memory that lists take."""

import gc
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.nddata import CCDData, VarianceUncertainty
from timing import show, together

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.numerics import arith
from ndmapper.parallel.cores import count_threads

try:
    import astrodata
except ImportError:
    astrodata = None

GROUPS, SHAPE = 6, (2048, 1024)
FILES, LIST_SHAPE = 200, (1024, 1024)


def in_memory() -> None:
    """Multiply and divide 4096x4096 pixels with variance and flags."""
    rng = np.random.default_rng(1)
    shape = (4096, 4096)

    def image() -> NDLater:
        return NDLater(
            rng.random(shape, dtype="f4") + 1,
            variance=rng.random(shape, dtype="f4"),
            flags=rng.integers(0, 4, shape).astype("u2"),
        )

    left, right, changed = image(), image(), image()

    def in_place() -> None:
        nonlocal changed
        changed *= right

    nine = [a for x in (left, right, left) for a in (x.data, x.variance, x.flags)]
    into = [np.empty_like(a) for a in nine]
    one, two = (
        CCDData(
            x.data,
            uncertainty=VarianceUncertainty(x.variance),
            flags=None,
            mask=x.flags != 0,
            unit="adu",
        )
        for x in (left, right)
    )

    def copy_into() -> None:
        for array, target in zip(nine, into, strict=True):
            np.copyto(target, array)

    def floor() -> list[np.ndarray]:
        """Read the six arrays once and fill three new ones, the least work there is."""
        threads = count_threads()
        made = [np.empty_like(a) for a in nine[:3]]
        step = -(-shape[0] // threads)

        def rows(start: int) -> None:
            for first in range(start, min(start + step, shape[0]), 16):
                part = slice(first, min(first + 16, start + step))
                for x, y, out in zip(nine[:3], nine[3:6], made, strict=True):
                    add = np.bitwise_or if out.dtype.kind == "u" else np.add
                    add(x[part], y[part], out=out[part])

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(rows, range(0, shape[0], step)))
        return made

    times = together(
        {
            "numpy copy of six arrays read, three written": lambda: [
                a.copy() for a in nine
            ],
            "the same into memory that is there": copy_into,
            "floor: sums of all pairs, in threads, new memory": floor,
            "ndmapper multiply": lambda: left * right,
            "ndmapper multiply in place": in_place,
            "ndmapper divide": lambda: left / right,
            "CCDData multiply": lambda: one.multiply(two),
            "CCDData divide": lambda: one.divide(two),
        }
    )
    show(
        times,
        "operation",
    )


def loading() -> None:
    """Compare NumPy's time for large operations with that of loading compiled loops."""
    code = """
import time
import numpy as np
from ndmapper.numerics import arith
rng = np.random.default_rng(1)
left, right = (
    arith.Pixels(rng.random(1 << 23, "f4") + 1, rng.random(1 << 23, "f4"),
                 rng.integers(0, 4, 1 << 23).astype("u2")) for _ in range(2)
)
def spent(name, count):
    start = time.process_time()
    for _ in range(count):
        arith.combine(name, left, right)
    return (time.process_time() - start) / count
for name in ("subtract", "divide"):
    print(f"NumPy, {name}, a megapixel: {spent(name, 8) / 8 * 1e3:.1f} ms")
arith.LOADED_AFTER = 0
print(f"the first compiled operation: {spent('subtract', 1):.2f} s")
spent("divide", 1)
for name in ("subtract", "divide"):
    print(f"compiled, {name}, a megapixel: {spent(name, 8) / 8 * 1e3:.1f} ms")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def write_file(path: Path, groups: int, shape: tuple[int, int], seed: int) -> None:
    """Write a file of SCI, VAR and DQ."""
    rng = np.random.default_rng(seed)
    hdus = fits.HDUList([fits.PrimaryHDU()])
    for version in range(1, groups + 1):
        for name, array in (
            ("SCI", rng.random(shape, dtype="f4") + 1),
            ("VAR", rng.random(shape, dtype="f4")),
            ("DQ", rng.integers(0, 4, shape).astype("u2")),
        ):
            hdus.append(fits.ImageHDU(array, name=name, ver=version))
    hdus.writeto(path)


def disk_to_disk(folder: Path) -> None:
    """Compute (a - b) / f of three files."""
    names = [folder / f"{name}.fits" for name in "abf"]
    for seed, name in enumerate(names):
        write_file(name, GROUPS, SHAPE, seed)
    out = folder / "out.fits"

    piece = bytearray(1 << 20)

    def floor(sync: bool) -> None:
        size = 0
        for name in names:
            with name.open("rb", buffering=0) as stream:
                size = 0
                while found := stream.readinto(piece):
                    size += found
        with out.open("wb", buffering=0) as stream:
            for _ in range(size // len(piece)):
                stream.write(piece)
            if sync:
                os.fsync(stream.fileno())

    def bring_to_disk() -> None:
        with out.open("rb") as stream:
            os.fsync(stream.fileno())

    def ours() -> None:
        a, b, f = (DataFile(name) for name in names)
        ((a - b) / f).save(out, overwrite=True)

    def with_astrodata() -> None:
        a, b, f = (astrodata.from_file(str(name)) for name in names)
        ((a - b) / f).write(str(out), overwrite=True)
        bring_to_disk()

    def with_ccddata() -> None:
        made = fits.HDUList([fits.PrimaryHDU()])
        for version in range(1, GROUPS + 1):
            a, b, f = (_ccd(name, version) for name in names)
            result = a.subtract(b).divide(f)
            for label, array in (
                ("SCI", result.data),
                ("VAR", result.uncertainty.array),
                ("DQ", result.mask.astype("u2")),
            ):
                made.append(fits.ImageHDU(array, name=label, ver=version))
        made.writeto(out, overwrite=True)
        bring_to_disk()

    work: dict[str, Callable[[], None]] = {
        "read the inputs, write the output, all to the disk": lambda: floor(True),
        "the same, not brought to the disk": lambda: floor(False),
        "ndmapper": ours,
        "CCDData, a group at a time": with_ccddata,
    }
    if astrodata is None:
        print("astrodata is not installed, so it is not measured")
    else:
        work["astrodata"] = with_astrodata
    # What ndmapper writes is on the disk, so that of the others is brought there too.
    show(together(work), "file")
    for name in (*names, out):
        name.unlink()


def _ccd(name: Path, version: int) -> CCDData:
    with fits.open(name) as hdus:
        return CCDData(
            hdus["SCI", version].data,
            uncertainty=VarianceUncertainty(hdus["VAR", version].data),
            mask=hdus["DQ", version].data != 0,
            unit="adu",
        )


def list_memory(folder: Path) -> None:
    """Subtract one file from 200, and save the results."""
    first = folder / "raw000.fits"
    write_file(first, 1, LIST_SHAPE, 0)
    for number in range(1, FILES):
        (folder / f"raw{number:03}.fits").symlink_to(first)
    write_file(folder / "bias.fits", 1, LIST_SHAPE, 1)
    (folder / "made").mkdir()
    print(f"{FILES} files of {first.stat().st_size / 1e6:.1f} MB")
    for what in ("idle", "load four files", "subtract", "save", "subtract, 2 workers"):
        done = subprocess.run(
            [sys.executable, __file__, what, str(folder)],
            check=True, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        print(f"{what:<48} {done.stdout.strip()} MB at most")


def child(what: str, folder: Path) -> None:
    """Do one thing in a process of its own, and print the most memory it took."""
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    (folder / "warm").mkdir(exist_ok=True)
    # The compiled loops are loaded in every case.
    arith.LOADED_AFTER = 0
    np.asarray((NDLater(np.ones((1024, 1024), "f4")) - 1.0).data)
    files = DataFileList(str(folder / "raw*.fits"))
    bias = DataFile(folder / "bias.fits")
    names = [folder / "made" / f"{i}.fits" for i in range(len(files))]
    if what == "load four files":
        kept = [DataFile(name) for name in files[:4]]
        for df in kept:
            _ = df[0].data, df[0].variance, df[0].flags
    elif what == "subtract":
        files.subtract(bias, filename=names, overwrite=True)
    elif what == "save":
        (files - bias).save(filename=names, overwrite=True)
    elif what == "subtract, 2 workers":
        files.subtract(bias, filename=names, overwrite=True, workers=2)
    gc.collect()
    # Not getrusage, which counts what the parent had as well.
    status = Path("/proc/self/status").read_text()
    most = next(x for x in status.splitlines() if x.startswith("VmHWM"))
    print(f"{int(most.split()[1]) / 1024:.0f}")


if len(sys.argv) > 2:
    child(sys.argv[1], Path(sys.argv[2]))
else:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        if "memory" not in sys.argv:
            loading()
            arith.LOADED_AFTER = 0  # all that follows is compiled, where numba is there
            in_memory()
            disk_to_disk(Path(name))
            if Path("/dev/shm").is_dir():
                # What is left where no disk has a part in it.
                with tempfile.TemporaryDirectory(dir="/dev/shm") as fast:
                    print("in a file system in memory")
                    disk_to_disk(Path(fast))
        if "speed" not in sys.argv:
            list_memory(Path(name))
