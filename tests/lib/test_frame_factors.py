"""Scales, offsets and weights of frames; frames that do not belong to the others."""

import logging

import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.combine import combine, make_bias

SHAPE = (100, 100)


def files_of(levels, noise=3.0, *, has_variance=True, **cards):
    rng = np.random.default_rng(23)
    files = []
    for number, level in enumerate(levels):
        data = level + rng.normal(0, noise, SHAPE)
        variance = np.full(SHAPE, noise**2) if has_variance else None
        df = DataFile(data=[NDLater(data, variance=variance, ident=1)])
        for keyword, values in cards.items():
            if values[number] is not None:
                df.meta[keyword] = values[number]
        files.append(df)
    return DataFileList(data=files)


def combined(files, **words):
    (result,) = combine.func(files, **words)
    return result


@pytest.mark.parametrize("scale", ["median", "mean", "EXPTIME", [1, 0.5, 0.25]])
def test_scale_brings_frames_to_the_first(scale):
    files = files_of([100, 200, 400], EXPTIME=[10.0, 20.0, 40.0])
    result = combined(files, scale=scale)
    assert result.data.mean() == pytest.approx(100, abs=0.1)
    # Variances 9, 9/4 and 9/16 of a mean of three.
    assert result.variance.mean() == pytest.approx(
        9 * (1 + 1 / 4 + 1 / 16) / 9, rel=0.02
    )


@pytest.mark.parametrize("zero", ["median", "mean", "SKY", [0, -50, -70]])
def test_zero_brings_frames_to_the_level_of_the_first(zero):
    result = combined(files_of([100, 150, 170], SKY=[100, 150, 170]), zero=zero)
    assert result.data.mean() == pytest.approx(100, abs=0.1)


def test_zero_is_that_of_scaled_frames():
    files = files_of([100, 300], EXPTIME=[10.0, 20.0])
    result = combined(files, scale="EXPTIME", zero="median")
    assert result.data.mean() == pytest.approx(100, abs=0.1)


def test_statistics_are_of_good_pixels_in_the_section():
    files = files_of([100, 200])
    files[1][0].data[:50] = 1e5
    files[1][0].data[60, :] = np.nan
    files[1][0].flags = np.zeros(SHAPE, "u2")
    files[1][0].flags[70:80] = 1
    files[1][0].data[70:80] = 1e5
    # A section has columns first.
    result = combined(files, scale="mean", section="[1:100,51:100]", method="mean")
    assert result.data[90:].mean() == pytest.approx(100, abs=0.2)


def test_weights_by_a_keyword():
    files = files_of([100, 200], noise=0.1, EXPTIME=[10.0, 30.0])
    result = combined(files, method="weighted", weights="EXPTIME", mixed="exptime")
    assert result.data.mean() == pytest.approx(175, abs=0.1)


@pytest.mark.parametrize("word", ["scale", "zero", "weights"])
def test_a_missing_keyword_is_named_with_its_file_and_option(word):
    method = "weighted" if word == "weights" else "mean"
    files = files_of([1, 1], noise=0, SKY=[1.0, None])
    files[1].filename = "b.fits"
    with pytest.raises(ParameterError, match=rf"b\.fits: SKY.*{word}='SKY'.*missing"):
        combined(files, method=method, **{word: "SKY"})


@pytest.mark.parametrize("value", ["bright", True])
def test_a_keyword_that_is_no_number_is_refused(value):
    with pytest.raises(ParameterError, match="which is no number"):
        combined(files_of([1, 1], SKY=[1.0, value]), zero="SKY")


def test_a_level_that_is_not_positive_is_no_scale():
    with pytest.raises(ParameterError, match="positive"):
        combined(files_of([100, -100]), scale="median")
    with pytest.raises(ParameterError, match="positive"):
        combined(files_of([1, 1], EXPTIME=[10.0, 0.0]), scale="EXPTIME")


def test_exposure_times_may_differ_only_by_declaration():
    files = files_of([100, 300], EXPTIME=[10.0, 30.0])
    with pytest.raises(ParameterError, match=r"exptime = 30.* scale='EXPTIME'"):
        combined(files)
    assert combined(files, scale="EXPTIME").data.mean() == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("section", ["[1:200,1:10]", "[5]", "1:3"])
