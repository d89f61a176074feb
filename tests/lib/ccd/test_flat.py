import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.ccd import apply_flat, make_flat

FLAT = make_flat.func


def lamps(levels=(1000.0, 1020.0, 990.0), shape=(40, 50), n_ext=1, ratio=1.0):
    """Make files of flats whose lamp changes, with pixels that differ by 2 per cent."""
    rng = np.random.default_rng(41)
    pixels = [rng.normal(ratio**k, 0.02, shape) for k in range(n_ext)]
    files = []
    for level in levels:
        ndds = []
        for number, response in enumerate(pixels, start=1):
            counts = rng.poisson(level * response).astype("f4")
            ndds.append(NDLater(counts, variance=counts, unit="electron", ident=number))
        files.append(DataFile(data=ndds))
    return DataFileList(data=files), pixels


def test_make_flat_plain_has_pulls_of_width_one():
    files, (pixels,) = lamps(shape=(200, 200))
    (flat,) = FLAT(files, normalise="plain")
    pulls = (flat.data - pixels / np.median(pixels)) / np.sqrt(flat.variance)
    # 40000 pixels: 0.35 per cent. The variance follows the counts of each pixel, which
    # matters by 0.1 per cent at 3000 electrons; the scaling by less.
    assert pulls.std() == pytest.approx(1, abs=0.015)


def test_make_flat_scales_frames_of_a_drifting_lamp():
    files, _ = lamps(levels=(1000.0, 2000.0))
    (flat,) = FLAT(files, normalise="plain")
    # The median ratio of 2000 pixels of 4 per cent noise: 0.1 per cent.
    assert flat.meta["FSCALE2"] == pytest.approx(0.5, rel=0.01)


def test_make_flat_plain_keeps_the_ratio_of_extensions():
    files, _ = lamps(n_ext=2, ratio=1.2)
    first, second = FLAT(files, normalise="plain")
    ratio = np.median(second.data) / np.median(first.data)
    assert ratio == pytest.approx(1.2, rel=0.01)


def test_make_flat_has_no_unit():
    files, _ = lamps()
    assert FLAT(files, normalise="plain")[0].unit is None


def saturated(df, share):
    """Flag a share of the rows, whose counts are those of the saturation."""
    rows = int(share * df[0].shape[0])
    df[0].data[:rows] = 65535
    df[0].flags = np.zeros(df[0].shape, "u2")
    df[0].flags[:rows] = Flag.SATURATED


@pytest.mark.parametrize("normalise", ["plain", "spectral"])
def test_make_flat_names_a_saturated_first_frame(normalise):
    files, _ = lamps()
    for number, df in enumerate(files):
        df.filename = f"lamp{number}.fits"
    saturated(files[0], 1)
    first = r"lamp0.fits, the first of 3 flats.*100% of its pixels .* SATURATED"
    with pytest.raises(ParameterError, match=first):
        FLAT(files, normalise=normalise)
    with pytest.raises(
        ParameterError, match=r"lamp0.fits has no light where lamp1.*SAT"
    ):
        FLAT(DataFileList(data=[*files[1:], files[0]]), normalise=normalise)
    assert FLAT(files, normalise="plain", scale=False)[0].flags.max() == 0
    with pytest.raises(ParameterError, match=r"lit \(100% .*SATURATED"):
        FLAT(files[:1])
    with pytest.raises(ParameterError, match="no good pixel"):
        FLAT(files[:1], normalise="plain")


def test_make_flat_scales_by_what_is_not_saturated():
    files, _ = lamps(levels=(1000.0, 2000.0))
    saturated(files[1], 0.7)
    (flat,) = FLAT(files, normalise="plain")
    assert flat.meta["FSCALE2"] == pytest.approx(0.5, rel=0.01)


