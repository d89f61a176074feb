"""The class MusePipe of pymusepipe on our steps."""

import shutil
import subprocess
from pathlib import Path

import pytest
from astropy.table import Table
from shared_helpers import assert_same_data

from ndmapper.errors import FileAccessError, FormatError, ParameterError
from ndmapper.lib.muse.pymusepipe import RECIPES, MusePipe
from ndmapper.lib.muse.pymusepipe_files import read_pairs

BAND = {"lambdamin": 7260.0, "lambdamax": 7365.0}
PARAMETERS = {
    "flat": {"order": 1, "nsum": 8}, "scibasic": {"skylines": "none"},
    "twilight": BAND, "standard": BAND, "scipost": BAND,
    "exp_align": {"threshold": 15.0},
}  # fmt: skip


@pytest.fixture
def programme(muse_night, folder):
    """Give a folder as the README describes it, with the two files."""
    shutil.copytree(muse_night / "raw", "data/NGC1000/P01/Raw")
    shutil.copytree(muse_night / "static", "static")
    for path in (muse_night / "masters").iterdir():
        shutil.copy(path, "data/NGC1000/P01/Raw")
    Path("rc.dic").write_text(
        f"root {folder}/data  # mine\nmusecalib {folder}/static\n"
    )
    Path("calib_tables.dic").write_text(
        "% tables\ngeo_table geometry_table_wfm.fits\nfilter_list filter_list.fits\n"
    )
    return folder / "data" / "NGC1000" / "P01"


def pipe(**words):
    return MusePipe(
        **{
            "targetname": "NGC1000", "pointing": 1, "rc_filename": "rc.dic",
            "cal_filename": "calib_tables.dic", "logfile": "v1.log",
            "filter_for_alignment": "white", "time_astrometry": False,
            "parameters": PARAMETERS, "ncpu": 1, **words,
        }
    )  # fmt: skip


@pytest.mark.slow
def test_from_raw_to_cube(programme, make_once, muse_night, run_example):
    def reduce(folder):
        run_example("muse_night.py", muse_night, folder=folder)

    plain = make_once("muse_plain_steps", reduce)
    one = pipe(last_recipe="prep_align")
    one.run_all_recipes(fraction=0.7)
    # A new session goes on where this one stopped.
    pipe().run_align_bypointing()
    other = pipe(overwrite_astropy_table=True)
    other.run_combine_pointing()
    assert_same_data(programme / "Cubes" / "combined.fits", plain / "cube.fits")
    offsets = programme.parent / "Alignment" / "P01" / "offsets.fits"
    assert_same_data(offsets, plain / "offsets.fits")
    for name in ("Master/Bias", "Master/Flat", "Master/Twilight", "Master/Std",
                 "Object", "Sky", "Std"):  # fmt: skip
        assert list((programme / name).glob("MUSE.*.fits"))
    table = Table.read(programme / "Astro_Tables" / "PRO_BIAS.ecsv")
    assert list(table["file"]) == [
        f"Master/Bias/MUSE.SIM_BIAS01_bias-0{n}.fits" for n in (1, 2)
    ]
    made = other.run_scipost(skymethod="none")
    assert len(made["DATACUBE_FINAL"]) == 2
    made = other.run_scipost(expotype="SKY", offset_list=False, skymethod="none")
    assert [df.filename.name for df in made["DATACUBE_FINAL"]] == [
        "MUSE.SIM_SKY01_cube.fits"
    ]
    # Offsets of each template, of which these exposures are two or one.
    grouped = other.run_align_bygroup()
    assert all(str(df).endswith("offsets.fits") for df in grouped.values())


