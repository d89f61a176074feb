"""Re-run observing blocks of MUSE that have nothing to do; how large records are."""

import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ndmapper import DataFile, config
from ndmapper.io.record import EXTNAME, side_path
from ndmapper.testing.muse_night import reduce_night, simulated_recipes, write_night

BLOCKS = 20
OBJECTS, SKIES = 11, 2  # about 500 products in each block


def used(work: Callable[[], object]) -> float:
    """Measure the processor time of a piece of work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def open_all(folders: list[Path]) -> None:
    """Open each product, and look at nothing: the floor."""
    for folder in folders:
        for path in folder.glob("*.fits"):
            DataFile(path)


def reduce_all(folder: Path, form: str, blocks: int) -> None:
    """Run the script of each block."""
    for block in range(blocks):
        with config.using(outdir=str(folder / form / f"reduced{block}")):
            reduce_night(folder / f"ob{block}", form)


def size_of_record(path: Path) -> int:
    """Find the bytes of the record of a product, in it or beside it."""
    side = side_path(path)
    if side.exists():
        return side.stat().st_size
    hdus = DataFile(path).content.map.hdus
    return sum(hdu.data_size for hdu in hdus if hdu.name == EXTNAME)


def measure(folder: Path, form: str, blocks: int) -> None:
    """Make all blocks, and run 5, 10 and 20 of them again."""
    made = used(lambda: reduce_all(folder, form, blocks))
    folders = [folder / form / f"reduced{block}" for block in range(blocks)]
    products = [path for where in folders for path in where.glob("*.fits")]
    records = sum(map(size_of_record, products))
    last = size_of_record(folders[0] / "cube.fits")
    steps = len(DataFile(folders[0] / "cube.fits").record)
    print(
        f"{form}: {blocks} blocks, {len(products)} products made in {made:.0f} s; "
        f"their records {records / 1e6:.1f} MB, that of a cube of {steps} steps "
        f"{last / 1e3:.0f} kB"
    )
    reduce_all(folder, form, 1)
    for count in sorted({max(1, blocks // 4), max(1, blocks // 2), blocks}):
        number = len(products) * count // blocks
        floor = used(lambda n=count: open_all(folders[:n]))
        again = used(lambda n=count: reduce_all(folder, form, n))
        print(
            f"{count:4d} blocks: {again:7.2f} s, {again / number * 1e3:6.2f} ms per "
            f"product; opening them {floor:6.2f} s; ratio {again / floor:5.1f}"
        )


def main() -> None:
    """Measure the forms given as arguments, or all."""
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    config["logfile"] = None
    config["reprocess"] = "auto"
    forms = sys.argv[1:] or ["units", "lists", "merged"]
    blocks = int(os.environ.get("BLOCKS", BLOCKS))
    with tempfile.TemporaryDirectory() as name, simulated_recipes():
        folder = Path(name)
        for block in range(blocks):
            write_night(folder / f"ob{block}", objects=OBJECTS, skies=SKIES)
        for form in forms:
            measure(folder, form, blocks)


if __name__ == "__main__":
    main()
