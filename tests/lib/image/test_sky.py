"""The running sky of dithered frames, against the truth."""

import logging

import numpy as np
import pytest
from shared_sky import coordinates, dithered

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import IdentError, ParameterError, ShapeError, UnitError
from ndmapper.lib.image import (
    make_object_mask,
    stack_images,
    subtract_sky,
    transfer_object_mask,
    two_pass_sky,
)
from ndmapper.lib.image.nearest import nearest_frames


def without_sky(files, masks=None, **words):
    """Run the bare function, which draws no figures."""
    return DataFileList(
        data=[
            DataFile(
                df.filename, data=subtract_sky.func(df, sky=files, masks=masks, **words)
            )
            for df in files
        ]
    )


def two_passes(night):
    first = without_sky(night.files)
    deep = stack_images.func(first)
    objects = DataFile("objects.fits", data=[make_object_mask.func(deep)])
    masks = DataFileList(
        data=[
            DataFile(f"m{n}.fits", data=transfer_object_mask.func(df, mask=objects))
            for n, df in enumerate(first)
        ]
    )
    return first, masks, without_sky(night.files, masks)


def good(df):
    return np.asarray(df[0].flags) == 0


def flux_of_faint_stars(night, files):
    """Add up the faint stars in the mean of the frames, in apertures of radius 7."""
    moved = [
        np.roll(
            np.where(good(df), df[0].data, np.nan), -dither.astype(int)[::-1], (0, 1)
        )
        for df, dither in zip(files, night.dithers, strict=True)
    ]
    mean = np.nanmean(moved, axis=0)
    y, x = np.mgrid[: mean.shape[0], : mean.shape[1]]
    return sum(mean[np.hypot(x - a, y - b) <= 7].sum() for a, b in night.faint)


def true_flux(night):
    y, x = np.mgrid[: night.stars[0].shape[0], : night.stars[0].shape[1]]
    return sum(
        night.stars[0][np.hypot(x - a, y - b) <= 7].sum() for a, b in night.faint
    )


def test_two_passes_lose_nothing_of_faint_stars():
    # Without noise, which would hide it: what is lost is lost by the method alone.
    night = dithered(1, noise=False)
    first, _, second = two_passes(night)
    true = true_flux(night)
    assert flux_of_faint_stars(night, first) < 0.97 * true
    assert flux_of_faint_stars(night, second) == pytest.approx(true, rel=0.003)


@pytest.fixture(scope="module")
def noisy():
    night = dithered(2)
    return night, *two_passes(night)


def test_pulls_of_pixels_are_those_of_noise(noisy):
    night, _, masks, second = noisy
    for df, mask, stars in zip(second, masks, night.stars, strict=True):
        pull = (df[0].data - stars) / np.sqrt(df[0].variance)
        sky = good(df) & (mask[0].data == 0)
        # 15000 pixels: the width is known to .6 percent, and the level of the frame,
        # and that of its sky, to 0.01 of the noise.
        assert np.std(pull[good(df)]) == pytest.approx(1, abs=0.03)
        assert abs(np.mean(pull[sky])) < 0.04
    assert np.mean([good(df).mean() for df in second]) > 0.98


def test_pulls_after_stacking(noisy):
    night, _, _, second = noisy
    stack = stack_images.func(second, covers="first", method="mean")
    inside = np.s_[14:-14, 14:-14]
    usable = (np.asarray(stack.flags) == 0)[inside]
    pull = ((stack.data - night.stars[0]) / np.sqrt(stack.variance))[inside][usable]
    # The sky of n frames adds 1/n of their variance: without it this is 1.08.
    assert np.std(pull) == pytest.approx(1, abs=0.03)


def test_the_variance_of_the_sky_is_that_of_a_mean_of_frames(noisy):
    night, _, masks, second = noisy
    added = second[3][0].variance - night.files[3][0].variance
    blank = np.all([mask[0].data == 0 for mask in masks], axis=0)
    assert np.median(added[blank]) == pytest.approx(
        np.median(night.files[3][0].variance) / 6, rel=0.05
    )
    meta = second[3][0].meta
    assert meta["SKYFRAMS"] == 6
    assert meta["SKYLEVEL"] == pytest.approx(np.median(night.sky[3]), rel=0.002)
    assert 0.2 < meta["SKYERR"] < 0.6  # 48 electrons of noise in 15000 pixels


def test_where_all_frames_are_masked_there_is_no_sky():
    night = dithered(3, count=5, faint=0)
    masks = [
        DataFile(f"m{n}.fits", data=[NDLater(np.zeros((140, 150)), ident=1)])
        for n in range(5)
    ]
    for mask in masks:
        mask[0].data[40:44, 30:40] = 1
    found = subtract_sky.func(night.files[2], sky=night.files, masks=masks)[0]
    assert (found.flags[40:44, 30:40] == 1).all()
    assert np.isfinite(found.data).all()
    assert np.mean(found.flags != 0) < 0.01


@pytest.mark.parametrize(("scale", "shift"), [("add", -2500.0), ("none", 0.0)])
def test_levels_are_brought_together_by_an_offset_or_not_at_all(scale, shift):
    rng = np.random.default_rng(4)
    files = DataFileList()
    for n in range(5):
        level = 2000 + shift + (n * 50 if scale == "add" else 0)
        data = rng.normal(level, 10, (60, 70))
        ndd = NDLater(data, variance=np.full((60, 70), 100.0))
        files.append(DataFile(f"x{n}.fits", data=[ndd]))
    found = subtract_sky.func(files[1], sky=files, scale=scale, nearest="list")[0]
    assert abs(found.data.mean()) < 1  # 10 electrons in 4200 pixels of two levels
    assert found.data.std() == pytest.approx(10 * np.sqrt(5 / 4), rel=0.05)
    if scale == "add":
        with pytest.raises(
            ParameterError, match=r"x0\.fits\[1\] cannot be brought.*scale='add'"
        ):
            subtract_sky.func(files[1], sky=files, nearest="list")


