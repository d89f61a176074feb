"""Means of frames that share the noise of masters, by simulation."""

import numpy as np
import pytest

from ndmapper.numerics import combine as combining
from ndmapper.numerics.combine import combine
from ndmapper.numerics.shared_noise import SharedNoise

SHAPE = (120, 120)
LEVEL, OWN = 400.0, 3.0


class Plane:
    """A plane of deviations that counts how many rows are read at once."""

    def __init__(self, values):
        self.values, self.most = values, 0

    def __getitem__(self, rows):
        self.most = max(self.most, rows.stop - rows.start)
        return self.values[rows]


def noise(planes, which, *, is_relative=False, factor=None, level=None):
    n = len(which)
    return SharedNoise(
        planes=planes,
        plane=which,
        factor=np.ones(n) if factor is None else np.asarray(factor, float),
        is_relative=is_relative,
        level=np.zeros(n) if level is None else np.asarray(level, float),
    )


def simulated(n=8, *, has_bias=None, scale=None, seed=4):
    """Make frames of one level that share a bias and a flat, both with a gradient."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(0.5, 1.5, SHAPE[1]) * np.ones(SHAPE)
    bias, flat = Plane(2.5 * slope), Plane(0.006 * slope[:, ::-1])
    of_bias = bias.values * rng.normal(size=SHAPE)
    of_flat = 1 + flat.values * rng.normal(size=SHAPE)
    has_bias = [True] * n if has_bias is None else has_bias
    scale = np.ones(n) if scale is None else np.asarray(scale)
    data, variance = [], []
    for has, factor in zip(has_bias, scale, strict=True):
        level = LEVEL / factor
        frame = (level + has * of_bias + rng.normal(0, OWN, SHAPE)) * of_flat
        data.append(frame)
        shared = has * bias.values**2 + (frame * flat.values) ** 2
        variance.append(OWN**2 + shared)
    shared = [
        noise([bias], [0 if has else None for has in has_bias]),
        noise([flat], [0] * n, is_relative=True),
    ]
    return data, variance, shared


def pull(result, truth=LEVEL):
    return float(np.std((result.data - truth) / np.sqrt(result.variance)))


# 14400 pixels tell the width of pulls to .6 percent.
@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ({"method": "mean"}, 1),
        ({"method": "sigclip"}, 1),
        ({"method": "mean", "reject": "minmax"}, 1),
        ({"method": "sum"}, 8),
        ({"method": "mean", "weights": [1, 2, 3, 4, 4, 3, 2, 1]}, 1),
        ({"method": "median"}, 1),
        ({"method": "weighted"}, 1),
    ],
)
def test_errors_of_frames_that_share_masters_are_right(words, factor):
    data, variance, shared = simulated()
    result = combine(data, variance, shared=shared, **words)
    assert pull(result, LEVEL * factor) == pytest.approx(1, abs=0.03)
    assert pull(combine(data, variance, **words), LEVEL * factor) > 1.4


def test_frames_that_are_scaled_and_raised():
    scale = [1, 1, 2, 2, 0.5, 0.5, 1.5, 1.5]
    data, variance, shared = simulated(scale=scale)
    zero = [10.0, -5, 0, 30, -20, 1, 2, 3]
    result = combine(
        data, variance, shared=shared, method="mean", scale=scale, zero=zero
    )
    assert pull(result, LEVEL + np.mean(zero)) == pytest.approx(1, abs=0.03)


def test_frames_of_which_some_share_a_master():
    has_bias = [True] * 4 + [False] * 4
    data, variance, shared = simulated(has_bias=has_bias)
    result = combine(data, variance, shared=shared, method="mean")
    assert pull(result) == pytest.approx(1, abs=0.03)
    of_all = [noise(shared[0].planes, [0] * 8), shared[1]]
    assert pull(combine(data, variance, shared=of_all, method="mean")) < 0.9


def test_a_dark_has_the_factor_of_each_frame():
    rng = np.random.default_rng(2)
    plane, factor = Plane(np.full(SHAPE, 4.0)), [0.5, 1, 2, 3]
    error = rng.normal(0, 4, SHAPE)
    data = [LEVEL + f * error + rng.normal(0, OWN, SHAPE) for f in factor]
    variance = [np.full(SHAPE, OWN**2 + (4 * f) ** 2) for f in factor]
    shared = [noise([plane], [0] * 4, factor=factor)]
    result = combine(data, variance, shared=shared, method="mean")
    assert result.variance[0, 0] == pytest.approx(OWN**2 / 4 + (4 * 6.5 / 4) ** 2)
    assert pull(result) == pytest.approx(1, abs=0.03)


def test_what_was_subtracted_after_the_flat_counts():
    flat = Plane(np.full(SHAPE, 0.01))
    data = [np.zeros(SHAPE)] * 5
    variance = [np.full(SHAPE, OWN**2 + (LEVEL * 0.01) ** 2)] * 5
    shared = [noise([flat], [0] * 5, is_relative=True, level=[LEVEL] * 5)]
    result = combine(data, variance, shared=shared, method="mean")
    assert result.variance == pytest.approx(OWN**2 / 5 + (LEVEL * 0.01) ** 2)


def test_values_are_rejected_by_the_noise_that_is_their_own():
    data, variance, shared = simulated()
    # Ten times what scatters between the frames, but three times what all noise is.
    shared = [noise([Plane(np.full(SHAPE, 9.0))], [0] * 8), *shared]
    variance = [one + 81 for one in variance]
    data[3][5, 6] += 10 * OWN
    assert combine(data, variance, shared=shared, method="sigclip").rejected[5, 6] == 1
    assert combine(data, variance, method="sigclip").rejected[5, 6] == 0


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_the_same_by_compiled_loops_and_in_any_tiles(kind, monkeypatch):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    data, variance, shared = simulated()
    data[2][3, 4], data[1][7], variance[5][9, 9] = 1e5, np.nan, np.nan
    data, variance = ([one.astype(kind) for one in part] for part in (data, variance))
    results = []
    for compiled_from in (0, 1 << 60):
        monkeypatch.setattr(combining, "COMPILED_FROM", compiled_from)
        results += [
            combine(data, variance, shared=shared, method="sigclip", **words)
            for words in ({}, {"chunk_bytes": 1 << 16}, {"threads": 2})
        ]
    for other in results[1:]:
        for part in ("data", "variance", "flags", "count"):
            np.testing.assert_array_equal(
                getattr(results[0], part), getattr(other, part)
            )


def test_masters_are_read_in_the_tiles_of_the_frames():
    data, variance, shared = simulated()
    # More pixels than are looked at for the noise of all.
    tall = [np.tile(one, (10, 2)) for one in data]
    plane = Plane(np.tile(shared[0].planes[0].values, (10, 2)))
    known = [np.tile(one, (10, 2)) for one in variance]
    combine(tall, known, shared=[noise([plane], [0] * 8)], chunk_bytes=1 << 18)
    assert plane.most < 60


def test_noise_of_masters_is_not_taken_out_of_frames_without_variance():
    data, _, shared = simulated()
    with_masters = combine(data, shared=shared, method="mean")
    np.testing.assert_array_equal(
        with_masters.variance, combine(data, method="mean").variance
    )


@pytest.mark.parametrize(("factor", "claimed"), [(2.0, 2.0), (-0.5, 1.25), (0.0, 2.0)])
def test_noise_that_is_in_a_frame_twice_is_not_that_of_two(factor, claimed):
    rng = np.random.default_rng(5)
    n, deviation = 6, np.full(SHAPE, 4.0)
    bias = deviation * rng.normal(size=SHAPE)
    data = [
        LEVEL + factor * bias + rng.normal(0, OWN, SHAPE).astype(float)
        for _ in range(n)
    ]
    variance = [np.full(SHAPE, OWN**2 + claimed * 16.0)] * n
    shared = SharedNoise(
        planes=[Plane(deviation)], plane=[0] * n, factor=np.full(n, factor),
        is_relative=False, level=np.zeros(n), claimed=np.full(n, claimed),
    )  # fmt: skip
    made = combine(data, variance, method="mean", shared=[shared])
    np.testing.assert_allclose(made.variance, OWN**2 / n + 16 * factor**2, rtol=1e-5)
    # 14400 pixels: .6 per cent.
    assert pull(made) == pytest.approx(1, abs=0.025)


# 2016 boxes, of masters and frames that are drawn anew each time: 1.6 per cent.
@pytest.mark.parametrize(
    ("electrons", "without"), [(5, 1.4), (1000, 1.02), (30000, 1.5)]
)
def test_means_of_ten_by_ten_pixels_have_the_errors_of_their_pixels(electrons, without):
    rng = np.random.default_rng(12)
    of_bias, of_flat = 6 / np.sqrt(3), 1 / np.sqrt(1e5)
    planes = [Plane(np.full(SHAPE, one)) for one in (of_bias, of_flat)]
    shared = [
        noise(planes[:1], [0] * 10),
        noise(planes[1:], [0] * 10, is_relative=True),
    ]
    squares = {True: [], False: []}
    for _ in range(14):
        bias = rng.normal(0, of_bias, SHAPE)
        flat = 1 + rng.normal(0, of_flat, SHAPE)
        counts = rng.poisson(electrons, (10, *SHAPE)) + rng.normal(0, 6, (10, *SHAPE))
        data = [(one + bias) * flat for one in counts]
        variance = [
            np.maximum(one, 0) + 36 + of_bias**2 + (one * of_flat) ** 2 for one in data
        ]
        for is_shared, sums in squares.items():
            made = combine(
                data, variance, method="mean", shared=shared if is_shared else ()
            )
            error, claimed = (
                a.reshape(12, 10, 12, 10).sum(axis=(1, 3))
                for a in (made.data - electrons, made.variance)
            )
            sums.append(np.mean(error**2 / claimed))
    assert np.sqrt(np.mean(squares[True])) == pytest.approx(1, abs=0.05)
    assert np.sqrt(np.mean(squares[False])) > without
