"""Run a step again that has nothing to do: time per product, against a floor."""

import os
import tempfile
from pathlib import Path

from timing import best, show

from ndmapper import DataFileList, config, run_task
from ndmapper.io.record import read_records
from ndmapper.testing import make_mef

FILES = 100


@run_task(prefix="s")
def scale(ndd, *, factor: float = 2.0):
    """Multiply by a number."""
    return ndd * factor


def floor(pairs: list[tuple[Path, Path]]) -> None:
    """Look at each input, and read the record of each product."""
    for raw, product in pairs:
        os.stat(raw)  # noqa: PTH116  (the floor is what costs least)
        read_records(product)


with tempfile.TemporaryDirectory() as folder:
    raws = [Path(folder) / f"raw{number:03}.fits" for number in range(FILES)]
    for raw in raws:
        make_mef(raw, n_ext=2, shape=(64, 64))
    config["outdir"] = str(Path(folder) / "made")
    config["logfile"] = None
    import logging

    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    inputs = DataFileList(raws)
    pairs = [(raw, Path(str(product.filename))) for raw, product in
             zip(raws, scale(inputs), strict=True)]  # fmt: skip
    times = {
        "floor: stat the input, read the record": best(lambda: floor(pairs)),
        "re-run, inputs mapped already": best(lambda: scale(inputs, reprocess=False)),
        "re-run, from names": best(lambda: scale(DataFileList(raws), reprocess=False)),
    }
    show({what: seconds / FILES for what, seconds in times.items()}, "product")
