"""Which stars of two lists are the same, and how the lists lie."""

import numpy as np
import pytest

from ndmapper.numerics.matching import Similarity, match_points


def field(rng, count, size=1000.0):
    return rng.uniform(0, size, (count, 2))


def seen(rng, points, transform, *, lost=0.2, more=10, noise=0.05, size=1000.0):
    """List the same stars elsewhere: some lost, some others, none exact."""
    kept = points[rng.random(len(points)) > lost]
    there = transform(kept) + rng.normal(0, noise, kept.shape)
    return np.vstack([there, field(rng, more, size)])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("angle", "scale", "shift"),
    [(0, 1, 3 + 4j), (175, 1, 20 - 90j), (31, 1.7, 400 + 10j), (-90, 0.4, 0j)],
)
def test_any_similarity_is_found(seed, angle, scale, shift):
    rng = np.random.default_rng(seed)
    points = field(rng, 50)
    true = Similarity(scale * np.exp(1j * np.deg2rad(angle)), shift)
    found = match_points(points, seen(rng, points, true))
    assert len(found.first) >= 30
    # Errors of .05 pixel of 40 stars, over 1000 pixels.
    off = found.transform(points) - true(points)
    assert np.abs(off).max() < 0.05
    assert found.rms == pytest.approx(0.05, rel=0.35)
    assert found.transform.scale == pytest.approx(scale, rel=1e-4)
    turned = (found.transform.angle - angle + 180) % 360 - 180
    assert abs(turned) < 0.01


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_few_stars_are_matched_near_their_places(count):
    rng = np.random.default_rng(count)
    points = field(rng, count)
    true = Similarity(1, 12.3 - 7.7j)
    found = match_points(
        points, seen(rng, points, true, lost=0, more=0, noise=0.01), near=30
    )
    assert sorted(found.first) == list(range(count))
    assert found.transform(points) == pytest.approx(true(points), abs=0.05)


def test_a_shift_among_many_others_is_found_near_it():
    rng = np.random.default_rng(5)
    points = field(rng, 400)
    true = Similarity(np.exp(1j * np.deg2rad(0.05)), 25 - 12j)
    found = match_points(points, seen(rng, points, true, lost=0.5, more=200), near=40)
    assert len(found.first) > 150
    assert np.abs(found.transform(points) - true(points)).max() < 0.1


@pytest.mark.parametrize("near", [None, 50])
@pytest.mark.parametrize("seed", range(10))
def test_other_fields_do_not_match(seed, near):
    rng = np.random.default_rng(seed)
    assert match_points(field(rng, 40), field(rng, 40), near=near) is None


def test_a_mirror_image_does_not_match():
    points = field(np.random.default_rng(1), 30)
    assert match_points(points, points * [-1, 1]) is None


@pytest.mark.parametrize("near", [None, 20])
def test_without_stars_there_is_no_match(near):
    points = field(np.random.default_rng(1), 5)
    assert match_points(np.empty((0, 2)), points, near=near) is None
    assert match_points(points, np.empty((0, 2)), near=near) is None


def test_errors_of_the_shift_are_those_of_many_trials():
    rng = np.random.default_rng(3)
    points = field(rng, 25)
    shifts, rms = [], []
    for _ in range(200):
        found = match_points(points, points + rng.normal(0, 0.1, points.shape), near=5)
        middle = points.mean(axis=0, keepdims=True)
        shifts.append((found.transform(middle) - middle)[0])
        rms.append(found.rms)
    # .1 / sqrt(25) in the middle; 200 trials of two axes: to 4 per cent.
    assert np.std(shifts) == pytest.approx(0.02, rel=0.15)
    assert np.mean(rms) == pytest.approx(0.1, rel=0.03)


def test_a_star_that_chance_brings_near_is_no_match():
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found.append(match_points(field(rng, 2, 200), field(rng, 30, 200), near=30))
    # Of one percent there are six in 200 in one of a hundred cases.
    assert sum(one is not None for one in found) <= 6


def test_two_stars_among_few_others_are_matched():
    points = np.array([[40.0, 50.0], [150.0, 120.0]])
    others = field(np.random.default_rng(3), 4, 1000)
    found = match_points(points, np.vstack([points + 3, others]), near=30)
    assert sorted(found.second) == [0, 1]