def test_make_flat_dead_pixel_is_flagged_and_harmless():
    files, _ = lamps()
    for df in files:
        df[0].data[3, 4] = 5
    (flat,) = FLAT(files, normalise="plain")
    assert (flat.flags[3, 4], flat.data[3, 4]) == (Flag.BAD, 1)


def test_make_flat_spectral_flags_what_is_beside_the_slit():
    rng = np.random.default_rng(42)
    light = np.where(abs(np.arange(80) - 40) < 25, 5000.0, 5.0)[:, None]
    ndds = [
        NDLater(c, variance=c, ident=1)
        for c in (rng.poisson(light * np.ones((1, 300))).astype("f4") for _ in "123")
    ]
    files = DataFileList(data=[DataFile(data=[ndd]) for ndd in ndds])
    (flat,) = FLAT(files)
    assert (flat.flags[:10] == Flag.UNILLUMINATED).all()
    assert not flat.flags[25:55].any()


def test_make_flat_cosmic_ray_in_one_frame_is_clipped():
    files, (pixels,) = lamps()
    files[1][0].data[7, 8] += 20000
    files[1][0].variance[7, 8] += 20000
    (flat,) = FLAT(files, normalise="plain")
    assert flat.data[7, 8] == pytest.approx(pixels[7, 8], abs=0.15)


@pytest.mark.parametrize("level", [0.0, -5.0])
def test_make_flat_without_light_raises(level):
    frame = NDLater(np.full((20, 20), level, "f4"), ident=1)
    files = DataFileList(data=[DataFile(data=[frame]), DataFile(data=[frame])])
    with pytest.raises(ParameterError, match="light"):
        FLAT(files, normalise="plain")


def test_apply_flat_has_pulls_of_width_one():
    rng = np.random.default_rng(43)
    pixels = rng.normal(1, 0.1, (200, 200))
    sigma = 0.05
    measured = pixels + rng.normal(0, sigma, pixels.shape)
    flat = NDLater(measured, variance=np.full(pixels.shape, sigma**2))
    counts = rng.poisson(10000 * pixels).astype(float)
    result = apply_flat(NDLater(counts, variance=counts, unit="electron"), flat=flat)
    pulls = (result.data - 10000) / np.sqrt(result.variance)
    # 40000 pixels: 0.35 per cent; a quotient by a number of 5 per cent noise is not
    # quite normal, which widens by 1.5 sigma**2 x 5 or 2 per cent.
    assert pulls.std() == pytest.approx(1, abs=0.04)


def test_apply_flat_joins_the_flags():
    flags = np.zeros((2, 2), "u2")
    flags[0, 0] = Flag.UNILLUMINATED
    flat = NDLater(np.ones((2, 2)), flags=flags)
    ndd = NDLater(np.ones((2, 2)), flags=np.full((2, 2), Flag.SATURATED, "u2"))
    assert apply_flat(ndd, flat=flat).flags.tolist() == [[68, 4], [4, 4]]


@pytest.mark.parametrize(
    ("frame", "flat"), [(False, True), (True, True), (False, False)]
)
def test_apply_flat_says_where_the_variance_is_that_of_the_flat_alone(
    frame, flat, caplog
):
    image = np.full((4, 5), 100.0)
    ndd = NDLater(image, variance=image if frame else None)
    lamp = np.ones((4, 5))
    result = apply_flat(ndd, flat=NDLater(lamp, variance=lamp / 99 if flat else None))
    assert (result.variance is None) == (not frame and not flat)
    assert ("variance of the flat alone" in caplog.text) == (flat and not frame)


def test_apply_flat_of_none_changes_nothing():
    ndd = NDLater(np.arange(4.0))
    np.testing.assert_array_equal(apply_flat(ndd, flat=None).data, ndd.data)


def test_make_flat_frame_without_light_where_another_has_raises():
    files, _ = lamps(levels=(1000.0, 1000.0))
    files[1][0].data[:] = -3
    with pytest.raises(ParameterError, match="has no light where"):
        FLAT(files, normalise="plain")
