"""Steps on tables of the sky, and what they refuse."""

import numpy as np
import pytest
from astropy.table import Table

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError, StepError
from ndmapper.lib.muse import sky

WAVES = np.arange(4800.0, 9300.0, 10.0)


def write(name, tables, mode="WFM-NOAO-N"):
    df = DataFile(name, mode="overwrite", data=[])
    df.meta["DATE-OBS"], df.meta["MJD-OBS"] = "2020-01-01T00:00:00.000", 58849.0
    df.meta["HIERARCH ESO INS MODE"] = mode
    for key, table in tables.items():
        df.tables[key] = Table(table)
    df.save()
    return name


def continuum(flux, waves=WAVES):
    flux = np.broadcast_to(flux, waves.shape)
    return write("sky.fits", {"CONTINUUM": {"lambda": waves, "flux": flux}})


def offset_list(background):
    row = {"MJD_OBS": 58849.0, "RA_OFFSET": 0.0, "DEC_OFFSET": 0.0}
    row["BACKGROUND"] = background
    return write("offsets.fits", {"OFFSET_LIST": {k: [v] for k, v in row.items()}})


@pytest.fixture(autouse=True)
def quiet(folder):
    config["reprocess"] = True
    write("exposure.fits", {})
    curve = {"lambda": [6000.0, 6010, 6990, 7000], "throughput": [0.0, 1, 1, 0]}
    write("filters.fits", {"R": curve})


def factor(flux, background, *, waves=WAVES, exposure="exposure.fits", **words):
    made = sky.normalise_sky_continuum(
        continuum(flux, waves), exposure=exposure, offsets=offset_list(background),
        **words,
    )  # fmt: skip
    ratio = np.asarray(made.tables["CONTINUUM"]["flux"]) / flux
    assert np.ptp(ratio) < 1e-12
    return ratio[0]


def test_the_factor_is_that_of_the_mean_in_the_band():
    slope = WAVES / 100.0
    assert factor(slope, 7.0) == pytest.approx(1 - 7 / np.mean(slope[[0, -1]]))
    # The middle of the filter is at 6500 Angstrom.
    found = factor(slope, 7.0, filters="filters.fits", band="R")
    assert found == pytest.approx(1 - 7 / 65.0)


def test_the_light_of_lasers_is_left_out():
    flux = np.where((WAVES > 5800) & (WAVES < 5970), 1000.0, 10.0)
    plain = factor(flux, 1.0)
    write("ao.fits", {}, mode="WFM-AO-N")
    assert factor(flux, 1.0, exposure="ao.fits") == pytest.approx(0.9)
    assert plain > 0.95


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ({"background": np.nan}, ParameterError, "no BACKGROUND"),
        ({"background": 11.0}, StepError, "more than the sky's continuum"),
        ({"band": "V"}, ParameterError, "filter 'V' is in no FILTER_LIST"),
        ({"band": "V", "filters": "filters.fits"}, ParameterError, "has R"),
        ({"band": "R", "filters": "filters.fits", "waves": WAVES[:180]}, StepError,
         "of the filter R"),
    ],
)  # fmt: skip
def test_what_cannot_be_normalised(words, error, message):
    words = {"background": 1.0, "flux": 10.0} | words
    with pytest.raises(error, match=message):
        factor(words.pop("flux"), words.pop("background"), **words)


def test_only_lines_of_the_atmosphere_are_kept():
    lines = {"name": ["OH 1", "O2 ", "OI 6300", "Na"], "lambda": [1.0, 2, 3, 4]}
    write("lines.fits", {"LINES": lines | {"flux": [1.0, 1, 1, 1]}})
    made = sky.keep_atmospheric_lines("lines.fits").tables["LINES"]
    assert list(made["lambda"]) == [1, 2]
    with pytest.raises(StepError, match="begins with Ne; they are OH 1, O2, OI 6300"):
        sky.keep_atmospheric_lines("lines.fits", names=["Ne"])
    with pytest.raises(ParameterError, match="no SKY_LINES"):
        sky.keep_atmospheric_lines(continuum(1.0))


def test_factors_that_the_recipe_does_not_make_are_missed():
    asked = {}

    def step(frames, **words):
        asked.update(words)
        return {"AUTOCAL_FACTORS": made}

    made = ["a"]
    assert sky.autocalibration_factors("x", step=step, crsigma=5.0) == ["a"]
    assert asked["autocalib"] == "deepfield"
    assert asked["crsigma"] == 5.0
    made = []
    with pytest.raises(StepError, match="SKY_MASK must tell"):
        sky.autocalibration_factors("x", step=step)
