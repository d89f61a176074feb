"""Masters of all IFUs in one file, in one for each, and as they lie in a folder."""

import shutil
from pathlib import Path

import pytest
from shared_helpers import assert_same_data

from ndmapper import config, run_task
from ndmapper.calibrations import associate_cals
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.lib.simulate import MuseDetector, simulate_muse
from ndmapper.lib.simulate.muse.statics import write_masters, write_statics
from ndmapper.services import look_up_cals

pytestmark = pytest.mark.slow
ROWS = 48
MASTERS = ("MASTER_FLAT", "TRACE_TABLE")
CALS = {
    "MASTER_BIAS": "bias", "MASTER_FLAT": "flat", "TRACE_TABLE": "trace",
    "WAVECAL_TABLE": "arc", "GEOMETRY_TABLE": "geometry",
}  # fmt: skip


def per_ifu(*tags):
    return {tag: f"{tag}-{{ifu:02d}}.fits" for tag in tags}


def merged(*tags):
    return {tag: f"{tag}.fits" for tag in tags}


def steps(names, **words):
    """Declare the steps that make masters, named by a function of their tags."""

    @run_task("esorex:muse_bias", inputs="BIAS", outputs=names("MASTER_BIAS"), **words)
    def make_bias():
        """Combine biases."""

    @run_task(
        "esorex:muse_flat", inputs="FLAT", outputs=names(*MASTERS), order=1, nsum=8,
        cals={"MASTER_BIAS": "bias"}, **words,
    )  # fmt: skip
    def make_flat():
        """Combine flats, and trace the slices."""

    return make_bias, make_flat


@run_task(
    "esorex:muse_scibasic", inputs="OBJECT", cals=CALS, skylines="none", nifu=-1,
    outputs={"PIXTABLE_OBJECT": "{base}-{ifu:02d}.fits"}, saveimage=False,
)  # fmt: skip
def reduce_object():
    """Reduce an exposure to a pixel table for each IFU, in one call."""


@pytest.fixture(scope="module")
def night(make_once, need):
    need("esorex", recipes=("muse_bias", "muse_scibasic"))

    def simulate(folder):
        ifus, detector = range(1, 25), MuseDetector(rows=ROWS)
        simulate_muse(folder / "raw", ("bias", "flat"), ifus=ifus, detector=detector)
        simulate_muse(folder / "raw", ("object",), 1, ifus=ifus, detector=detector)
        write_statics(folder)
        write_masters(folder, ifus, ROWS)

    return make_once("muse_masters", simulate)


def test_pixel_tables_are_the_same_whatever_form_masters_have(night, folder):
    config["reprocess"] = "auto"
    biases, flats, (raw,) = (
        DataFileList(str(night / "raw" / f"MUSE.SIM_{kind}*.fits"))
        for kind in ("BIAS", "FLAT", "OBJECT")
    )
    arc = FileSet(night / "WAVECAL_TABLE-{ifu:02d}.fits")
    made = {}

    def reduce(name, bias, flat, trace):
        made[name] = reduce_object(
            raw, outdir=name, bias=bias, flat=flat, trace=trace, arc=arc,
            geometry=night / "geometry_table_wfm.fits",
        )  # fmt: skip

    for name, names, words in (
        ("each", per_ifu, {"by": "ifu"}),
        ("merged", merged, {"nifu": -1, "merge": True}),
    ):
        make_bias, make_flat = steps(names, **words)
        bias = make_bias(biases, outdir=name, workers=2)
        both = make_flat(flats, bias=bias, outdir=name, workers=2)
        reduce(name, bias, *(both[tag] for tag in MASTERS))
    assert isinstance(bias, DataFile)
    shutil.copytree("each", "masters", ignore=shutil.ignore_patterns("*OBJECT*"))
    cals = look_up_cals(
        raw, server="local", cache="calibrations.json", dirname=["masters", night]
    )
    made["found"] = reduce_object(
        associate_cals([], raw, cal_dict=cals), outdir="found"
    )
    masters = {
        name: str(cal) for name, cal in raw.cals.items() if name in CALS.values()
    }
    assert masters == {
        name: str(night / "geometry_table_wfm.fits")
        if tag == "GEOMETRY_TABLE"
        else str(
            (night if name == "arc" else Path("masters")) / f"{tag}-{{ifu:02d}}.fits"
        )
        for tag, name in CALS.items()
    }
    for name, tables in made.items():
        assert list(tables) == list(range(1, 25)), name
        for ifu, table in tables.items():
            assert table.meta["EXTNAME"] == f"CHAN{ifu:02d}"
            assert_same_data(table.filename.path, made["each"][ifu].filename.path)
