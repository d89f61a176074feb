"""Read 100 x 100 pixels of images of all sizes: time, bytes and memory."""

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from astropy.io import fits
from timing import show, together

from ndmapper.data import DataFile
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import map_file
from ndmapper.io.tiles.codecs import decode
from ndmapper.io.tiles.read import tiling_of
from ndmapper.testing import count_reads

SIDE = 100
SIZES = (256, 1024, 4096, 8192)


def section(df: DataFile) -> object:
    """Read a section in the middle of the first extension."""
    start = df[0].shape[0] // 2
    # A new NDLater each time, which has nothing in memory yet.
    return df[0][start : start + SIDE, start : start + SIDE].data


def astropy_section(path: Path, size: int) -> object:
    """Open a file with astropy and read the same section."""
    start = size // 2
    with fits.open(path) as hdus:
        return hdus[1].section[start : start + SIDE, start : start + SIDE]


def astropy_tiles(hdu: fits.CompImageHDU) -> object:
    """Read the section of a file that is open: astropy decodes the tiles touched."""
    start = hdu.shape[0] // 2
    return hdu.section[start : start + SIDE, start : start + SIDE]


def peak(work: Callable[[], object]) -> float:
    """Measure how much memory a piece of work takes at most [kB]."""
    work()
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most / 1e3


def plain(folder: Path) -> None:
    """Compare sizes of images."""
    work: dict[str, Callable[[], object]] = {}
    notes = []
    for size in SIZES:
        path = folder / f"plain{size}.fits"
        image = np.zeros((size, size), "f4")
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI")]).writeto(
            path
        )
        df = DataFile(path)
        with count_reads() as reads:
            section(df)
        work[f"section of {size} x {size}"] = lambda df=df: section(df)
        kilobytes = peak(work[f"section of {size} x {size}"])
        notes.append(f"{size}: {reads.bytes} bytes read, peak {kilobytes:.0f} kB")
    work[f"astropy: open, section of {size}"] = lambda: astropy_section(path, size)
    show(together(work), "section")
    print(*notes, sep="\n")


def tiles_alone(path: Path, tile: tuple[int, int], size: int) -> Callable[[], object]:
    """Make a function that only decodes the tiles touched, from bytes in memory."""
    (hdu,) = [hdu for hdu in map_file(path).hdus if hdu.is_tiled]
    handle, tiling = open_array(hdu), tiling_of(hdu)
    down, across = (range(size // 2 // n, -(-(size // 2 + SIDE) // n)) for n in tile)
    rows = [y * (size // tile[1]) + x for y in down for x in across]
    _, contents = handle._read(tiling, rows)

    def decode_all() -> object:
        return [
            decode(tiling.algorithm, stored, tile, tiling.settings, is_float=False)
            for _, stored in contents
        ]

    return decode_all


def compressed(folder: Path, size: int = 4096) -> None:
    """Compare with decoding the tiles touched, for tiles of rows and squares."""
    image = np.random.default_rng(1).normal(1000, 30, (size, size)).astype("i4")
    for tile in ((1, size), (128, 128)):
        path = folder / f"tiles{tile[0]}.fits.fz"
        hdu = fits.CompImageHDU(image, name="SCI", tile_shape=tile)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        df = DataFile(path)
        print(f"tiles of {tile[0]} x {tile[1]} in {size} x {size}, RICE_1")
        with fits.open(path) as hdus:
            times = together(
                {
                    "floor: decoding the tiles touched, in memory": tiles_alone(
                        path, tile, size
                    ),
                    "ndmapper": lambda df=df: section(df),
                    "astropy: section of an open HDU": lambda hdu=hdus[1]: (
                        astropy_tiles(hdu)
                    ),
                    "astropy: open, section": lambda path=path: astropy_section(
                        path, size
                    ),
                }
            )
        show(times, "section")


with tempfile.TemporaryDirectory() as name:
    plain(Path(name))
    compressed(Path(name))
