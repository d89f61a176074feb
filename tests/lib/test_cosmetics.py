import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import MissingPackageError, ParameterError, ShapeError
from ndmapper.lib import cosmetics
from ndmapper.lib.cosmetics import add_bpm, clean_cosmic_rays, init_bpm, lacosmic_spec
from ndmapper.lib.simulate.camera import cosmic_rays


@pytest.fixture
def reference(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    groups = [NDLater(np.ones((120, 110), "f4"), unit="adu") for _ in range(2)]
    return DataFile("ref.fits", data=groups, mode="new")


def made(reference, regions, **options):
    reference.save()
    return init_bpm(
        DataFile("ref.fits"), regions=regions, filename="bpm.fits", **options
    )


def test_init_bpm_numpy_regions_are_set(reference):
    bpm = made(reference, [["100:110,50:60", ":,99"], []])
    expected = np.zeros((120, 110), int)
    expected[100:110, 50:60] = expected[:, 99] = 1
    np.testing.assert_array_equal(bpm[0].data, expected)
    assert not bpm[1].data.any()


def test_init_bpm_fits_regions_are_set(reference):
    bpm = made(reference, [["100,*"], ["50:60,100:110"]], convention="FITS", value=4)
    assert (bpm[0].data[:, 99] == 4).all()
    assert np.argwhere(bpm[1].data)[[0, -1]].tolist() == [[99, 49], [109, 59]]


def test_masks_by_position_as_published(reference):
    reference.save()
    regions = [["100,*"], []]
    bpm = init_bpm("ref.fits", regions, "fits", 4, "bpm.fits")
    assert str(bpm) == "bpm.fits"
    assert (bpm[0].data[:, 99] == 4).all()
    flagged = add_bpm("ref.fits", bpm)
    assert (flagged[0].flags[:, 99] == 4).all()
    with pytest.raises(ParameterError, match="by name"):
        add_bpm("ref.fits", bpm, bpm=bpm)
    with pytest.raises(ParameterError, match="by name"):
        init_bpm("ref.fits", regions, "fits", 4, "bpm2.fits", "auto")


def test_bitmask_says_which_pixels_are_left_alone():
    pytest.importorskip("astroscrappy")
    rng = np.random.default_rng(5)
    data = rng.normal(100, 3, (40, 50)).astype("f4")
    data[20, 25] = 5000
    flags = np.zeros((40, 50), "u2")
    flags[20, 25] = 4
    ndd = NDLater(data, variance=np.full((40, 50), 9, "f4"), flags=flags)
    found = {}
    for bitmask in (None, 0, 4, 8):
        cleaned = lacosmic_spec(ndd, x_order=0, y_order=0, bitmask=bitmask)
        found[bitmask] = bool(cleaned.flags[20, 25] & Flag.COSMIC_RAY)
        step = clean_cosmic_rays(
            ndd, x_order=0, y_order=0, bitmask=bitmask, sepmed=True
        )
        assert bool(step.flags[20, 25] & Flag.COSMIC_RAY) == found[bitmask]
    assert found == {None: False, 0: True, 4: False, 8: True}


def test_init_bpm_is_a_file_of_integers(reference):
    bpm = made(reference, [[], []])
    assert str(bpm) == "bpm.fits"
    assert bpm[0].dtype == np.uint16
    assert bpm[0].unit is None


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([["1,1"]], "has 2 extensions, but regions has 1 list;"),
        (["1,1", "2,2"], "Sequence of Sequence"),
        ([["121,1"], []], "is not in an image"),
        ([["1:200,1"], []], "is not in an image"),
        ([["1:2:3,1"], []], "convention"),
        ([["5"], []], "is not in an image"),
    ],
    ids=["number", "flat", "outside", "end", "malformed", "axes"],
)
def test_init_bpm_impossible_regions_raise(reference, regions, message):
    with pytest.raises(ParameterError, match=message):
        made(reference, regions)


def test_add_bpm_joins_the_bits():
    ndd = NDLater(np.ones((2, 2)), flags=np.array([[4, 0], [1, 0]], "u2"))
    bpm = NDLater(np.array([[1, 1], [1, 0]], "u2"))
    assert add_bpm(ndd, bpm=bpm).flags.tolist() == [[5, 1], [1, 0]]


