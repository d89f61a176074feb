"""The illumination that a pixel flat leaves, against the truth."""

import numpy as np
import pytest
from lib_image import star

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.ccd import apply_flat
from ndmapper.lib.image import apply_illumination, make_illumination

make = make_illumination.func
apply = apply_illumination.func
SHAPE = 150, 160


def true(chip):
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (1 + 0.1 * chip) * (1 + 0.08 * np.sin(x / 60) - 0.05 * (y / 150 - 0.5) ** 2)


def sky_flats(seed, count=5, level=3000.0, stars=10):
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(5)
    places = fixed.uniform(15, 135, (stars, 2))
    files = DataFileList()
    for n in range(count):
        shift = rng.uniform(-12, 12, 2)
        images = []
        for chip in (0, 1):
            clean = level * 0.8**n * true(chip)
            for place in places:
                clean = clean + 40000 * star(SHAPE, *(place + shift), 3.5)
            data = rng.poisson(clean).astype(np.float32)
            ndd = NDLater(
                data, variance=np.maximum(data, 1), unit="electron", ident=chip + 1
            )
            ndd.meta["APPFLAT"] = 1
            images.append(ndd)
        files.append(DataFile(f"s{n}.fits", data=images))
    return files


@pytest.fixture(scope="module")
def made():
    return make(sky_flats(1), box_size=30)


def level():
    return np.median([true(0), true(1)])


def test_the_illumination_is_that_of_the_sky(made):
    # 900 pixels of five frames: .02 percent; splines through 30 boxes follow to .05.
    ratios = [np.asarray(found.data) / true(chip) for chip, found in enumerate(made)]
    assert np.median([found.data for found in made]) == pytest.approx(1, abs=1e-3)
    for ratio, found in zip(ratios, made, strict=True):
        error = ratio / np.mean(ratios) - 1
        assert np.std(error) < 1e-3
        assert abs(np.mean(error)) < 1e-3
        assert np.max(np.abs(error)) < 6e-3
        assert found.unit is None
        assert found.meta["FLATKIND"] == "illumination"
        assert found.meta["FLATUNIT"] == "electron"
    assert np.mean(made[1].data) / np.mean(made[0].data) == pytest.approx(1.1, rel=1e-3)


def test_its_variance_is_that_of_boxes():
    flat = [
        make(sky_flats(seed, count=3, stars=0), box_size=30)[0] for seed in range(6)
    ]
    middles = np.array([np.asarray(one.data)[15::30, 16::32] for one in flat])
    scatter = middles.var(axis=0, ddof=1).mean()
    claimed = np.mean([np.asarray(one.variance)[15::30, 16::32] for one in flat])
    # 25 boxes of 6 fields: the ratio is known to 13 percent.
    assert claimed / scatter == pytest.approx(1, abs=0.5)


def test_a_frame_is_flat_after_it(made):
    rng = np.random.default_rng(2)
    for chip in (0, 1):
        data = rng.poisson(5000 * true(chip))
        ndd = NDLater(data.astype(float), variance=data.astype(float), unit="electron")
        ndd.meta["APPBIAS"], ndd.meta["APPFLAT"] = 1, 1
        found = apply(ndd, made[chip])
        pull = (found.data - 5000 * level()) / np.sqrt(found.variance)
        assert np.std(pull) == pytest.approx(1, abs=0.03)
        assert found.meta["APPILLUM"] == 1
        assert found.meta["APPFLAT"] == 1
        with pytest.raises(ParameterError, match="again=True"):
            apply(found, made[chip])
        assert apply(found, made[chip], again=True).meta["APPILLUM"] == 2


def test_the_variance_of_the_illumination_is_added():
    ndd = NDLater(np.full((4, 4), 100.0), variance=np.full((4, 4), 25.0))
    ndd.meta["APPBIAS"] = 0
    illumination = NDLater(np.full((4, 4), 0.8), variance=np.full((4, 4), 1e-4))
    illumination.meta["FLATKIND"] = "illumination"
    found = apply(ndd, illumination)
    assert np.allclose(found.data, 125)
    assert np.allclose(found.variance, 25 / 0.64 + 100**2 / 0.8**4 * 1e-4)


def test_none_and_what_is_no_illumination():
    ndd = NDLater(np.ones((4, 4)))
    assert apply(ndd, None).meta["APPILLUM"] == 0
    with pytest.raises(
        ParameterError, match="this is a pixel flat and no illumination"
    ):
        apply(ndd, NDLater(np.ones((4, 4))))


def test_it_is_applied_by_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = sky_flats(3, count=3)
    for df in files:
        df.save()
    found = make_illumination(files, illumination="illumination.fits", box_size=30)
    values = found.record[-1]["qc"]
    assert 0.85 < values["least[1]"] < 1 < values["most[2]"] < 1.2
    assert 0 < values["error[1]"] < 2e-3
    for df in files[:1]:
        made = apply_illumination(df, illumination=found)
        assert made.filename == "is0.fits"
        assert made[1].meta["APPILLUM"] == 1
        # apply_flat knows it as well.
        other = apply_flat(df, flat=found)
        assert np.array_equal(other[0].data, made[0].data)


def test_what_cannot_be_used_is_refused_or_warned_of(caplog, made):
    files = sky_flats(4, count=2, stars=0)
    del files[0][0].meta["APPFLAT"]
    make(files, box_size=50)
    assert "was not divided by a pixel flat" in caplog.text
    with pytest.raises(ParameterError, match="filter_size is an odd number, not 2"):
        make(files, filter_size=2)
    with pytest.raises(
        ParameterError, match="2 files of sky need as many masks, not 1"
    ):
        make(files, masks=files[:1])
    for ndd in files[1]:
        ndd.data = ndd.data * -1
    with pytest.raises(
        ParameterError, match=r"s1\.fits cannot be brought to the level"
    ):
        make(files)
    adu = NDLater(np.ones(SHAPE), unit="adu")
    with pytest.raises(UnitError, match="was made of frames in electron"):
        apply(adu, made[0])
