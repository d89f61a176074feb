"""Map files of 19 HDUs: against the peers, and against the least that Python can do."""

import importlib
import sys
import tempfile
import tracemalloc
from pathlib import Path

from astropy.io import fits
from timing import show, timed, together

from ndmapper.data import DataFile, DataFileList
from ndmapper.io.filemap import map_file
from ndmapper.testing import make_mef


def astropy_hdus(path: Path) -> list[tuple[object, ...]]:
    """Open a file with astropy and touch every HDU."""
    with fits.open(path) as hdus:
        return [(hdu.name, hdu.ver, hdu.header["NAXIS"]) for hdu in hdus]


def astrodata_open(path: Path) -> object:
    """Open a file with astrodata, which touches every HDU."""
    return importlib.import_module("astrodata").open(str(path))


def fitsio_hdus(path: Path) -> list[tuple[object, ...]]:
    """Open a file with fitsio and touch every HDU."""
    with importlib.import_module("fitsio").FITS(str(path)) as hdus:
        return [(hdu.get_extname(), hdu.get_extver()) for hdu in hdus]


def floor(path: Path) -> list[tuple[int, int]]:
    """Read the header blocks, and find END and the size keywords: the least to do."""
    found = []
    with path.open("rb") as stream:
        while block := stream.read(2880):
            start, header = stream.tell() - 2880, block
            while b"END" + b" " * 77 not in block:
                block = stream.read(2880)
                header += block
            cards = {
                header[i : i + 8].rstrip(): header[i + 10 : i + 30]
                for i in range(0, len(header), 80)
            }
            size = abs(int(cards[b"BITPIX"])) // 8
            for axis in range(int(cards[b"NAXIS"])):
                size *= int(cards[b"NAXIS%d" % (axis + 1)])
            size = size + int(cards.get(b"PCOUNT", 0)) if int(cards[b"NAXIS"]) else 0
            found.append((start, size))
            stream.seek(-(-size // 2880) * 2880, 1)
    return found


def lean_floor(path: Path) -> list[tuple[int, int]]:
    """Do the same with no more than a search for each keyword."""
    found = []
    with path.open("rb", 16 * 1024) as stream:
        while header := stream.read(2880):
            while header.find(b"END" + b" " * 77) < 0:
                header += stream.read(2880)
            size = abs(_number(header, b"BITPIX  =")) // 8
            axes = _number(header, b"NAXIS   =")
            for axis in range(axes):
                size *= _number(header, b"NAXIS%d  =" % (axis + 1))
            found.append((stream.tell(), size if axes else 0))
            stream.seek(-(-found[-1][1] // 2880) * 2880, 1)
    return found


def _number(header: bytes, keyword: bytes) -> int:
    at = header.index(keyword) + 10
    return int(header[at : at + 20])


def names_and_idents(paths: list[Path]) -> list[object]:
    """Open many files, and look at nothing but their names and idents."""
    files = DataFileList(paths)
    return [files, [(str(df.filename), df.idents) for df in files]]


def one_file(path: Path) -> None:
    """Compare the ways of opening one file."""
    work = {
        "astropy fits.open, every HDU": lambda: astropy_hdus(path),
        "astrodata.open": lambda: astrodata_open(path),
        "fitsio.FITS, every HDU": lambda: fitsio_hdus(path),
        "ndmapper map_file": lambda: map_file(path),
        "ndmapper DataFile": lambda: DataFile(path),
        "ndmapper DataFile, every extension header": lambda: [
            ndd.meta for ndd in DataFile(path)
        ],
        "floor: a loop over the header blocks": lambda: floor(path),
        "lean floor: search for the size keywords only": lambda: lean_floor(path),
    }
    for what, do in list(work.items()):
        try:
            do()
        except ImportError as err:
            print(f"{what}: left out, {err.name} is not installed")
            del work[what]
    show(together(work), "file")


def many_files(path: Path, folder: Path, count: int = 1000) -> None:
    """Measure time and memory of a long list."""
    paths = [folder / f"N20260101S{n:04d}.fits" for n in range(1, count + 1)]
    for other in paths:
        other.hardlink_to(path)
    names_and_idents(paths[:2])
    seconds = min(timed(lambda: names_and_idents(paths)) for _ in range(3))
    tracemalloc.start()
    kept = names_and_idents(paths)
    megabytes = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    print(
        f"list of {len(kept[1])} files, names and idents: "
        f"{seconds / count * 1e3:.2f} ms per file, {megabytes:.0f} MB in all"
    )


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    path = folder / "mef.fits"
    if len(sys.argv) > 1:
        path.write_bytes(Path(sys.argv[1]).read_bytes())
    else:
        make_mef(path, n_ext=6, shape=(512, 512), var=True, dq=True, table=False)
    with fits.open(path) as hdus:
        print(f"{sys.argv[1:] or ['a generated file']}: {len(hdus)} HDUs")
    one_file(path)
    many_files(path, folder)
