import numpy as np
import pytest

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.errors import InstrumentError, ParameterError, UnitError
from ndmapper.instruments import load
from ndmapper.lib.ccd import (
    add_variance,
    apply_flat,
    correct_gain,
    make_flat,
    subtract_bias,
)

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
        FLAT(files[:1], normalise="spectral")
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


def test_make_flat_spectral_refuses_several_slits():
    light = np.where(np.arange(120) % 30 < 24, 5e3, 20.0)[:, None] * np.ones(200)
    data = np.random.default_rng(8).poisson(light).astype(float)
    ndd = NDLater(data, variance=np.maximum(data, 1.0), unit="electron")
    files = DataFileList(data=[DataFile(data=[ndd])])
    with pytest.raises(ParameterError, match="4 strips of light lie beside each other"):
        FLAT(files, normalise="spectral")


def test_make_flat_spectral_flags_what_is_beside_the_slit():
    rng = np.random.default_rng(42)
    light = np.where(abs(np.arange(80) - 40) < 25, 5000.0, 5.0)[:, None]
    ndds = [
        NDLater(c, variance=c, ident=1)
        for c in (rng.poisson(light * np.ones((1, 300))).astype("f4") for _ in "123")
    ]
    files = DataFileList(data=[DataFile(data=[ndd]) for ndd in ndds])
    (flat,) = FLAT(files, normalise="spectral")
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


def saved_lamps(folder, **cards):
    """Make files of two flats whose primary header has some cards."""
    files, _ = lamps(levels=(1000.0, 1020.0))
    paths = []
    for number, df in enumerate(files):
        df.meta.update(cards)
        paths.append(df.save(folder / f"lamp{number}.fits"))
    return DataFileList([str(folder / f"lamp{n}.fits") for n in range(2)])


def test_how_a_flat_is_normalised_has_to_be_known(tmp_path):
    files = saved_lamps(tmp_path)
    with config.using(outdir=str(tmp_path)):
        with pytest.raises(
            ParameterError, match=r"normalise='plain' .*steps.make_flat"
        ):
            make_flat(files, flat="flat.fits")
        made = make_flat(files, flat="flat.fits", normalise="plain")
    assert made[0].meta["FLATNORM"] == "plain"


@pytest.mark.parametrize(
    ("cards", "normalise"),
    [({"VERSION": "kastb"}, "spectral"), ({"INSTRUME": "SIMCAM"}, "plain")],
)
def test_how_a_flat_is_normalised_says_the_table_of_the_instrument(
    tmp_path, cards, normalise
):
    files = saved_lamps(tmp_path, **cards)
    words = {"slit_degree": 1, "slit_degree_along": 1, "knot_spacing": 20.0}
    with config.using(outdir=str(tmp_path)):
        made = make_flat(files, flat="flat.fits", **words)
        assert made[0].meta["FLATNORM"] == normalise
        assert made.record[-1]["parameters"]["normalise"] == normalise
        other = make_flat(files, flat="other.fits", normalise="plain")
    assert other[0].meta["FLATNORM"] == "plain"


def test_a_flat_is_stale_where_the_table_says_otherwise(tmp_path):
    files = saved_lamps(tmp_path)
    table = tmp_path / "mine.toml"
    words = {"slit_degree": 1, "slit_degree_along": 1, "knot_spacing": 20.0}

    def made():
        text = table.read_text()
        with config.using(outdir=str(tmp_path), instrument=str(table)):
            flat = make_flat(files, flat="flat.fits", reprocess="auto", **words)
        return text, flat[0].meta["FLATNORM"]

    for normalise in ("plain", "spectral"):
        table.write_text(f'schema = 1\n[steps.make_flat]\nnormalise = "{normalise}"\n')
        assert made()[1] == normalise
    table.write_text('schema = 1\n[steps.make_flat]\nnormalise = "plan"\n')
    with pytest.raises(ParameterError, match=r"mine.toml, steps.make_flat: normalise"):
        made()
    table.write_text('schema = 1\n[steps]\nmake_flat = "plain"\n')
    with pytest.raises(InstrumentError, match=r"steps.make_flat: expected a table"):
        made()


def test_parameters_of_a_table_may_depend_on_the_frame(tmp_path):
    files = saved_lamps(tmp_path)
    table = tmp_path / "mine.toml"
    table.write_text(
        "schema = 1\n[descriptors]\nshape = { fn = 'shape' }\n"
        "[[steps.make_flat]]\nnormalise = 'spectral'\n"
        "[[steps.make_flat]]\nwhere = { shape = '*x*' }\nnormalise = 'plain'\n"
        "[[steps.make_flat]]\nwhere = { shape = '1x1' }\nnormalise = 'spectral'\n"
    )
    with config.using(outdir=str(tmp_path), instrument=str(table)):
        flat = make_flat(files, flat="flat.fits")
    assert flat[0].meta["FLATNORM"] == "plain"
    table.write_text(
        "schema = 1\n[[steps.make_flat]]\nwhere = { shpe = 1 }\nnormalise = 'plain'\n"
    )
    with pytest.raises(InstrumentError, match=r"steps.make_flat.where.*'shpe'"):
        load(str(table))