def test_add_bpm_where_there_were_no_flags_makes_them():
    bpm = NDLater(np.array([[1, 0]], "u2"))
    assert add_bpm(NDLater(np.ones((1, 2))), bpm=bpm).flags.tolist() == [[1, 0]]


def test_add_bpm_of_another_shape_raises():
    with pytest.raises(ShapeError, match="the bad pixel mask has shape"):
        add_bpm(NDLater(np.ones((2, 2))), bpm=NDLater(np.ones((2, 3), "u2")))


def test_add_bpm_of_numbers_that_are_no_bits_raises():
    with pytest.raises(ParameterError, match="holds integers"):
        add_bpm(NDLater(np.ones((2, 2))), bpm=NDLater(np.ones((2, 2))))


def test_add_bpm_prefix_is_k(reference):
    bpm = made(reference, [["1,1"], []])
    result = add_bpm("ref.fits", bpm=bpm)
    assert str(result) == "kref.fits"
    assert result[0].flags[1, 1] == Flag.BAD


@pytest.fixture
def spectrum():
    """A star on sky with a hit in the sky and one on the star; and where they are."""
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    rng = np.random.default_rng(61)
    x, y = np.arange(300)[None, :], np.arange(70)[:, None]
    star = 20000 * np.exp(-0.5 * ((y - 30 + x / 80) / 2.0) ** 2)
    sky = 50 + 500 * np.exp(-0.5 * ((x - 150) / 1.5) ** 2)
    truth = star + sky
    data = rng.poisson(truth) + rng.normal(0, 4, truth.shape)
    hits = [(55, 40), (55, 41), (29, 200)]
    for row, column in hits:
        data[row, column] += 15000
    variance = np.maximum(data, 0) + 16
    ndd = NDLater(data.astype("f4"), variance=variance.astype("f4"), unit="electron")
    return ndd, truth, tuple(np.transpose(hits))


def test_clean_cosmic_rays_flags_the_hits_and_nothing_on_the_star(spectrum):
    ndd, _, hits = spectrum
    result = clean_cosmic_rays(ndd)
    found = (result.flags & Flag.COSMIC_RAY) != 0
    assert found[hits].all()
    found[hits] = False
    # Neighbours of a hit may go with it; nothing else on the ridge of the star.
    found[28:31, 198:203] = False
    assert not found[20:40].any()


def test_clean_cosmic_rays_variance_of_a_hit_is_that_of_a_mean(spectrum):
    ndd, truth, hits = spectrum
    result = clean_cosmic_rays(ndd)
    where = tuple(h[:2] for h in hits)  # those in the sky
    # 23 pixels of 25 are good.
    expected = (truth[where] + 16) / 23
    np.testing.assert_allclose(result.variance[where], expected, rtol=0.2)
    pulls = (result.data - truth)[where] / np.sqrt(result.variance[where])
    assert np.abs(pulls).max() < 5


@pytest.mark.parametrize("fwhm", [1.6, 2.5, 6.0])
def test_clean_cosmic_rays_by_default_leaves_stars_and_finds_hits(fwhm):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    from scipy.special import ndtr

    rng = np.random.default_rng(62)
    shape, width = (200, 200), fwhm / np.sqrt(8 * np.log(2))
    y, x = np.arange(200)[:, None], np.arange(200)
    sky = np.full(shape, 100.0)
    truth = sky.copy()
    for peak in (150, 3000, 50000):
        for row, column in rng.uniform(5, 195, (5, 2)):
            across = [
                ndtr((p - c + 0.5) / width) - ndtr((p - c - 0.5) / width)
                for p, c in ((y, row), (x, column))
            ]
            star = across[0] * across[1]
            truth += peak * star / star.max()
    charge = cosmic_rays(rng, shape, 60) / 3
    counts = rng.poisson(truth) + rng.normal(0, 5, shape)
    cleaned = {}
    for name, image in (("stars", counts), ("hit", counts + charge)):
        variance = np.maximum(image, 0) + 25
        ndd = NDLater(image.astype("f4"), variance=variance.astype("f4"))
        cleaned[name] = clean_cosmic_rays(ndd)
    assert np.sum((cleaned["stars"].flags & Flag.COSMIC_RAY) != 0) <= 1
    lost = np.sum(counts - cleaned["stars"].data) / np.sum(truth - sky)
    assert abs(lost) < 0.002
    found = (cleaned["hit"].flags & Flag.COSMIC_RAY) != 0
    # Some 200 pixels: a per cent is two of them.
    assert found[charge > 10 * np.sqrt(truth + 25)].mean() > (0.9 if fwhm < 2 else 0.95)
    assert np.sum(found & (charge == 0)) <= 4  # 1e-4
    alone = found & (truth < 103)
    pulls = (cleaned["hit"].data - truth)[alone] / np.sqrt(
        cleaned["hit"].variance[alone]
    )
    # Pixels of one track share what they are interpolated from: 40 values, 3 sigma.
    assert np.sqrt(np.mean(pulls**2)) == pytest.approx(1, abs=0.35)


