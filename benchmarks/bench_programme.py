"""
Plan and re-run a programme of many observation blocks of MUSE, with nothing to do.

    python bench_programme.py [BLOCKS]

Recipes are replaced by what writes a header for each product; records, sets of frames
and calibrations are those of real reductions. Times are of the processor, imports
apart.
"""

import logging
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from ndmapper import DataFile, config
from ndmapper.engines import Outcome
from ndmapper.engines.base import Job
from ndmapper.engines.esorex import EsorexEngine
from ndmapper.lib.muse import MuseConfig, reduce_muse
from ndmapper.lib.simulate import MuseDetector, simulate_muse_night
from ndmapper.testing.headers import write_headers

IFUS = (1, 2)


def simulate(_: EsorexEngine, job: Job) -> Outcome:
    """Write the header of each product of a recipe."""
    assert job.folder is not None
    products = {}
    for number, output in enumerate(job.outputs, 1):
        tag = str(output).partition("#")[0]
        if output in job.open and tag != "IMAGE_FOV":
            continue
        path = job.folder / f"out_{number:04d}.fits"
        ifu = job.parameters.get("nifu")
        write_headers(path, [{
            "INSTRUME": "MUSE", "ESO PRO CATG": tag, "OBJECT": str(job.inputs[0]),
            "ESO DRS MUSE FILTER NAME": "white",
            **({} if ifu is None else {"EXTNAME": f"CHAN{ifu:02d}"}),
        }])  # fmt: skip
        products[f"{output}#1" if output in job.open else output] = DataFile(path)
    return Outcome(products=products, log="")


def write_programme(folder: Path, blocks: int) -> None:
    """Write the raw frames of observation blocks, each of a night of its own."""
    detector = MuseDetector(rows=32)
    for block in range(blocks):
        files = simulate_muse_night(
            folder / f"ob{block}", ifus=IFUS, detector=detector, seed=block
        )
        for path in (p for group in files.values() for p in group):
            kind = path.parent.name
            if kind == "static":
                continue
            new = DataFile(path).copy()
            new.meta["MJD-OBS"] += 3.0 * block
            for key in ("DATE-OBS", "HIERARCH ESO TPL START"):
                new.meta[key] = new.meta[key].replace("2016-01-01", day(block))
            new.meta["HIERARCH ESO OBS NAME"] = f"OB-{block:03d}"
            raw = folder / "raw" / f"MUSE.SIM_{block:03d}{path.name[9:]}"
            target = (
                raw if kind == "raw" else folder / "masters" / f"N{block}_{path.name}"
            )
            target.parent.mkdir(exist_ok=True)
            new.save(target)


def day(block: int) -> str:
    """Give the date of a block: every third night."""
    from astropy.time import Time

    return str(Time(57388.0 + 3 * block, format="mjd").isot[:10])


def used(chosen: MuseConfig, obs: list[str]) -> float:
    """Measure the processor time of a run."""
    start = time.process_time()
    reduce_muse(chosen, obs)
    return time.process_time() - start


def main(blocks: int, folder: Path) -> None:
    """Measure runs of half of the blocks and of all."""
    logging.getLogger("ndmapper").setLevel(logging.ERROR)
    config["logfile"] = None
    write_programme(folder, blocks)
    chosen = MuseConfig(
        raw=folder / "raw", static=folder / "ob0" / "static",
        masters=(folder / "masters",),
        outdir=folder / "reduced",
    )  # fmt: skip
    names = [f"OB-{block:03d}" for block in range(blocks)]
    with mock.patch.object(EsorexEngine, "run", simulate):
        made = used(chosen, names)
        count = len(list((folder / "reduced").rglob("*.fits")))
        print(f"{blocks} blocks, {count} products: made in {made:.1f} s")
        for part in (names[: blocks // 2], names):
            again = used(chosen, part)
            with config.using(dry_run=True):
                planned = used(chosen, part)
            print(
                f"    {len(part)} again, with nothing to do: {again:.2f} s, "
                f"{again / len(part):.3f} s for each; planned: {planned:.2f} s"
            )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temp:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 20, Path(temp))