def at(*minutes, **cards):
    """Hold empty frames taken at some minutes."""
    files = []
    for n, minute in enumerate(minutes):
        df = DataFile(f"t{n}.fits", data=[NDLater(np.zeros((20, 20)))])
        df[0].wcs = coordinates((20, 20), (3 * n, 0))
        if minute is not None:
            df.meta["MJD-OBS"] = 57388 + minute / 1440
        df.meta.update(cards)
        files.append(df)
    return DataFileList(data=files)


def test_neighbours_are_those_in_time_not_in_the_list():
    files = at(30, 0, 11, 21, 42, 51)
    found = nearest_frames(files[0], files, count=2, fewest=2)
    assert (found.own, found.others) == (0, [3, 4])
    assert nearest_frames(files[0], files, count=2, fewest=2, by="list").others == [
        1,
        2,
    ]
    # The same exposure under another name is no neighbour.
    copy = DataFile("other.fits", data=files[2])
    assert nearest_frames(copy, files, count=2, fewest=2).others == [1, 3]


def test_dates_are_read_as_cameras_write_them():
    files = at(None, None, None)
    for df, second in zip(files, (30, 10, 35), strict=True):
        df.meta["DATE-OBS"] = f"2016-01-12T23:59:{second}"
    assert nearest_frames(files[0], files, count=1, fewest=1).others == [2]


def test_frames_without_neighbours_are_refused():
    files = at(0, 1, 2, 60)
    with pytest.raises(
        ParameterError,
        match=r"0 of 4 frames can be used for the sky of t3\.fits, and at least 3 are "
        r"needed \(fewest\): 3 were taken more than 10 min apart",
    ):
        nearest_frames(files[3], files, count=6, fewest=3, window=10)
    with pytest.raises(ParameterError, match="2 are shifted by less than 7 pixels"):
        nearest_frames(files[0], files, count=6, fewest=3, apart=7)
    assert nearest_frames(files[0], files, count=6, fewest=1, apart=7).others == [3]
    same = at(5, 5, 5, 5)
    with pytest.raises(ParameterError, match="3 have the same time"):
        nearest_frames(same[0], same, count=6, fewest=1)
    with pytest.raises(ParameterError, match=r"0 of 1 frames can be used"):
        nearest_frames(files[0], files[:1], count=6, fewest=3)


def test_a_frame_without_a_time_is_named_with_what_to_do():
    files = at(0, None, 2)
    with pytest.raises(
        ParameterError, match=r"t1\.fits does not say when.*MJD-OBS.*nearest='list'"
    ):
        nearest_frames(files[0], files, count=6, fewest=1)
    assert nearest_frames(files[0], files, count=6, fewest=1, by="list").others == [
        1,
        2,
    ]


def test_stars_that_do_not_move_are_warned_of(caplog):
    rng = np.random.default_rng(5)
    files = at(0, 1, 2, 3)
    for df in files:
        df[0].data = rng.normal(1000, 30, (20, 20))
        df[0].wcs = coordinates((20, 20), (0, 0))
    with caplog.at_level(logging.WARNING):
        subtract_sky.func(files[0], sky=files)
    assert "its stars are subtracted from themselves" in caplog.text


def test_what_does_not_fit_is_refused():
    night = dithered(6, count=4, faint=0)
    first, *others = night.files
    with pytest.raises(
        ParameterError, match="4 files of sky need as many masks, not 1"
    ):
        subtract_sky.func(first, sky=night.files, masks=[first])
    small = DataFile("small.fits", data=[NDLater(np.zeros((9, 9)), ident=1)])
    with pytest.raises(ShapeError, match=r"small\.fits\[1\] has shape \(9, 9\)"):
        subtract_sky.func(first, sky=night.files, masks=[small] * 4)
    other = others[0].copy()
    other[0].unit = "adu"
    other.filename = "adu.fits"
    with pytest.raises(UnitError, match=r"adu\.fits\[1\] is in adu"):
        subtract_sky.func(first, sky=[other, *others[1:]])
    other[0].ident = 7
    with pytest.raises(IdentError, match="same extensions"):
        subtract_sky.func(first, sky=[other, *others[1:]])
    other = others[0].copy()
    other.meta["FILTER"] = "Ks"
    first.meta["FILTER"] = "J"
    with pytest.raises(ParameterError, match="filter"):
        subtract_sky.func(first, sky=[other, *others[1:]])


def test_a_night_on_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Each takes half a second.
    monkeypatch.setattr("ndmapper.lib.figures.new_figure", lambda: None)
    night = dithered(7, count=5, shape=(110, 110), faint=4)
    for df in night.files:
        df.save()
    names = [str(df.filename) for df in night.files]
    made = two_pass_sky(names, neighbours=4, call={"reprocess": "auto"})
    assert [str(df) for df in made] == [f"yn{n:02d}.fits" for n in range(5)]
    pull = (made[2][0].data - night.stars[2]) / np.sqrt(made[2][0].variance)
    assert np.std(pull[good(made[2])]) == pytest.approx(1, abs=0.04)
    entry = made[2].record[-1]
    assert [one["name"] for one in entry["references"]["sky"]] == names
    assert len(entry["references"]["masks"]) == 5
    assert entry["qc"]["sky_frames"] == "n00.fits, n01.fits, n03.fits, n04.fits"
    assert entry["qc"]["scale_most[1]"] == pytest.approx(1, abs=0.1)
    again = two_pass_sky(names, neighbours=4, call={"reprocess": "auto"})
    assert again[2].record == made[2].record
