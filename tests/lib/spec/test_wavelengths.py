"""Wavelengths of the pixels of a slit, by an arc."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.table import Table
from matplotlib import rcParams
from matplotlib.backend_bases import KeyEvent, MouseEvent
from shared_arcs import gaussians, noisy

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import MissingFileError, ParameterError, StepError
from ndmapper.lib import ccd
from ndmapper.lib.spec import find_line_list, make_wavelengths
from ndmapper.lib.spec.axis import medium_of
from ndmapper.lib.spec.line_lists import join_lists, known_lists
from ndmapper.numerics.air import air_to_vacuum
from ndmapper.plot import line_picker

NY, NX = 60, 1024
MIDDLE = 29
LINES = ["Hg", "He", "Ne"]
STATED = {"wavelength_range": [5650.0, 7250.0], "dispersion": 1.75}


def curve(x):
    u = 2 * x / (NX - 1) - 1
    return 6500 + 780 * u + 12 * u**2 - 3 * u**3


@pytest.fixture(scope="module")
def slit():
    """Draw an arc whose lines are tilted by 3 pixels and curved by 1."""
    rng = np.random.default_rng(21)
    known = join_lists(LINES, "air").wavelengths
    grid = np.linspace(-60, NX + 60, 20001)
    known = known[(known > curve(-55)) & (known < curve(NX + 55))]
    places = np.interp(known, curve(grid), grid)
    peaks = np.exp(rng.normal(8, 0.8, len(known)))
    y = np.arange(NY)[:, None]
    v = 2 * y / (NY - 1) - 1
    moved = 1.5 * v + 0.5 * v**2
    rows = [gaussians(NX, places + m, peaks, 3.2) + 20 for m in moved[:, 0]]
    data, variance = noisy(np.array(rows), rng)
    truth = curve(np.arange(NX) - moved)
    return SimpleNamespace(data=data, variance=variance, truth=truth)


def write_arc(slit, name="arc.fits", *, axis="x", wavelength="rises"):
    arrays = [slit.data.astype("f4"), slit.variance.astype("f4")]
    if wavelength == "falls":
        arrays = [a[:, ::-1] for a in arrays]
    if axis == "y":
        arrays = [a.T for a in arrays]
    data, variance = (np.ascontiguousarray(a) for a in arrays)
    ndd = NDLater(data, variance=variance, unit="electron")
    DataFile(name, data=[ndd], mode="new").save()
    return name


def solve(name, **words):
    stated = STATED | words.pop("spectrograph", {})
    return make_wavelengths(name, **{"lines": LINES} | words, spectrograph=stated)


@pytest.mark.parametrize(("axis", "wavelength"), [("x", "rises"), ("y", "falls")])
def test_wavelength_of_each_pixel(folder, slit, axis, wavelength):
    given = {"dispersion_axis": axis, "wavelength": wavelength}
    done = solve(write_arc(slit, axis=axis, wavelength=wavelength), spectrograph=given)
    truth = slit.truth[:, ::-1] if wavelength == "falls" else slit.truth
    truth = truth if axis == "x" else truth.T
    found = done[0]
    assert found.shape == truth.shape
    assert found.data.dtype == np.float64
    good = np.asarray(found.flags) == 0
    assert good.mean() > 0.85
    off = (found.data - truth)[good] / 1.52
    assert np.sqrt(np.mean(off**2)) < 0.03
    pull = off / (np.sqrt(found.variance[good]) / 1.52)
    assert np.sqrt(np.mean(pull**2)) < 1.6  # neighbouring pixels have the same error
    assert str(found.unit) == "Angstrom"
    assert found.meta["WAVETYPE"] == "AWAV"
    assert medium_of(found) == "air"


def test_numbers_and_the_table_of_lines(folder, slit):
    done = solve(write_arc(slit), slit_order=0)
    numbers = done.record[-1]["qc"]
    table = done[0].tables["ARCLINES"]
    assert numbers["lines[1]"] == table["clear"].sum() >= 20
    assert numbers["rms[1]"]["value"] < 0.03
    assert numbers["loo[1]"]["value"] < 0.05
    used = np.asarray(table["used"])
    assert set(np.asarray(table["why_not"])[~used]) <= {
        "blend", "outlier", "not in the list", "wide", "narrow", "not fitted",
    }  # fmt: skip
    assert np.abs(np.asarray(table["residual"])[used]).max() < 1
    # Nothing follows the lines: all rows are alike.
    assert np.ptp(done[0].data[:, 500]) == 0


def test_vacuum_and_a_list_of_the_user(folder, slit):
    known = join_lists(LINES, "vacuum").wavelengths
    own = Table({"wavelength": known}, meta={"medium": "vacuum"})
    own.write("own.ecsv")
    name = write_arc(slit)
    done = solve(name, lines=[], line_list="own.ecsv", medium="vacuum", slit_order=0)
    assert done[0].meta["WAVETYPE"] == "WAVE"
    off = done[0].data[MIDDLE] - air_to_vacuum(slit.truth[MIDDLE])
    assert abs(np.median(off)) < 0.05
    Table({"wavelength": known}).write("silent.ecsv")
    with pytest.raises(ParameterError, match="does not tell whether its wavelengths"):
        solve(name, lines=[], line_list="silent.ecsv", out_names="other.fits")


def test_template_tells_where_to_look(folder, slit):
    wave = curve(np.arange(-100.0, NX - 40))
    flux = np.interp(np.arange(-100, NX - 40), np.arange(NX), slit.data[30])
    Table({"wave": wave, "flux": flux}).write("template.ecsv")
    done = make_wavelengths(
        write_arc(slit), lines=LINES, template="template.ecsv", slit_order=0
    )
    off = done[0].data[MIDDLE] - slit.truth[MIDDLE]
    assert abs(np.median(off)) < 0.05


def test_what_cannot_be_solved_is_an_error_that_says_why(folder, slit, caplog):
    name = write_arc(slit)
    with pytest.raises(ParameterError, match=r"doubtful|no solution within the range"):
        solve(name, lines=["Kr", "Xe", "Cd"])
    figure = Path(".ndmapper/figures/arc_wave.fits-failed-1.png")
    assert figure.exists()
    assert str(figure) in caplog.text
    with pytest.raises(ParameterError, match="nothing tells about where the wavelen"):
        make_wavelengths(name, lines=LINES)
    with pytest.raises(ParameterError, match="nothing tells which lines the lamps"):
        make_wavelengths(name, spectrograph=STATED)
    with pytest.raises(ParameterError, match="there is no line list"):
        solve(name, lines=["Hgg"])
    with pytest.raises(ParameterError, match=r"give spectrograph=\{'wavelength': 'r"):
        solve(name, spectrograph={"wavelength": "falls"})


def test_bad_frames_are_errors(folder):
    rng = np.random.default_rng(3)
    noise = rng.normal(100, 5, (20, 300))
    ndd = NDLater(noise, variance=np.full(noise.shape, 25.0))
    DataFile("dark.fits", data=[ndd], mode="new").save()
    with pytest.raises(ParameterError, match="no line has a peak of more than 10"):
        solve("dark.fits")
    assert Path(".ndmapper/figures/dark_wave.fits-failed-1.png").exists()
    ndd = NDLater(noise, flags=np.full(noise.shape, Flag.SATURATED, np.uint16))
    DataFile("burnt.fits", data=[ndd], mode="new").save()
    with pytest.raises(ParameterError, match=r"no pixel of .* is good"):
        solve("burnt.fits")


def test_solution_beyond_the_range_is_told(folder, slit):
    stated = {"wavelength_range": [4900.0, 8000.0], "dispersion": 3.1}
    with pytest.raises(ParameterError, match=r"With 6500 .* and 1\.52 .*which is sure"):
        solve(write_arc(slit), spectrograph=stated)


def test_saturated_lines_without_flags_are_told_and_not_used(folder, slit, caplog):
    many = SimpleNamespace(data=np.minimum(10 * slit.data, 6e4))
    many.variance = 100 * slit.variance
    table = solve(write_arc(many), slit_order=0)[0].tables["ARCLINES"]
    assert "lines have flat tops" in caplog.text
    peaks = slit.data[MIDDLE][np.rint(table["pixel"]).astype(int)]
    used = np.asarray(table["used"])
    assert used.sum() >= 6
    assert np.max(10 * peaks[used]) < 6e4


def test_several_slits_are_refused(folder, slit):
    lit = (np.arange(NY) % 12 < 8)[:, None]
    many = SimpleNamespace(data=np.where(lit, slit.data, 20), variance=slit.variance)
    with pytest.raises(ParameterError, match="5 strips of light lie beside each other"):
        solve(write_arc(many))
    # One of them, by its rows.
    one = {"slit": [25, 32]}
    done = solve(write_arc(many, "one.fits"), slit_order=0, spectrograph=one)
    assert done.record[-1]["qc"]["lines[1]"] >= 20


def test_line_list_of_a_folder(folder, slit):
    Path("lists").mkdir()
    known = join_lists(LINES, "air").wavelengths
    own = Table({"wavelength": known}, meta={"medium": "air"})
    own.write("lists/MyLamp.ecsv")
    found = find_line_list("mylamp", "lists")
    assert found == Path("lists/MyLamp.ecsv")
    done = solve(write_arc(slit), lines=[], line_list=str(found), slit_order=0)
    assert done.record[-1]["qc"]["lines[1]"] >= 20
    assert find_line_list("hg").name == "Hg.ecsv"
    with pytest.raises(ParameterError, match="no line list 'Neon' in lists; there are"):
        find_line_list("Neon", "lists")
    with pytest.raises(MissingFileError, match="is no folder"):
        find_line_list("Neon", "nowhere")


def test_lists_of_the_package():
    names = known_lists()
    assert {"He", "Ne", "Ar", "Hg", "CuAr", "ThAr", "HeNeAr", "sky"} <= set(names)
    for name in names:
        found = join_lists([name], "air").wavelengths
        assert np.all(np.diff(found) > 0)
        assert found[0] > 2900
        assert found[-1] < 12000
    both = join_lists(["HgCd"], "air").wavelengths
    np.testing.assert_array_equal(both, join_lists(["Hg", "Cd"], "air").wavelengths)
    hg = join_lists(["Hg"], "air").wavelengths
    assert np.abs(hg - 4046.565).min() < 2e-3  # of NIST, in air


# ---- on a plot


def press(figure, *keys):
    for key in keys:
        figure.canvas.callbacks.process(
            "key_press_event", KeyEvent("key_press_event", figure.canvas, key, 0, 0)
        )


def click(figure, pixel):
    axes = figure.axes[0]
    x, y = axes.transData.transform((pixel, axes.get_ylim()[1] / 2))
    figure.canvas.callbacks.process(
        "button_press_event", MouseEvent("button_press_event", figure.canvas, x, y, 1)
    )


def test_lines_identified_on_a_plot_are_kept_and_replayed(folder, slit, monkeypatch):
    table = solve(write_arc(slit), slit_order=0)[0].tables["ARCLINES"]
    clear = table[np.asarray(table["clear"])]
    six = clear[:: len(clear) // 6][:7]

    def user(figure):
        for pixel, wavelength in zip(six["pixel"], six["wavelength"], strict=True):
            click(figure, pixel)
            press(figure, *f"{wavelength:.3f}", "enter")
        click(figure, six["pixel"][0])
        press(figure, "d", *"5", "backspace", *f"{six['wavelength'][0]:.4f}", "enter")
        press(figure, "+", "-", "l", "+", "l", "q")

    monkeypatch.setattr(line_picker, "wait_for_user", user)
    monkeypatch.setitem(rcParams, "figure.dpi", 20)  # it is drawn often
    # Nothing is found where the call looks for it.
    wrong = {"centre_within": (4000.0, 4100.0), "out_names": "hand.fits"}
    done = solve("arc.fits", **wrong, interact=True, slit_order=0)
    assert done.record[-1]["qc"]["lines[1]"] > 15
    kept = done.record[-1]["decisions"]["lines[1]"]
    assert len(kept["lines"]) > 15
    first, last = (int(kept["lines"][i][0]) for i in (2, -3))
    off = (done[0].data[MIDDLE] - slit.truth[MIDDLE])[first:last]
    assert np.sqrt(np.mean(off**2)) < 0.15

    def nobody(figure):
        raise AssertionError("no one is to be asked")

    monkeypatch.setattr(line_picker, "wait_for_user", nobody)
    again = solve("arc.fits", **wrong, reprocess=True, slit_order=0)
    np.testing.assert_array_equal(again[0].data, done[0].data)


def test_identifying_without_a_display_is_an_error(folder, slit):
    with pytest.raises((ParameterError, StepError), match="there is no display"):
        solve(write_arc(slit), interact=True)


# ---- the real night


@pytest.mark.real_data
def test_kast(real_data, folder):
    raw = real_data / "kast_blue_longslit" / "b1.fits.gz"
    arc = ccd.correct_gain(ccd.add_variance(ccd.trim(ccd.subtract_overscan(raw))))
    done = make_wavelengths(arc)
    numbers = done.record[-1]["qc"]
    assert numbers["lines[1]"] >= 13
    assert numbers["rms[1]"]["value"] <= 0.06
    assert numbers["loo[1]"]["value"] <= 0.10
    # Lines are tilted by .4 to .5 pixel from row 40 to 314, by PypeIt's products, too.
    tilt = np.diff(done[0].data[[40, 314], 1000])[0] / 1.03
    assert 0.35 < abs(tilt) < 0.6
