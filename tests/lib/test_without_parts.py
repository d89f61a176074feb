"""Steps on frames without variance or flags, as use_uncert and use_flags leave them."""

import numpy as np
import pytest

from ndmapper.config import config
from ndmapper.data import NDLater
from ndmapper.lib import ccd
from ndmapper.lib.combine import combine_ndds
from ndmapper.lib.cosmetics import add_bpm, clean_cosmic_rays

ROUNDS = [(False, True), (True, False), (False, False)]


@pytest.fixture(params=ROUNDS, ids=["no variance", "no flags", "neither"])
def parts(request):
    with config.using(use_uncert=request.param[0], use_flags=request.param[1]):
        yield request.param


def bare(ndd, parts):
    """Take the parts away, as an engine does before it calls a function."""
    dropped = {} if parts[0] else {"variance": None}
    return ndd.replace(**dropped | ({} if parts[1] else {"flags": None}))


def test_reduction_without_parts_has_the_same_data(detector, parts):
    zeros = [detector.trimmed(structure=2.0) for _ in range(5)]
    frame = detector.trimmed(electrons=500.0, structure=2.0)
    lamp = bare(NDLater(np.full(detector.shape, 1.5), variance=np.ones(detector.shape),
                        flags=np.zeros(detector.shape, "u2")), parts)  # fmt: skip
    mask = NDLater(np.zeros(detector.shape, "u2"))
    # The mean, since clipping by known noise and by scatter need not do the same.
    bias = combine_ndds([bare(zero, parts) for zero in zeros], method="mean")
    light = ccd.subtract_bias(add_bpm(bare(frame, parts), bpm=mask), bias=bias)
    light = ccd.correct_gain(ccd.add_variance(light))
    result = ccd.apply_flat(light, flat=lamp)
    expected = (frame.data - np.mean([z.data for z in zeros], axis=0)) / 1.5
    np.testing.assert_allclose(
        result.data, expected * detector.gain_map, rtol=1e-5, atol=1e-3
    )


@pytest.mark.parametrize("method", ["mean", "median", "sigclip"])
def test_combine_without_parts_is_within_the_noise(detector, parts, method):
    zeros = [bare(ccd.add_variance(detector.trimmed()), parts) for _ in range(5)]
    result = combine_ndds(zeros, method=method)
    # The noise is 3.2 adu at most; five times that of a median of five.
    assert np.abs(result.data).max() < 5 * 3.2 * np.sqrt(1.44 / 5)


def test_make_flat_without_parts_is_one(detector, parts):
    lamps = [bare(detector.trimmed(electrons=2e4), parts) for _ in range(3)]
    (flat,) = _made_flat(lamps)
    assert np.median(flat.data) == pytest.approx(1, abs=0.005)


def test_clean_cosmic_rays_without_parts_finds_the_hit(detector, parts):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    frame = detector.trimmed(electrons=200.0)
    frame.data[30, 20] += 3000
    cleaned = clean_cosmic_rays(bare(frame, parts), x_order=0, y_order=0, objlim=5)
    assert cleaned.data[30, 20] < 300


def _made_flat(lamps):
    from ndmapper.data import DataFile, DataFileList

    files = DataFileList(data=[DataFile(data=[lamp]) for lamp in lamps])
    return ccd.make_flat.func(files, normalise="spectral")
