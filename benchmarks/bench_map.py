"""Map a file of 19 HDUs: against astropy, and against the least that Python can do."""

import sys
import tempfile
from pathlib import Path

from astropy.io import fits
from timing import best, show

from ndmapper.data import DataFile
from ndmapper.io.filemap import map_file
from ndmapper.testing import make_mef


def astropy_headers(path: Path) -> None:
    """Open a file with astropy and touch every header."""
    with fits.open(path) as hdus:
        for hdu in hdus:
            hdu.header["NAXIS"]


def floor(path: Path) -> None:
    """Find every header: the least that pure Python has to do."""
    with path.open("rb") as stream:
        while block := stream.read(2880):
            header = block
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
            stream.seek(-(-size // 2880) * 2880, 1)


with tempfile.TemporaryDirectory() as folder:
    if len(sys.argv) > 1:
        path = Path(sys.argv[1])
    else:
        path = Path(folder) / "mef.fits"
        make_mef(path, n_ext=6, shape=(512, 512), var=True, dq=True, table=False)
    with fits.open(path) as hdus:
        print(f"{path.name}: {len(hdus)} HDUs")
    show(
        {
            "astropy fits.open, every header": best(lambda: astropy_headers(path)),
            "ndmapper map_file": best(lambda: map_file(path)),
            "ndmapper DataFile": best(lambda: DataFile(path)),
            "floor: a loop over the header blocks": best(lambda: floor(path)),
        },
        "file",
    )