def test_a_section_outside_the_image_is_refused(section):
    with pytest.raises(ParameterError, match="section"):
        combined(files_of([1, 1]), scale="median", section=section)


def test_all_masked_is_no_level():
    files = files_of([100, 100])
    files[1][0].flags = np.ones(SHAPE, "u2")
    with pytest.raises(ParameterError, match="no good pixel"):
        combined(files, zero="median")


def test_two_ways_of_rejecting_are_refused():
    with pytest.raises(ParameterError, match="method='mean'"):
        combined(files_of([1, 1]), method="sigclip", reject="minmax")
    with pytest.raises(ParameterError, match="median has no weights"):
        combined(files_of([1, 1]), method="median", weights=[1, 2])


def test_a_frame_that_loses_its_pixels_is_named(caplog):
    files = files_of([100, 100, 100, 160, 100])
    files[3].filename = "cloud.fits"
    with caplog.at_level(logging.INFO, "ndmapper"):
        combined(files)
    (warning,) = [r.message for r in caplog.records if r.levelname == "WARNING"]
    assert "cloud.fits[1]: 100 % of the pixels were rejected" in warning
    assert "its level is 159.97" in warning
    (line,) = [r.message for r in caplog.records if "values of 5 frames" in r.message]
    assert "20 %" in line


def test_frames_without_a_good_pixel_have_no_level():
    result = combined(files_of([np.nan, np.nan]))
    assert np.isnan(result.data).all()
    assert np.all(result.flags == 16)


def test_frames_that_belong_together_are_not_named(caplog):
    combined(files_of([100] * 5))
    combined(files_of([100] * 5), method="mean", reject="minmax")
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


def test_maps_say_how_many_values_were_used(folder):
    files = files_of([100] * 4)
    files[2][0].data[3, 7] = 5e4
    for number, df in enumerate(files):
        df.save(f"{number}.fits")
    product = combine([f"{n}.fits" for n in range(4)], combined="c.fits", maps=True)
    saved = DataFile("c.fits")[0]
    assert product[0].extras["REJECTED"].data[3, 7] == 1
    assert (saved.extras["COUNT"].data[3, 7], saved.extras["COUNT"].data[0, 0]) == (
        3,
        4,
    )
    assert not combine(["0.fits", "1.fits"], combined="d.fits")[0].extras


# ---- biases


@pytest.mark.parametrize("has_variance", [True, False])
def test_biases_of_different_levels_are_refused(has_variance):
    files = files_of([1000, 1001, 1010, 1000], has_variance=has_variance)
    files[2].filename = "b3.fits"
    with pytest.raises(ParameterError, match=r"b3\.fits differs by 9.*zero='median'"):
        make_bias.func(files)


def test_biases_without_noise_are_not_compared():
    (bias,) = make_bias.func(files_of([1, 2], noise=0, has_variance=False))
    assert np.all(bias.data == 1.5)


@pytest.mark.parametrize("zero", ["median", "mean"])
def test_biases_are_brought_to_their_mean_level(zero):
    levels = [1000, 1010, 990, 1020]
    (bias,) = make_bias.func(files_of(levels), zero=zero)
    assert bias.data.mean() == pytest.approx(np.mean(levels), abs=0.1)
    # The noise of a mean of four, and that of the level.
    expected = 9 / 4 + np.var(levels, ddof=1) / 4
    assert bias.variance.mean() == pytest.approx(expected, rel=0.02)


def test_levels_of_biases_that_wander_little_are_part_of_the_variance():
    rng = np.random.default_rng(29)
    errors, claimed = [], []
    for _ in range(60):
        (bias,) = make_bias.func(files_of(1000 + rng.normal(0, 0.3, 4)))
        errors.append(bias.data[5, 5] - 1000)
        claimed.append(bias.variance[5, 5])
    # The noise of frames is the same in each trial, and so is its part of the error.
    level = np.var(errors, ddof=1)
    # 60 samples: 18 per cent; three times that.
    assert level == pytest.approx(np.mean(claimed) - 9 / 4, rel=0.55)