@pytest.mark.slow
def test_the_log_of_a_fake_run_is_a_script(programme):
    fake = pipe(fakemode=True)
    fake.run_all_recipes()
    assert not list(programme.rglob("*_bias-01.fits"))
    text = fake.logfile.read_text()
    assert text.startswith("#!/bin/sh\n")
    for recipe in ("muse_bias", "muse_flat", "muse_twilight", "muse_scibasic",
                   "muse_standard", "muse_create_sky", "muse_scipost"):  # fmt: skip
        assert recipe in text
    assert "fake: nothing was run" in text
    assert "--fraction=0.8" in text

    fake = pipe(fakemode=True, reset_log=True)
    fake.run_bias()
    text = fake.logfile.read_text()
    assert "muse_flat" not in text
    subprocess.run(["sh", str(fake.logfile)], check=True, stdout=subprocess.DEVNULL)
    made = programme / "Master" / "Bias" / "MUSE.SIM_BIAS01_bias-01.fits"
    shutil.move(made, "bare.fits")
    (made.parent / "MUSE.SIM_BIAS01_bias-02.fits").unlink()
    pipe().run_bias()
    assert_same_data(made, "bare.fits")
    # A new run adds to the log.
    assert fake.logfile.read_text().startswith(text)


@pytest.mark.slow
def test_templates_and_illumination(programme):
    fake = pipe(fakemode=True, filter_list="white,V", musemode="WFM_NOAO_N")
    tpl = str(next(r["set"] for r in fake.night.table if r["class"] == "bias"))
    assert len(fake.run_bias(tpl=tpl)) == 1
    other = str(next(r["set"] for r in fake.night.table if r["class"] == "flat"))
    assert fake.run_bias(tpl=other) == []
    with pytest.raises(ParameterError, match=r"no raw frame is of the template 'x'"):
        fake.run_bias(tpl="x")
    fake.run_flat()
    before = len(fake.logfile.read_text())
    fake.run_twilight(illum=False)
    assert " ILLUM" not in fake.logfile.read_text()[before:]
    fake.run_twilight(illum=True)
    assert " ILLUM" in fake.logfile.read_text()[before:]
    assert fake.config.steps["scipost"]["images"] == "white,V"
    before = len(fake.logfile.read_text())
    fake.run_dark()
    fake.run_flat()
    assert " MASTER_DARK" in fake.logfile.read_text()[before:]


@pytest.mark.slow
def test_words_of_the_constructor(programme, caplog):
    with pytest.raises(ParameterError, match=r"no raw frame has the mode 'NFM-AO-N'"):
        pipe(musemode="NFM_AO_N")
    pipe(musemode="NFM_AO_N", checkmode=False)
    found = pipe(
        nifu=2, likwid="likwid-pin -c N:", list_cpu="0,1", nocache=True, domerge=True
    )
    assert "domerge has no effect: each IFU is a file by itself" in caplog.text
    assert found.config.steps["bias"] == {"by": None, "nifu": 2}
    assert "geometry" in found.config.fixed
    assert set(pipe(time_astrometry=True).config.fixed) == {"filters"}
    with pytest.raises(ParameterError, match=r"no option 'fakemod'"):
        pipe(fakemod=True)
    with pytest.raises(ParameterError, match=r"no recipe 'biases'; there are: bias"):
        pipe(first_recipe="biases")
    assert pipe(first_recipe=2, last_recipe="lsf").recipes == RECIPES[1:4]
    assert pipe(log_filename="v2.log").logfile.name == "v2.log"
    shutil.move(programme, programme.parent / "OB007")
    assert pipe(dataset=7).folder == programme.parent / "OB007"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("root", r"line 1: root has no value"),
        ("\nroot a\nroot b", r"line 3: root is given twice"),
        ("roots a", r"line 1: unknown key 'roots'; did you mean 'root'"),
        ("root a", r"has no line 'musecalib FOLDER'"),
    ],
)
def test_mistakes_in_files(folder, text, words):
    Path("rc.dic").write_text(text)
    with pytest.raises(FormatError, match=words):
        read_pairs(Path("rc.dic"), needed=("root", "musecalib"))


def test_missing_files(folder):
    with pytest.raises(FileAccessError, match=r"rc.dic cannot be read"):
        pipe()
    Path("rc.dic").write_text("root .\nmusecalib .\n")
    Path("calib_tables.dic").write_text("filter_list mine.fits\n")
    with pytest.raises(
        FileAccessError, match=r"filter_list is mine.fits, but there is"
    ):
        pipe()
