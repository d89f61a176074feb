"""The step that extracts spectra: layout, flags and wavelengths of its products."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater, PlainFile
from ndmapper.errors import ParameterError
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spec import (
    extract_spectra,
    rectify_wavelength,
    trace_spectra,
    wavelengths_of,
)

SOURCES = [
    SlitSource(row=25, flux=6000),
    SlitSource(row=55, flux=lambda w: 3000 + 2 * (w - 4400)),
    SlitSource(row=76, flux=800),
]
GAP = slice(100, 110)


def night(folder, *, sky=0.0, change=None, **words):
    """Write a frame and its wavelengths; give also the spectrograph and the truth."""
    slit = SlitSpectrograph(
        shape=(90, 240), trace_shift=5, tilt=2, nonlinearity=15, gap=(100, 110), **words
    )
    scene = slit.science(SOURCES, fwhm=(4, 5), sky=sky)
    ndd = slit.observe(scene.light, seed=2)
    if change is not None:
        change(ndd)
    frame = DataFile(folder / "f.fits", data=[ndd], mode="new")
    frame.meta["OBJECT"] = "star"
    frame.save()
    image = NDLater(slit.wavelengths(), unit="Angstrom")
    image.meta["WAVETYPE"] = "AWAV"
    waves = DataFile(folder / "w.fits", data=[image], mode="new")
    waves.save()
    return frame, waves, slit, scene


def extracted(frame, slit, **words):
    given = {"spectrograph": slit.table, "outdir": frame.filename.dir} | words
    return extract_spectra(frame, reprocess=True, **given)


@pytest.mark.parametrize(
    ("axis", "wavelength", "method"),
    [("x", "rises", "boxcar"), ("x", "falls", "optimal"), ("y", "falls", "boxcar")],
)
def test_each_object_is_an_extension(tmp_path, axis, wavelength, method):
    words = {"dispersion_axis": axis, "wavelength": wavelength}
    frame, waves, slit, scene = night(tmp_path, **words)
    trace = trace_spectra(frame, spectrograph=slit.table, outdir=tmp_path)
    product = extracted(frame, slit, trace=trace, wavelengths=waves, method=method)
    assert product.filename.name == "ef.fits"
    assert product.idents == [1, 2, 3]
    assert product.meta["OBJECT"] == "star"
    for n, ndd in enumerate(product):
        assert ndd.shape == (240,)
        assert ndd.unit == "electron"
        assert ndd.meta["OBJNUM"] == n + 1
        assert ndd.meta["SLITPOS"] == pytest.approx(scene.traces[n, 120] + 1, abs=0.1)
        assert "DISPAXIS" not in ndd.meta
        gap = np.zeros(240, np.bool_)
        gap[GAP] = True
        assert np.array_equal(np.asarray(ndd.flags) == Flag.NO_DATA, gap)
        assert np.isnan(ndd.data[gap]).all()
        pulls = (ndd.data - scene.spectra[n])[~gap] / np.sqrt(ndd.variance[~gap])
        # 230 columns tell a width to 5 percent, a mean to .07.
        assert np.std(pulls) == pytest.approx(1, abs=0.2)
        # The aperture of a boxcar leaves .0004 of the light out: .05 of its error.
        assert abs(np.mean(pulls)) < 0.3
        axis_of = wavelengths_of(ndd)
        assert axis_of.medium == "air"
        # The trace is right to .03 pixel, and lines shift by 2 pixels in 90.
        np.testing.assert_allclose(axis_of.values, scene.wavelengths[n], atol=0.02)
    quality = product.record[-1]["qc"]
    # Read noise of 4 electrons counts little beside 6000 photons.
    assert quality["snr_1"] == pytest.approx(np.sqrt(6000), rel=0.1)
    assert quality["residual_over_noise_1"] == pytest.approx(1, abs=0.05)
    assert len(list((tmp_path / ".ndmapper" / "figures").iterdir())) >= 3


def test_traces_are_found_where_none_are_given_and_wavelengths_are_a_choice(tmp_path):
    frame, _, slit, _ = night(tmp_path)
    product = extracted(frame, slit)
    assert len(product) == 3
    with pytest.raises(ParameterError, match="has no wavelengths"):
        wavelengths_of(product[0])


def test_rectified_frames_have_their_wavelengths(tmp_path):
    frame, waves, slit, _ = night(tmp_path, dispersion_axis="y", wavelength="falls")
    words = {"spectrograph": slit.table, "outdir": tmp_path}
    straight = rectify_wavelength(frame, wavelengths=waves, **words)
    traces = trace_spectra(straight, objects=1, **words)
    (spectrum,) = extracted(straight, slit, trace=traces)
    axis = wavelengths_of(spectrum)
    assert axis.medium == "air"
    assert np.ptp(np.diff(axis.values)) < 1e-6
    # 15 Angstrom off linear at most, by which pixels are wider or narrower.
    assert axis.values[[0, -1]] == pytest.approx(slit.wavelength_range, abs=10)
    good = np.asarray(spectrum.flags) == 0
    assert np.median(spectrum.data[good]) == pytest.approx(6000, rel=0.03)


def test_background_beside_the_objects_is_subtracted(tmp_path):
    frame, _, slit, scene = night(tmp_path, sky=200.0)
    product = extracted(frame, slit, background="linear")
    for n, ndd in enumerate(product):
        good = np.isfinite(ndd.data)
        pulls = (ndd.data - scene.spectra[n])[good] / np.sqrt(ndd.variance[good])
        assert np.std(pulls) == pytest.approx(1, abs=0.2)
        assert abs(np.mean(pulls)) < 0.3
    words = {"spectrograph": slit.table, "outdir": tmp_path}
    words["trace"] = trace_spectra(frame, objects=1, **words)
    words["background"] = "constant"
    far = extracted(frame, slit, windows=[(-20, -14)], **words)
    assert np.nanmedian(far[0].data) == pytest.approx(6000, rel=0.02)
    with pytest.raises(ParameterError, match="too few pixels for the background of"):
        extracted(frame, slit, windows=[(300, 310)], **words)


def test_flags_of_pixels_are_those_of_the_columns_that_use_them(tmp_path):
    def change(ndd):
        flags = np.zeros(ndd.shape, np.uint16)
        flags[22, 50] = int(Flag.BAD)  # one pixel of the core
        flags[20:30, 60] = int(Flag.SATURATED)  # all of it
        ndd.flags = flags
        ndd.data[22, 50] = 1e6

    frame, _, slit, scene = night(tmp_path, change=change)
    for method in ("optimal", "boxcar"):
        first = extracted(frame, slit, method=method)[0]
        assert first.flags[50] == 0
        assert first.data[50] == pytest.approx(
            scene.spectra[0, 50], abs=4.5 * float(np.sqrt(first.variance[50]))
        )
        assert first.flags[60] & Flag.SATURATED
        assert first.flags[60] & (Flag.BAD | Flag.NO_DATA)
        assert first.flags[61] == 0


def test_errors_name_what_is_wrong(tmp_path):
    frame, waves, slit, _ = night(tmp_path)
    trace = trace_spectra(frame, spectrograph=slit.table, outdir=tmp_path)
    waves[0].meta["WAVETYPE"] = "FREQ"
    with pytest.raises(ParameterError, match=r"in vacuum or in air: WAVETYPE is FREQ"):
        extracted(frame, slit, trace=trace, wavelengths=waves)
    table = trace.table()
    table["trace"][0][0] = 200
    table.write(tmp_path / "off.ecsv")
    with pytest.raises(ParameterError, match=r"object 1 is off the slit .* 0 to 89"):
        extracted(frame, slit, trace=PlainFile(tmp_path / "off.ecsv"))
    small = DataFile(tmp_path / "small.fits", data=[waves[0][:50]], mode="new")
    small.save()
    with pytest.raises(Exception, match="wavelengths has shape"):
        extracted(frame, slit, trace=trace, wavelengths=small)


def test_traces_are_taken_as_product_file_or_table(tmp_path):
    frame, _, slit, _ = night(tmp_path)
    trace = trace_spectra(frame, spectrograph=slit.table, outdir=tmp_path)
    forms = [trace, trace.filename, str(trace), trace.table()]
    made = [np.array(extracted(frame, slit, trace=one)[0].data) for one in forms]
    for other in made[1:]:
        np.testing.assert_array_equal(other, made[0])


def test_columns_at_the_end_of_the_slit_are_flagged_and_told(tmp_path, caplog):
    slit = SlitSpectrograph(shape=(60, 200), trace_shift=8, slit=(10, 60))
    scene = slit.science([SlitSource(row=13.5, flux=6000)], fwhm=4.0)
    frame = DataFile(
        tmp_path / "f.fits", data=[slit.observe(scene.light, seed=1)], mode="new"
    )
    frame.save()
    trace = trace_spectra(frame, spectrograph=slit.table, outdir=tmp_path)
    (one,) = extracted(frame, slit, trace=trace)
    cut = scene.traces[0] - 2 < 9.5
    flagged = np.asarray(one.flags) != 0
    # But for columns within .1 pixel of that.
    assert np.count_nonzero(flagged != cut) < 6
    assert 0.1 < cut.mean() < 0.9
    assert "at the end of the slit of" in caplog.text
    pulls = (one.data - scene.spectra[0])[~flagged] / np.sqrt(one.variance[~flagged])
    assert abs(np.mean(pulls)) < 0.4
    assert np.mean(one.data[~flagged]) == pytest.approx(6000, rel=0.01)


@pytest.mark.parametrize("method", ["optimal", "boxcar"])
def test_objects_in_each_others_light(tmp_path, method):
    slit = SlitSpectrograph(shape=(60, 300), trace_shift=4)
    sources = [SlitSource(row=26, flux=6000), SlitSource(row=32, flux=1800)]
    scene = slit.science(sources, fwhm=4.0, sky=10.0)
    ndd = slit.observe(scene.light, seed=1)
    ndd = ndd.replace(data=np.asarray(ndd.data) - 10)
    frame = DataFile(tmp_path / "f.fits", data=[ndd], mode="new")
    frame.save()
    product = extracted(frame, slit, method=method)
    assert len(product) == 2
    for one, truth in zip(product, scene.spectra, strict=True):
        assert not np.any(one.flags)
        # 300 columns: the mean is known to .1 and .25 percent, and light of the
        # neighbour is a percent in a column of the fainter one.
        assert np.mean(one.data) == pytest.approx(np.mean(truth), rel=0.01)
        pulls = (one.data - truth) / np.sqrt(one.variance)
        assert np.std(pulls) == pytest.approx(1, abs=0.15)
    table = trace_spectra(frame, spectrograph=slit.table, outdir=tmp_path).table()
    table["trace"][1] = table["trace"][0]
    with pytest.raises(ParameterError, match=r"nearer to another than 1.25 FWHM"):
        extracted(frame, slit, trace=table)
    table["trace"][1][1] += 20  # it crosses the other
    crossing = extracted(frame, slit, trace=table)[0]
    assert 0.3 < np.mean(np.asarray(crossing.flags) != 0) < 0.95


def test_columns_with_a_saturated_pixel_are_flagged(tmp_path):
    def change(ndd):
        flags = np.zeros(ndd.shape, np.uint16)
        flags[25, 60] = int(Flag.SATURATED)
        ndd.flags = flags

    frame, _, slit, _ = night(tmp_path, change=change)
    for method in ("optimal", "boxcar"):
        first = extracted(frame, slit, method=method)[0]
        assert first.flags[60] == Flag.SATURATED
        assert np.isfinite(first.data[60])
