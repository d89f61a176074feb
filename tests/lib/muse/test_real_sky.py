"""Alignment and sky of a simulated night of two IFUs, by the real recipes."""

import shutil

import numpy as np
import pytest
from astropy.table import Table

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.lib.muse import recipes, sky
from ndmapper.lib.muse.night import MuseNight
from ndmapper.lib.muse.offsets import measure_offsets
from ndmapper.lib.simulate import simulate_muse_night

pytestmark = pytest.mark.slow
BAND = {"lambdamin": 7260.0, "lambdamax": 7365.0}
STEMS = ("MUSE.SIM_OBJECT01", "MUSE.SIM_OBJECT02")


def night_of(folder):
    """Sort the raw frames of a folder, and find what was made of them."""
    night = MuseNight(*(f"{folder}/{name}" for name in ("raw", "static", "masters")))

    def respond(star):
        tables = night.of(recipes.scibasic(star, skylines="none"))
        return recipes.standard(tables, **BAND)

    night.make("bias", recipes.bias)
    night.make("flat", recipes.flat, order=1, nsum=8)
    night.make("twilight", recipes.twilight, **BAND)
    night.make("standard", respond)
    return night


def tables_of_sky(night, frames):
    return night.of(recipes.scibasic(frames, skylines="none"))


def tables_of_objects(night):
    return night.of(recipes.scibasic(night.of(night.files("object")), skylines="none"))


@pytest.fixture(scope="module")
def reduced(make_once, need):
    need("esorex", recipes=("muse_bias", "muse_exp_combine"))

    def reduce(folder):
        simulate_muse_night(folder / "night", ifus=(1, 2))
        with (
            config.using(reprocess="auto", outdir=str(folder), logfile=None),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.chdir(folder)
            night = night_of("night")
            night.make(
                "sky",
                lambda frames: recipes.create_sky(
                    tables_of_sky(night, frames), fraction=0.7, **BAND
                ),
            )
            recipes.scipost(
                tables_of_objects(night), skymethod="subtract-model", **BAND
            )

    return make_once("muse_sky", reduce)


@pytest.fixture
def again(reduced, tmp_path, monkeypatch):
    """Work in a copy of the reduced night."""
    folder = tmp_path / "again"
    shutil.copytree(reduced, folder)
    monkeypatch.chdir(folder)
    config["reprocess"] = "auto"
    return folder


def images():
    return DataFileList([f"{stem}_image-white.fits" for stem in STEMS])


def reduced_tables():
    return DataFileList([f"{stem}_reduced.fits" for stem in STEMS])


def cube_of(stem=STEMS[0]):
    return np.asarray(DataFile(f"{stem}_cube.fits")[0].data, float)


def test_offsets_are_those_of_the_recipe_and_of_the_simulation(again):
    ours = measure_offsets(images(), rotation=False).tables["OFFSET_LIST"]
    theirs = next(iter(recipes.exp_align(images(), srcmin=3).tables.values()))
    # .05 pixel of .2 arcsec; the recipe, of whole night and few rows, is good to 4 mas.
    scale = np.array([np.cos(np.radians(27.8)), 1.0]) * 3600
    found = np.array([ours["RA_OFFSET"][1], ours["DEC_OFFSET"][1]]) * scale
    recipe = np.array([theirs["RA_OFFSET"][1], theirs["DEC_OFFSET"][1]]) * scale
    assert found == pytest.approx(recipe, abs=0.01)
    assert found == pytest.approx([0.6, 0.4], abs=0.02)


def test_the_recipe_takes_our_list(again):
    theirs = recipes.exp_align(images(), srcmin=3, out_names="theirs.fits")
    ours = measure_offsets(
        images(), measure="none", guess=theirs, flux="none", rotation=False,
        out_names="ours.fits",
    )  # fmt: skip
    cubes = [
        recipes.exp_combine(
            reduced_tables(), offsets=offsets, DATACUBE_FINAL=f"{name}_cube.fits",
            **{"IMAGE_FOV": f"{name}-{{filter}}.fits"}, **BAND,
        )["DATACUBE_FINAL"][0]
        for name, offsets in (("a", theirs), ("b", ours), ("c", None))
    ]  # fmt: skip
    first, second, none = (np.asarray(cube.data) for cube in cubes)
    # Offsets differ by roundings of the last digit, before they are pixels.
    assert np.array_equal(np.isnan(first), np.isnan(second))
    assert np.nanmax(np.abs(first - second)) <= 1e-4 * np.nanmax(np.abs(first))
    assert first.shape != none.shape or np.nanmax(np.abs(first - none)) > 1


def test_modified_sky_leaves_the_continuum(again):
    night = night_of("night")
    before = cube_of()
    night.make("sky", lambda frames: sky.create_modified_sky(
        tables_of_sky(night, frames), fraction=0.7, **BAND))  # fmt: skip
    recipes.scipost(tables_of_objects(night), skymethod="subtract-model", **BAND)
    level = np.nanmedian(cube_of() - before)
    continuum = DataFile("MUSE.SIM_SKY01_first_sky_continuum.fits")
    flux = continuum.tables["CONTINUUM"]["flux"]
    assert level == pytest.approx(np.median(flux), rel=0.02)
    assert level > 50
    zero = DataFile("MUSE.SIM_SKY01_first_sky_continuum_zero.fits")
    assert not np.any(zero.tables["CONTINUUM"]["flux"])
    assert zero.meta["HIERARCH ESO PRO CATG"] == "SKY_CONTINUUM"


def test_normalised_continuum_gives_the_background_back(again):
    night = night_of("night")
    before = cube_of()
    offsets = measure_offsets(images(), out_names="offsets.fits", rotation=False)
    table = Table(offsets.tables["OFFSET_LIST"])
    table["BACKGROUND"] = [12.0, -3.0]
    offsets.tables["OFFSET_LIST"] = table
    offsets.save("edited.fits")
    continuum = DataFile("MUSE.SIM_SKY01_sky.fits")
    made = sky.normalise_sky_continuum(
        continuum, exposure=f"{STEMS[0]}_image-white.fits", offsets="edited.fits"
    )
    frames = night.of(FileSet(f"{STEMS[0]}-{{ifu:02d}}.fits"))
    recipes.scipost(
        frames, sky=made, skyfit="MUSE.SIM_SKY01_skyfit.fits",
        skymethod="subtract-model", **BAND,
    )  # fmt: skip
    # What was subtracted too much is there again, in the unit of images and cube.
    assert np.nanmean(cube_of() - before) == pytest.approx(12.0, rel=0.02)
