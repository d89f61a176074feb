"""The script for a simulated long-slit night, against the truth, on either axis."""

from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile, PlainFile
from ndmapper.lib import spec
from ndmapper.lib.simulate import SlitSpectrograph, simulate_slit_night

for package in ("astroscrappy", "scipy", "specreduce"):
    pytest.importorskip(package, reason="the extras ccd and spec are not installed")
pytestmark = pytest.mark.slow

ALONG_Y = """
schema = 1
extends = "simslit"
description = "The simulated spectrograph, turned"
[applies]
INSTRUME = "SIMSLIT"
[spectrograph]
dispersion_axis = "y"
wavelength = "falls"
"""


@pytest.fixture(scope="module", params=["x", "y"])
def galaxy(request, tmp_path_factory, run_example):
    """Reduce a night; along y it has a table beside the script, and no more."""
    folder = tmp_path_factory.mktemp("slit")
    if request.param == "x":
        night = simulate_slit_night(folder / "raw", seed=2)
    else:
        slit = SlitSpectrograph(
            shape=(120, 800), dispersion_axis="y", wavelength="falls",
            wavelength_range=(4000.0, 6600.0), nonlinearity=-15.0, tilt=2.0,
            trace_shift=-4.0, slit=(6, 114), pixel_scatter=0.01, gain=1.2,
        )  # fmt: skip
        night = simulate_slit_night(folder / "raw", slit, seed=2)
        (folder / "turned.toml").write_text(ALONG_Y)
        (folder / "ndmapper.toml").write_text('instrument = "turned.toml"\n')
    run_example("slit_night.py", folder=folder)
    return night, DataFile(folder / "galaxy.fits")


@pytest.fixture(scope="module")
def further(galaxy):
    """Do what the script does not."""
    folder = galaxy[1].filename.dir
    words = {
        "wavelengths": f"{folder}/slit0009_arc.fits", "outdir": folder,
        "spectrograph": galaxy[0].spectrograph.table,
    }  # fmt: skip
    spec.correct_flexure(
        f"{folder}/xfgvbslit0011.fits", out_names="flexure.fits", **words
    )
    spec.rectify_wavelength(
        f"{folder}/sxfgvbslit0011.fits", out_names="rectified.fits", **words
    )


def test_combined_spectrum_is_that_of_the_galaxy(galaxy):
    night, product = galaxy
    (ndd,) = product
    axis = spec.wavelengths_of(ndd)
    assert axis.medium == "air"
    truth = night.object_flux(axis.values)
    good = np.asarray(ndd.flags) == 0
    assert good.mean() > 0.95
    pulls = ((ndd.data - truth) / np.sqrt(ndd.variance))[good]
    # 780 pixels tell a width to .026; lines of 3 pixels that are rebinned widen it, and
    # combining exposures on one grid makes it narrower.
    assert np.std(pulls) == pytest.approx(1, abs=0.15)
    assert abs(np.mean(pulls)) < 0.25
    # The whole light, of 100 electrons in a column with as much noise of the sky.
    assert np.sum(ndd.data[good]) == pytest.approx(np.sum(truth[good]), rel=0.01)


@pytest.mark.parametrize(
    ("product", "figures"),
    [
        ("slit0006_flat.fits", 1), ("slit0009_arc.fits", 2), ("xfgvbslit0011.fits", 1),
        ("sxfgvbslit0011.fits", 1), ("sxfgvbslit0011_trace.ecsv", 1),
        ("esxfgvbslit0011.fits", 1), ("slit0010_standard.fits", 1),
        ("kesxfgvbslit0011.fits", 1), ("galaxy.fits", 1), ("flexure.fits", 1),
        ("rectified.fits", 1),
    ],
)  # fmt: skip
def test_each_stage_has_its_figures(galaxy, further, product, figures):
    folder = Path(galaxy[1].filename.dir)
    kind = PlainFile if product.endswith(".ecsv") else DataFile
    made = kind(folder / product).record[-1]["run"]["figures"]
    assert len(made) == figures
    for name in made:
        assert (folder / ".ndmapper" / name).read_bytes().startswith(b"\x89PNG")


def test_sensitivity_is_that_of_the_telescope(galaxy):
    night, product = galaxy
    (ndd,) = DataFile(product.filename.dir + "/slit0010_standard.fits")
    w = spec.wavelengths_of(ndd).values
    photon = 1.98644586e-8  # times the wavelength [erg Angstrom]
    good = (np.asarray(ndd.flags) == 0) & (w > 4100) & (w < 6500)
    ratio = (ndd.data * night.area(w) * w / photon)[good]
    # 1 percent is asked for; the profile leaves up to .3 percent out of the aperture.
    np.testing.assert_allclose(ratio, 1, atol=0.01)
