"""Compiled loops and NumPy combine to the same numbers, to the last bit."""

import numpy as np
import pytest

from ndmapper.numerics import combine as combining
from ndmapper.numerics.combine import combine

SHAPE = (24, 50)

METHODS = [
    ("mean", None), ("median", None), ("sigclip", None), ("weighted", "noise"),
    ("sum", "minmax"), ("median", "noise"),
]  # fmt: skip


def hostile_frames(n, kind, seed=5):
    """Make frames with all that leaves the quick way: hits, NaN, flags, few counts."""
    rng = np.random.default_rng(seed)
    data, flags = [], []
    for number in range(n):
        frame = rng.poisson(3, SHAPE) + rng.normal(0, 1, SHAPE) * (1 + number % 3)
        hits = rng.random(SHAPE) < 0.03
        frame[hits] += rng.uniform(-50, 500, hits.sum())
        frame[rng.random(SHAPE) < 0.02] = np.nan
        frame[3, :5] = np.nan
        flag = (rng.random(SHAPE) < 0.05).astype("u2") * 4
        flag[4, :5] = 1
        data.append(frame.astype(kind))
        flags.append(flag)
    variance = [(np.maximum(frame, 0) + 1).astype(kind) for frame in data]
    return data, variance, flags


def both(monkeypatch, data, **options):
    monkeypatch.setattr(combining, "COMPILED_FROM", 0)
    compiled = combine(data, **options)
    monkeypatch.setattr(combining, "COMPILED_FROM", 1 << 60)
    return compiled, combine(data, **options)


def assert_same(one, other):
    for part in vars(one):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
        assert getattr(one, part).dtype == getattr(other, part).dtype


@pytest.mark.parametrize("n", [1, 2, 3, 9, 70])
def test_compiled_loops_and_numpy_give_the_same(n, monkeypatch):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    data, variance, flags = hostile_frames(n, "f4")
    for method, reject in METHODS:
        for has_variance in (True, False):
            for has_flags in (True, False):
                compiled, plain = both(
                    monkeypatch,
                    data,
                    variance=variance if has_variance else None,
                    flags=flags if has_flags else None,
                    method=method,
                    reject=reject,
                    low=3,
                    high=2.5,
                    doubtful_flag=2,
                    scale=[1 + 0.1 * k for k in range(n)],
                    zero=[0.3 * k for k in range(n)],
                )
                assert_same(compiled, plain)


def test_compiled_loops_of_clean_frames_give_the_same(monkeypatch):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    rng = np.random.default_rng(6)
    data = [rng.normal(100, 3, SHAPE) for _ in range(5)]
    data[2][7, 9] = 1e4
    compiled, plain = both(monkeypatch, data, method="sigclip")
    assert_same(compiled, plain)
    assert compiled.rejected[7, 9] == 1


@pytest.mark.parametrize("method", ["median", "sigclip"])
@pytest.mark.parametrize("has_variance", [True, False])
def test_compiled_loops_of_unequal_frames_give_the_same(
    method, has_variance, monkeypatch
):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    rng = np.random.default_rng(8)
    sigmas = [1, 1, 1, 1.2, 6, 9]
    data = [rng.normal(100, s, SHAPE).astype("f4") for s in sigmas]
    data[2][7, 9] = 1e4
    variance = [np.full(SHAPE, s**2, "f4") for s in sigmas] if has_variance else None
    flags = [(rng.random(SHAPE) < 0.05).astype("u2") for _ in sigmas]
    for reject in (None, "noise") if method == "median" else (None,):
        compiled, plain = both(
            monkeypatch, data, variance=variance, flags=flags, method=method,
            reject=reject, doubtful_flag=2,
        )  # fmt: skip
        assert_same(compiled, plain)


@pytest.mark.parametrize("n", [*range(1, 35), 64, 200])
def test_network_finds_medians(n):
    loops = pytest.importorskip("ndmapper.numerics.stack_loops")
    values = np.random.default_rng(n).normal(size=(n, 100))
    expected = np.median(values, axis=0)
    for one, other in loops.median_network(n):
        values[[one, other]] = np.sort(values[[one, other]], axis=0)
    found = (values[(n - 1) // 2] + values[n // 2]) / 2
    np.testing.assert_array_equal(found, expected)


def test_threads_give_the_same(monkeypatch):
    data, variance, flags = hostile_frames(4, "f4")
    words = {"method": "sigclip", "variance": variance, "flags": flags}
    alone = combine(data, **words)
    assert_same(alone, combine(data, **words, threads=3, chunk_bytes=20_000))