def flat_of(detector, **words):
    """Make a flat of one frame of a detector with two amplifiers."""
    frame = subtract_bias(detector.trimmed(20000.0), bias=None)
    if words.pop("gains", True):
        frame = correct_gain(frame, **words)
    ndd = add_variance(frame)
    (flat,) = FLAT(
        DataFileList(data=[DataFile(data=[ndd])]), normalise="plain", scale=False
    )
    return flat


def test_flat_of_frames_of_another_unit_is_refused(detector):
    frame = subtract_bias(detector.trimmed(1000.0), bias=None)
    flats = {"adu": flat_of(detector, gains=False), "electron": flat_of(detector)}
    for unit, flat in flats.items():
        assert flat.meta["FLATUNIT"] == unit
    with pytest.raises(UnitError, match="in electron, but this frame is in adu"):
        apply_flat(frame, flat=flats["electron"])
    with pytest.raises(UnitError, match="in adu, but this frame is in electron"):
        apply_flat(correct_gain(frame), flat=flats["adu"])
    for image, unit in ((frame, "adu"), (correct_gain(frame), "electron")):
        result = apply_flat(add_variance(image), flat=flats[unit])
        halves = [np.median(result.data[part]) for part in detector.data]
        # 2400 pixels of 33 electrons: 0.7 electrons and 0.15 of the flat, of 1000.
        assert halves[0] / halves[1] == pytest.approx(1, abs=0.006)


def test_flat_of_other_relations_between_gains_is_refused(detector):
    frame = add_variance(correct_gain(subtract_bias(detector.trimmed(99), bias=None)))
    flat = flat_of(detector, gain=2.0)
    with pytest.raises(ParameterError, match=r"gains 2, 1.25 and 2, 2, which are not"):
        apply_flat(frame, flat=flat)
    assert flat.meta["GAINCOR2"] == 2


@pytest.mark.parametrize("kind", [None, "illumination"])
def test_flat_of_one_kind_is_applied_once(kind):
    flat = NDLater(np.full((4, 5), 1.25))
    if kind is not None:
        flat.meta["FLATKIND"] = kind
    key = "APPFLAT" if kind is None else "APPILLUM"
    once = apply_flat(NDLater(np.full((4, 5), 100.0)), flat=flat)
    assert once.meta[key] == 1
    with pytest.raises(ParameterError, match=rf"already \({key} = 1\); again=True"):
        apply_flat(once, flat=flat)
    twice = apply_flat(once, flat=flat, again=True)
    assert (twice.meta[key], twice.data[0, 0]) == (2, 64)
    # One of the other kind is another correction.
    other = NDLater(np.ones((4, 5)))
    other.meta["FLATKIND"] = "pixel flat" if kind else "illumination"
    assert apply_flat(once, flat=other).data[0, 0] == 80


def test_flat_of_a_kind_that_is_not_known_is_refused():
    flat = NDLater(np.ones((4, 5)))
    flat.meta["FLATKIND"] = "sky"
    with pytest.raises(ParameterError, match="FLATKIND = 'sky'"):
        apply_flat(NDLater(np.ones((4, 5))), flat=flat)


@pytest.mark.parametrize("value", ["yes", -1, True, 1.5])
def test_card_of_corrections_that_was_edited_is_named(value):
    ndd = NDLater(np.ones((4, 5)))
    ndd.meta["APPFLAT"] = value
    with pytest.raises(InstrumentError, match=r"APPFLAT = .* is no number"):
        apply_flat(ndd, flat=NDLater(np.ones((4, 5))))


def test_missing_bias_is_told(detector, caplog):
    frame = detector.trimmed(1000.0)
    flat = NDLater(np.ones(frame.shape))
    for step in (add_variance, lambda ndd: apply_flat(ndd, flat=flat)):
        master = NDLater(np.ones(frame.shape), unit="adu")
        for ndd, told in (
            (frame, True),
            (subtract_bias(frame, bias=None), False),
            (subtract_bias(frame, bias=master), False),
        ):
            step(ndd)
            assert ("no bias was subtracted from this frame" in caplog.text) == told
            caplog.clear()
    add_variance(frame, poisson=False)
    assert "no bias" not in caplog.text


