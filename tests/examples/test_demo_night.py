"""The demonstration script against the truth of its simulated night."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag
from ndmapper.lib.simulate import simulate_night

pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
pytest.importorskip("matplotlib", reason="the extra plot is not installed")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def reduced_demo(tmp_path_factory, run_example):
    folder = tmp_path_factory.mktemp("demo")
    truth = simulate_night(folder / "raw")
    run_example("demo_night.py", "raw", folder=folder)
    return folder, truth


def mosaic(folder, name, part="data"):
    return np.hstack([getattr(ndd, part) for ndd in DataFile(folder / name)])


def hits_of(truth, name):
    """Pixels of a science frame that a ray changed by more than 5 times their noise."""
    charge, light = truth.charge[name], truth.image(name)
    return charge > 5 * np.sqrt(light + 36)


def test_demo_bias_is_the_structure_of_the_camera(reduced_demo):
    folder, truth = reduced_demo
    data, variance, flags = (
        mosaic(folder, "sim0001_bias.fits", part)
        for part in ("data", "variance", "flags")
    )
    pulls = (data - truth.camera.structure)[flags == 0] / np.sqrt(variance[flags == 0])
    # Rounding to whole adu adds 1/12 adu**2 to the 6 of the read noise, 0.7 per cent
    # of the width; the polynomial of the overscan is common to a row.
    assert pulls.std() == pytest.approx(1, abs=0.03)


def test_demo_flat_is_the_response_of_the_camera(reduced_demo):
    folder, truth = reduced_demo
    data, variance, flags = (
        mosaic(folder, "sim0006_flat.fits", part)
        for part in ("data", "variance", "flags")
    )
    good = flags == 0
    pulls = (data - truth.camera.response)[good] / np.sqrt(variance[good])
    # 130000 pixels: 0.2 per cent. Rounding adds 1/12 to 15000 adu: nothing.
    assert pulls.std() == pytest.approx(1, abs=0.02)
    assert np.median(data[good]) == pytest.approx(1, abs=0.001)


def test_demo_science_is_the_sky_with_pulls_of_width_one(reduced_demo):
    folder, truth = reduced_demo
    for name in truth.files["object"]:
        product = f"xfgvbkto{name}"
        data, variance, flags = (
            mosaic(folder, product, part) for part in ("data", "variance", "flags")
        )
        # Hits too faint to be found are no matter of the variance.
        good = (flags == 0) & (truth.charge[name] == 0)
        pulls = (data - truth.image(name))[good] / np.sqrt(variance[good])
        # 130000 pixels: 0.2 per cent. The variance follows each pixel's own counts,
        # about 220 electrons, which widens by 0.5 per cent; rounding by 0.2.
        assert pulls.std() == pytest.approx(1, abs=0.025)
        # That same bias shifts the mean by half a pull over sqrt(220).
        assert pulls.mean() == pytest.approx(0, abs=0.06)


def test_demo_cosmic_rays_are_found(reduced_demo):
    folder, truth = reduced_demo
    for name in truth.files["object"]:
        flags = mosaic(folder, f"xfgvbkto{name}", "flags")
        found = (flags & Flag.COSMIC_RAY) != 0
        other = (flags & ~np.uint16(Flag.COSMIC_RAY)) != 0
        hits = hits_of(truth, name) & ~other
        assert np.mean(found[hits]) > 0.95
        # Neighbours go with a hit; elsewhere at most 20 of 131072 pixels are wrong.
        near = np.zeros(hits.shape, bool)
        for row, column in np.argwhere(truth.charge[name] > 0):
            near[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = True
        assert np.sum(found & ~near) <= 20


def test_demo_stars_have_their_flux(reduced_demo):
    folder, truth = reduced_demo
    name = truth.files["object"][0]
    data, variance, flags = (
        mosaic(folder, f"xfgvbkto{name}", part)
        for part in ("data", "variance", "flags")
    )
    image = truth.image(name)
    checked = 0
    for star in truth.scene.stars:
        row, column = round(star.y), round(star.x)
        box = (slice(row - 5, row + 6), slice(column - 5, column + 6))
        if data[box].shape != (11, 11) or flags[box].any():
            continue
        error = np.sqrt(variance[box].sum())
        # The sum of the truth holds whatever neighbours there are.
        assert abs(data[box].sum() - image[box].sum()) < 5 * error
        checked += 1
    assert checked > 15


def test_demo_saturated_star_is_flagged(reduced_demo):
    folder, truth = reduced_demo
    name = truth.files["object"][0]
    star = max(truth.scene.stars, key=lambda s: s.flux)
    flags = mosaic(folder, f"xfgvbkto{name}", "flags")
    assert flags[round(star.y), round(star.x)] & Flag.SATURATED


def test_demo_bad_column_is_flagged(reduced_demo):
    folder, truth = reduced_demo
    flags = mosaic(folder, f"xfgvbkto{truth.files['object'][0]}", "flags")
    bad = (flags & Flag.BAD) != 0
    assert np.flatnonzero(bad.all(axis=0)).tolist() == [truth.camera.bad_column]


def test_demo_draws_a_picture(reduced_demo):
    folder, _ = reduced_demo
    assert (folder / "before_after.png").read_bytes().startswith(b"\x89PNG")


def test_demo_second_run_does_nothing_and_says_so(reduced_demo, run_example):
    folder, _ = reduced_demo
    result = run_example("demo_night.py", "raw", folder=folder)
    assert "nothing to do" in result.stdout + result.stderr
