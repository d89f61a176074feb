import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.errors import ParameterError
from ndmapper.lib.simulate import (
    MuseDetector,
    simulate_hawki_darks,
    simulate_muse,
    simulate_muse_night,
)


def test_muse_frames(tmp_path):
    files = simulate_muse(tmp_path / "raw", ifus=(1, 12))
    assert list(files) == ["bias", "dark", "flat"]
    assert [path.name for path in files["bias"]][-1] == "MUSE.SIM_BIAS03.fits"
    bias, flat = DataFile(files["bias"][0]), DataFile(files["flat"][0])
    assert bias.idents == ["CHAN01", "CHAN12"]
    assert bias.meta["ESO DPR TYPE"] == "BIAS"
    assert bias[0].shape == (2 * (2 + 48 + 8), 2 * (2 + 2048 + 8))
    assert bias[0].data.dtype == np.uint16
    assert bias[0].meta["ESO DET OUT3 Y"] == 4112
    detector = MuseDetector()
    noise = detector.noise / detector.gain
    assert bias[0].data[:50, :2000].std() == pytest.approx(noise, rel=0.05)
    data = flat[0].data[2:50, 2:2050] - 1000.0
    # 24 slices in half of the columns, the light of the lamp between their borders.
    assert np.count_nonzero(np.diff((data[20] > 13_000).astype(int)) == 1) == 24
    assert np.median(data[data > 20_000]) == pytest.approx(30_000 / 1.1, rel=0.02)


def test_the_same_seed_gives_the_same_pixels(tmp_path):
    one, two, other = (
        DataFile(simulate_muse(tmp_path / name, ("dark",), seed=seed)["dark"][1])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert np.array_equal(one[0].data, two[0].data)
    assert not np.array_equal(one[0].data, other[0].data)


def test_a_night_of_muse(tmp_path):
    night = simulate_muse_night(tmp_path, ifus=(1, 2))
    assert {tag: len(paths) for tag, paths in night.items() if len(paths) > 1} == {
        "BIAS": 3, "DARK": 3, "FLAT": 3, "SKYFLAT": 3, "OBJECT": 2, "WAVECAL_TABLE": 2,
    }  # fmt: skip
    assert all(path.is_file() for paths in night.values() for path in paths)
    files = {tag: DataFile(paths[-1]) for tag, paths in night.items()}
    starts = [
        DataFile(path).meta["ESO TPL START"]
        for tag in ("BIAS", "FLAT", "OBJECT")
        for path in night[tag]
    ]
    assert len(starts) == 8
    assert len(set(starts)) == 3
    assert starts == sorted(starts)
    assert files["OBJECT"].meta["DEC"] - files["SKY"].meta["DEC"] == pytest.approx(0)
    assert files["OBJECT"].meta["RA"] > files["SKY"].meta["RA"]
    for tag in ("WAVECAL_TABLE", "LSF_PROFILE"):
        header = files[tag].meta
        assert header["ESO PRO CATG"] == tag
        assert header["ESO INS OPTI2 NAME"] == "WFM"
        assert header["DATE-OBS"].startswith("2016-01-01")
    assert files["WAVECAL_TABLE"].meta["EXTNAME"] == "CHAN02"
    geometry = files["GEOMETRY_TABLE"].tables["GEOMETRY_TABLE"]
    assert len(geometry) == 24 * 48


def test_wavelengths_of_muse_are_those_of_its_masters(tmp_path):
    night = simulate_muse_night(tmp_path, ifus=(1,))
    table = DataFile(night["WAVECAL_TABLE"][0]).tables["WAVECAL_TABLE"]
    # A quadrant without its prescans and overscans.
    data = DataFile(night["SKY"][0])[0].data[2:50, 2:2050].astype(float)
    for n in range(0, 24):
        x = 62 + 84.4 * n
        start = table["wlc00"][n] + table["wlc10"][n] * x + table["wlc20"][n] * x**2
        row = (7276.405 - start) / table["wlc01"][n]
        profile = data[:, int(x) - 11 : int(x) + 10].sum(axis=1)
        assert np.argmax(profile) + 1 == pytest.approx(row, abs=1)


def test_wrong_wishes(tmp_path):
    with pytest.raises(ParameterError, match=r"kinds are bias, .*, object, not 'arc'"):
        simulate_muse(tmp_path, ("arc",))
    with pytest.raises(ParameterError, match="an even number of rows"):
        MuseDetector(rows=33)


def test_hawki_darks(tmp_path):
    paths = simulate_hawki_darks(tmp_path, 2, size=100, exptime=100.0)
    first, second = (DataFile(path) for path in paths)
    assert first.idents == [f"CHIP{n}.INT1" for n in (1, 2, 3, 4)]
    assert first.meta["EXPTIME"] == 100.0
    assert np.median(first[0].data) == pytest.approx(102, abs=1)
    hot = first[0].data > 1000
    assert 0 < hot.sum() < 40
    assert np.array_equal(hot, second[0].data > 1000)
    assert not np.array_equal(first[0].data, second[0].data)
