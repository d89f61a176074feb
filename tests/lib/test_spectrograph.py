"""How spectra lie on an image, from the table, the header, and the call."""

import numpy as np
import pytest

from ndmapper import config
from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.spectrograph import SpectrographTable, spectrograph_of
from ndmapper.steps import run_task
from ndmapper.testing import make_raw


@pytest.mark.parametrize("axis", ["x", "y"])
@pytest.mark.parametrize("wavelength", ["rises", "falls"])
def test_turned_images_have_the_slit_first_and_rising_wavelengths(axis, wavelength):
    slit, waves = np.mgrid[0:3, 5000:5007]
    turned = slit * 10000 + waves
    image = turned[:, ::-1] if wavelength == "falls" else turned
    image = image if axis == "x" else image.T
    given = {"dispersion_axis": axis, "wavelength": wavelength}
    geometry = spectrograph_of(given, NDLater(data=image))
    np.testing.assert_array_equal(geometry.turned(image), turned)
    np.testing.assert_array_equal(geometry.back(turned), image)


def test_binning_scales_and_limits_count_pixels_of_the_image():
    given = {
        "dispersion_axis": "y",
        "wavelength": "falls",
        "binning": [2, 4],
        "dispersion": 0.5,
        "pixel_scale": 0.2,
        "slit": [11, 30],
        "gaps": [[9, 16]],
    }
    geometry = spectrograph_of(given, NDLater(data=np.zeros((20, 50))))
    assert geometry.dispersion == 2.0
    assert geometry.pixel_scale == 0.4
    assert geometry.rows(50) == slice(5, 15)
    # Rows 2 and 3 of the image, from the other end, since the wavelength falls.
    assert np.flatnonzero(geometry.in_gap(20)).tolist() == [16, 17]


def test_range_is_about_the_central_wavelength():
    given = {"central_wavelength": 6000.0, "dispersion": 1.5, "binning": [1, 2]}
    given["dispersion_axis"] = "y"
    ndd = NDLater(data=np.zeros((400, 6)))
    assert spectrograph_of(given, ndd).wavelength_range == (5400.0, 6600.0)
    stated = {**given, "wavelength_range": [5000.0, 6000.0]}
    assert spectrograph_of(stated, ndd).wavelength_range == (5000.0, 6000.0)
    del given["dispersion"]
    assert spectrograph_of(given, ndd).wavelength_range is None


def test_dispaxis_of_the_header_counts_where_nothing_is_stated():
    ndd = NDLater(data=np.zeros((4, 6)))
    ndd.meta["DISPAXIS"] = 2
    assert spectrograph_of(None, ndd).axis == 0
    assert spectrograph_of({"dispersion_axis": "x"}, ndd).axis == 1
    ndd.meta["DISPAXIS"] = "along"
    with pytest.raises(ParameterError, match="DISPAXIS = 'along'"):
        spectrograph_of(None, ndd)


def test_cards_of_the_primary_header_and_of_the_extension_count(tmp_path):
    table = tmp_path / "split.toml"
    table.write_text(
        "schema = 1\n[descriptors]\ngrism = 'GRISM'\n"
        "[spectrograph]\nbinning = ['CCDSUM']\n"
        "[[spectrograph.setup]]\nwhere = { grism = 'g1' }\ndispersion = 2.0\n"
    )
    make_raw(
        tmp_path / "split.fits",
        {"DISPAXIS": 2, "GRISM": "g1"},
        [({"CCDSUM": "2 4"}, np.zeros((40, 10), "i2"))],
    )

    @run_task(prefix="g")
    def geometry_of(ndd, spectrograph: SpectrographTable = None):
        """Note the geometry."""
        found = spectrograph_of(spectrograph, ndd)
        result = ndd.copy()
        result.meta["FOUND"] = f"{found.axis} {found.binning} {found.dispersion}"
        return result

    raw = DataFile(tmp_path / "split.fits")
    with config.using(outdir=str(tmp_path), instrument=str(table)):
        first = geometry_of(raw)
        assert first[0].meta["FOUND"] == "0 (2, 4) 8.0"
        assert geometry_of(first)[0].meta["FOUND"] == "0 (2, 4) 8.0"
    assert spectrograph_of(None, raw[0]).axis == 0


def test_wrong_values_and_shapes_are_refused():
    with pytest.raises(ParameterError, match="spectrograph: there is no key 'axis'"):
        spectrograph_of({"axis": 1}, NDLater(data=np.zeros((4, 6))))
    with pytest.raises(ShapeError, match="images of two axes"):
        spectrograph_of(None, NDLater(data=np.zeros(4)))


def test_steps_get_the_table_and_a_call_replaces_single_keys(tmp_path):
    seen = []

    @run_task(prefix="t")
    def look(ndd: NDLater, *, spectrograph: SpectrographTable = None) -> NDLater:
        seen.append(spectrograph)
        return ndd

    df = DataFile(tmp_path / "raw.fits", mode="new")
    df.meta["VERSION"], df.meta["GRISM_N"] = "kastb", "600/4310"
    df.append(NDLater(data=np.ones((3, 4), np.float32)))
    df.save()
    look(df, outdir=tmp_path, reprocess="auto")
    assert seen[-1]["dispersion"] == 1.02
    made = look(df, outdir=tmp_path, spectrograph={"dispersion": 2.0}, reprocess="auto")
    assert seen[-1]["dispersion"] == 2.0
    assert seen[-1]["dispersion_axis"] == "x"
    # What the table gave is in the record, and so in the key.
    assert made.record[-1]["parameters"]["spectrograph"]["pixel_scale"] == 0.43
