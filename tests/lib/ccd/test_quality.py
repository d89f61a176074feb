"""What steps for CCDs report: quality numbers in the record, and figures."""

from pathlib import Path

import numpy as np
import pytest

from ndmapper import DataFile, DataFileList, NDLater, config
from ndmapper.lib import ccd
from ndmapper.lib.cosmetics import clean_cosmic_rays

NOISE = 4.0


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Give a function that saves frames of two extensions, by their levels."""
    monkeypatch.chdir(tmp_path)
    config["logfile"] = None
    rng = np.random.default_rng(8)

    def make(name, *levels, **cards):
        ndds = []
        for ident, level in enumerate(levels, start=1):
            data = rng.normal(level, NOISE, (80, 60)).astype("f4")
            flags = np.zeros(data.shape, "u2")
            flags[:8] = 4
            variance = np.full(data.shape, NOISE**2, "f4")
            ndds.append(NDLater(data, variance=variance, flags=flags, ident=ident))
            ndds[-1].meta.update(cards)
        df = DataFile(name, data=ndds, mode="new")
        df.save()
        return df

    return make


def reported(product):
    row = product.record[-1]
    assert Path(f".ndmapper/figures/{product}-1.png").stat().st_size > 1000
    return row["qc"]


def check_master(qc, level, noise):
    # The median of 4320 pixels scatters by 1.25 / sqrt(4320) of their noise.
    assert qc["level[2]"] == pytest.approx(level, abs=5 * 1.25 * noise / 66)
    assert qc["noise[2]"] == pytest.approx(noise, rel=0.02)
    assert qc["bad[2]"] == pytest.approx(0.1)


def test_bias_reports_level_noise_and_bad_pixels_of_each_extension(made):
    files = DataFileList(data=[made(f"b{n}.fits", 3, 20) for n in range(4)])
    bias = ccd.make_bias(files, bias="bias.fits")
    check_master(reported(bias), 20, NOISE / 2)


def test_dark_reports_level_noise_and_bad_pixels(made):
    frames = [made(f"d{n}.fits", 3, 20, EXPTIME=60.0) for n in range(4)]
    dark = ccd.make_dark(DataFileList(data=frames), dark="dark.fits")
    check_master(reported(dark), 20, NOISE / 2)


def test_flat_reports_its_normalised_level(made):
    frames = [made(f"f{n}.fits", 1000, 2000) for n in range(4)]
    flat = ccd.make_flat(
        DataFileList(data=frames), flat="flat.fits", normalise="plain", scale=False
    )
    qc = reported(flat)
    # The median of all pixels is that of the gap between the two levels.
    assert qc["level[2]"] / qc["level[1]"] == pytest.approx(2, rel=1e-3)
    assert qc["noise[2]"] / qc["noise[1]"] == pytest.approx(1, rel=0.01)
    assert qc["bad[2]"] == pytest.approx(0.1)


def test_overscan_reports_level_and_scatter_of_each_amplifier(made):
    df = made("raw.fits", 500)
    done = ccd.subtract_overscan(
        df, overscan={"[1:25,1:80]": "[26:30,1:80]", "[31:55,1:80]": "[56:60,1:80]"}
    )
    qc = done.record[-1]["qc"]
    for name in "12":
        assert qc[f"overscan_{name}"] == pytest.approx(500, abs=5 * NOISE / 20)
        # The width of 400 values: 3.5 per cent.
        assert qc[f"overscan_scatter_{name}"] == pytest.approx(NOISE, rel=0.18)


def test_cosmic_rays_report_how_many_pixels_are_hit(made):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    df = made("sky.fits", 100)
    df[0].data[40, 20] = 5000
    df.filename = "hit.fits"
    df.save()
    qc = reported(clean_cosmic_rays(df, fwhm=0))
    assert qc["hits"] >= 1
    assert qc["hits_share"] == pytest.approx(qc["hits"] / 4800)