@pytest.mark.parametrize("axis", [0, 1])
def test_make_flat_spectral_names_and_flags_where_the_lamp_is_no_help(axis, caplog):
    rng = np.random.default_rng(44)
    x = np.arange(400.0)
    lamp = 20000 / (1 + np.exp((x - 330) / 2)) * (1 + 3 * np.exp(-((x - 150) ** 2) / 8))
    light = np.where(np.abs(np.arange(60) - 30) < 20, 1.0, 0.0)[:, None] * lamp
    frames = []
    for _ in "123":
        counts = rng.poisson(light) + rng.normal(0, 4, light.shape)
        counts = counts if axis == 1 else counts.T
        frames.append(NDLater(counts, variance=np.maximum(counts, 0) + 16, ident=1))
    files = DataFileList(data=[DataFile(data=[ndd]) for ndd in frames])
    flags = {}
    words = {"spectrograph": {"dispersion_axis": "y"}} if axis == 0 else {}
    for structure in (True, False):
        (flat,) = FLAT(files, normalise="spectral", flag_structure=structure, **words)
        flags[structure] = (flat.flags if axis == 1 else flat.flags.T)[30]
    assert (flags[True][145:156] == Flag.BAD).all()
    assert not flags[True][30:130].any()
    assert not flags[True][180:300].any()
    assert (flags[True][360:] == Flag.UNILLUMINATED).all()
    assert not flags[False][145:156].any()
    along = "columns" if axis else "rows"
    assert f"flat[1]: in the {along} " in caplog.text
    assert "to 400 (counted from 1) the lamp has too little light" in caplog.text
    assert "the lamp has an edge, a line or fringes" in caplog.text


def slit_lamp(*, dispersion="x", slit=(12, 50), **words):
    """A lamp that fades along the dispersion, behind a slit; in electrons."""
    rng = np.random.default_rng(45)
    light = np.zeros((60, 300))
    light[slice(*slit)] = 20000 * np.exp(-np.arange(300) / 150)
    counts = rng.poisson(light) + rng.normal(0, 4, light.shape)
    counts = counts if dispersion == "x" else counts.T
    ndd = NDLater(counts, variance=np.maximum(counts, 0) + 16.0, ident=1)
    ndd.meta.update(words)
    return DataFileList(data=[DataFile("lamp.fits", data=[ndd])])


@pytest.mark.parametrize("slit", [(12, 50), (0, 60)], ids=["edges", "none"])
def test_make_flat_does_not_take_an_axis_that_the_light_contradicts(slit, caplog):
    right = FLAT(slit_lamp(slit=slit), normalise="spectral")
    assert "looks as if" not in caplog.text
    with pytest.raises(ParameterError, match=r"were along y, and nothing states"):
        FLAT(slit_lamp(dispersion="y", slit=slit), normalise="spectral")
    for words, given in (
        ({"DISPAXIS": 2}, {}),
        ({}, {"dispersion_axis": 0}),
        ({}, {"spectrograph": {"dispersion_axis": "y"}}),
    ):
        files = slit_lamp(dispersion="y", slit=slit, **words)
        (flat,) = FLAT(files, normalise="spectral", **given)
        np.testing.assert_allclose(flat.data.T, right[0].data, rtol=1e-5)
    assert "looks as if" not in caplog.text
    FLAT(
        slit_lamp(dispersion="y", slit=slit), normalise="spectral", dispersion_axis=1,
        threshold=0.0,
    )  # fmt: skip
    assert "were along y, and x is stated; is that right?" in caplog.text


@pytest.mark.parametrize("wavelength", ["rises", "falls"])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_make_flat_knows_slit_and_gaps_of_the_table(axis, wavelength):
    table = {
        "dispersion_axis": axis, "wavelength": wavelength, "slit": [21, 50],
        "gaps": [[101, 120]],
    }  # fmt: skip
    files = slit_lamp(dispersion=axis)
    (flat,) = FLAT(files, normalise="spectral", spectrograph=table)
    flags = flat.flags if axis == "x" else flat.flags.T
    dark = np.zeros((60, 300), bool)
    dark[:20] = dark[:, 100:120] = dark[50:] = True
    np.testing.assert_array_equal((flags & Flag.UNILLUMINATED) != 0, dark)
    assert not flags[~dark].any()


def test_a_frame_knows_whether_its_flat_has_the_light_of_the_slit():
    for keep, word in ((False, "divided out"), (True, "kept")):
        (flat,) = FLAT(slit_lamp(), normalise="spectral", keep_illumination=keep)
        assert flat.meta["FLATSLIT"] == word
        frame = NDLater(np.ones((60, 300)))
        assert apply_flat(frame, flat=flat).meta["FLATSLIT"] == word