def test_clean_cosmic_rays_of_a_spectrum_models_it_unless_told_otherwise(spectrum):
    ndd, _, _ = spectrum
    flags = {
        name: step(ndd, **words).flags
        for name, step, words in (
            ("default", clean_cosmic_rays, {}),
            ("published", lacosmic_spec, {}),
            ("image", clean_cosmic_rays, {"x_order": 0, "y_order": 0}),
        )
    }
    np.testing.assert_array_equal(flags["default"], flags["published"])
    assert not np.array_equal(flags["default"], flags["image"])


def standard(ny, nx, fwhm, move, peak):
    """A standard star with lines on a sky with lines, and hits on them [electron]."""
    from scipy.special import ndtr

    rng = np.random.default_rng(63)
    x, y = np.arange(nx)[None, :], np.arange(ny)[:, None]
    centre, width = ny / 2 + move * np.sin(2 * x / nx), fwhm / np.sqrt(8 * np.log(2))
    star = ndtr((y - centre + 0.5) / width) - ndtr((y - centre - 0.5) / width)
    for line in rng.uniform(0, nx, 12):
        star = star * (1 - 0.6 * np.exp(-0.5 * ((x - line) / 2.5) ** 2))
    star *= peak / star.max()
    sky = np.full((ny, nx), 50.0)
    for line in rng.uniform(0, nx, 20):
        sky += 1000 * np.exp(-0.5 * ((x - line - y / 40) / 1.3) ** 2)
    hits = cosmic_rays(rng, (ny, nx), ny * nx // 2500) / 3
    return sky, star, hits


@pytest.mark.parametrize(
    ("shape", "fwhm", "move", "peak"),
    [
        ((60, 800), 1.5, 4.0, 1e6),
        ((60, 800), 6.0, 4.0, 1e5),
    ],
)
@pytest.mark.parametrize("axis", [0, 1])
def test_clean_cosmic_rays_by_default_keeps_standards(shape, fwhm, move, peak, axis):
    sky, star, charge = standard(*shape, fwhm, move, peak)
    truth = sky + star
    rng = np.random.default_rng(64)
    counts = rng.poisson(truth) + rng.normal(0, 4, shape)
    cleaned, found = {}, {}
    for name, image in (("star", counts), ("hit", counts + charge)):
        pixels = image if axis else image.T
        ndd = NDLater(pixels, variance=np.maximum(pixels, 0) + 16)
        result = clean_cosmic_rays(ndd)
        data, flags = (
            array if axis else array.T for array in (result.data, result.flags)
        )
        cleaned[name], found[name] = data, (flags & Flag.COSMIC_RAY) != 0
    lit = star > 0.01 * star.max()
    lost = np.sum((counts - cleaned["star"])[lit]) / star.sum()
    assert abs(lost) < 0.002
    assert found["star"].mean() < 3e-4
    assert found["hit"][charge > 10 * np.sqrt(truth + 16)].mean() > 0.9
    left = (cleaned["hit"] - counts)[lit & (charge == 0)]
    assert abs(left.sum()) / star.sum() < 0.002


def test_hits_that_follow_a_trace_are_warned_of(caplog):
    sky, star, _ = standard(100, 600, 1.5, 25.0, 1e6)
    truth = sky + star
    counts = np.random.default_rng(65).poisson(truth).astype(float)
    ndd = NDLater(counts, variance=counts + 16)
    clean_cosmic_rays(ndd)
    assert "bright lines" not in caplog.text
    # Nine terms do not follow this trace.
    clean_cosmic_rays(ndd, x_order=9, y_order=3, sepmed=True)
    assert "on bright lines along the rows" in caplog.text


def test_legendre_models_of_dispersion_along_y_are_the_transpose(spectrum):
    ndd, _, _ = spectrum
    orders = {"x_order": 9, "y_order": 3}
    turned = NDLater(ndd.data.T.copy(), variance=ndd.variance.T.copy())
    expected = lacosmic_spec(ndd, **orders).flags
    found = lacosmic_spec(turned, **orders, dispersion_axis=0).flags
    np.testing.assert_array_equal(found.T, expected)
    told = turned.copy()
    told.meta["DISPAXIS"] = 2
    np.testing.assert_array_equal(lacosmic_spec(told, **orders).flags.T, expected)
    table = {"dispersion_axis": "y"}
    step = clean_cosmic_rays(turned, **orders, sepmed=True, spectrograph=table)
    np.testing.assert_array_equal(step.flags.T, expected)


def test_clean_cosmic_rays_elsewhere_changes_nothing(spectrum):
    ndd, _, _ = spectrum
    result = clean_cosmic_rays(ndd)
    rest = result.flags == 0
    np.testing.assert_array_equal(result.data[rest], ndd.data[rest])
    np.testing.assert_array_equal(result.variance[rest], ndd.variance[rest])


def test_clean_cosmic_rays_leaves_its_input(spectrum):
    ndd, _, _ = spectrum
    before = ndd.data.copy()
    clean_cosmic_rays(ndd)
    np.testing.assert_array_equal(ndd.data, before)


def test_clean_cosmic_rays_flagged_pixels_are_not_searched(spectrum):
    ndd, _, hits = spectrum
    flags = np.zeros(ndd.shape, "u2")
    flags[hits] = Flag.SATURATED
    result = clean_cosmic_rays(ndd.replace(flags=flags))
    assert (result.flags[hits] == Flag.SATURATED).all()


def test_lacosmic_spec_without_variance_uses_gain_and_read_noise(spectrum):
    ndd, _, hits = spectrum
    bare = ndd.replace(variance=None)
    bare.meta.update(AMPSEC1="[1:300,1:70]", GAIN1=1.0, RDNOISE1=4.0)
    result = lacosmic_spec(bare)
    assert (result.flags[hits] == Flag.COSMIC_RAY).all()
    assert result.variance is None


def test_lacosmic_spec_of_a_cube_raises():
    with pytest.raises(ShapeError, match="3 axes"):
        lacosmic_spec(NDLater(np.ones((2, 3, 4))))


def test_lacosmic_spec_without_astroscrappy_says_what_to_install(spectrum, monkeypatch):
    def missing(*args, **options):
        msg = "No module named 'astroscrappy'"
        raise ImportError(msg)

    monkeypatch.setattr(cosmetics, "find_cosmic_rays", missing)
    with pytest.raises(MissingPackageError, match=r"ndmapper\[ccd\]"):
        lacosmic_spec(spectrum[0], x_order=9)


def test_add_bpm_of_none_changes_nothing():
    ndd = NDLater(np.ones((2, 2)), flags=np.ones((2, 2), "u2"))
    assert (add_bpm(ndd, bpm=None).flags == 1).all()


def test_add_bpm_of_high_bits_keeps_them():
    bits = np.array([[1 << 20, 1]], np.int32)
    ndd = NDLater(np.zeros((1, 2)), flags=np.array([[4, 0]], "u2"))
    flags = add_bpm(ndd, bpm=NDLater(bits)).flags
    assert (flags.dtype, flags.tolist()) == (np.uint32, [[(1 << 20) | 4, 1]])


def test_add_bpm_to_wider_flags_keeps_theirs():
    ndd = NDLater(np.zeros((1, 1)), flags=np.array([[1 << 30]], "u4"))
    flags = add_bpm(ndd, bpm=NDLater(np.ones((1, 1), "u2"))).flags
    assert (flags.dtype, flags.tolist()) == (np.uint32, [[(1 << 30) | 1]])


def test_add_bpm_of_truth_values_makes_flags_of_16_bits():
    flags = add_bpm(NDLater(np.zeros((1, 2))), bpm=NDLater(np.array([[True, False]])))
    assert (flags.flags.dtype, flags.flags.tolist()) == (np.uint16, [[1, 0]])


def test_init_bpm_of_a_high_bit_has_32_bits(reference):
    bpm = made(reference, [["3,4"], []], value=1 << 20)
    assert bpm[0].dtype == np.uint32
    assert np.argwhere(bpm[0].data == 1 << 20).tolist() == [[3, 4]]
