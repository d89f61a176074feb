"""IRAF's imcombine on the same frames: the same pixels where it does the same."""

import numpy as np
import pytest

from ndmapper import run_task
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.lib.combine import combine_ndds

pytestmark = pytest.mark.iraf

SHAPE = (30, 40)


@pytest.fixture
def imcombine(need, folder):
    """Run imcombine on frames; give the pixels, how many were rejected, and frames."""
    need("iraf")

    def run(n, **words):
        rng = np.random.default_rng(41)
        ndds = []
        for number in range(n):
            data = rng.normal(200 + 3 * number, 5, SHAPE)
            hits = rng.random(SHAPE) < 0.02
            data[hits] += rng.uniform(-150, 5000, hits.sum())
            ndds.append(NDLater(data.astype("f4")))
            DataFile(f"f{number}.fits", data=[ndds[-1]], mode="overwrite").save()
        files = DataFileList([f"f{number}.fits" for number in range(n)])
        result = run_task(
            "images.immatch.imcombine",
            inputs={"input": files},
            outputs={"output": f"{len(words)}.fits"},
            comb_in=True,
            reprocess=True,
            **{"combine": "average", "reject": "none", "mclip": True} | words,
        )
        return result["output"][0][0].data, ndds

    return run


# The sums are made in single precision there.
ROUNDING = {"rtol": 3e-6}


@pytest.mark.parametrize("n", [4, 5])
@pytest.mark.parametrize("method", ["average", "median", "sum"])
def test_mean_median_and_sum_are_those_of_iraf(imcombine, method, n):
    theirs, ndds = imcombine(n, combine=method)
    ours = combine_ndds(ndds, method="mean" if method == "average" else method)
    np.testing.assert_allclose(ours.data, theirs, **ROUNDING)


@pytest.mark.parametrize("reject", ["sigclip", "avsigclip"])
@pytest.mark.parametrize("limits", [(3.0, 3.0), (2.0, 2.5)], ids=str)
@pytest.mark.parametrize("n", [6, 15])
def test_clipping_is_that_of_iraf(imcombine, reject, limits, n):
    low, high = limits
    theirs, ndds = imcombine(n, reject=reject, lsigma=low, hsigma=high)
    ours = combine_ndds(ndds, method="mean", reject=reject, low=low, high=high)
    np.testing.assert_allclose(ours.data, theirs, **ROUNDING)
    plain = combine_ndds(ndds, method="mean")
    assert (np.abs(plain.data - theirs) > 1).any() or n == 6


def test_minmax_is_that_of_iraf(imcombine):
    theirs, ndds = imcombine(7, reject="minmax", nlow=1, nhigh=2)
    ours = combine_ndds(ndds, method="mean", reject="minmax", nlow=1, nhigh=2)
    np.testing.assert_allclose(ours.data, theirs, **ROUNDING)


def test_scale_and_zero_by_the_median_are_those_of_iraf(imcombine):
    theirs, ndds = imcombine(5, zero="median", statsec="[1:40,1:30]")
    levels = [float(np.median(ndd.data)) for ndd in ndds]
    ours = combine_ndds(ndds, method="mean", zero=[levels[0] - v for v in levels])
    # It takes the median of a histogram.
    np.testing.assert_allclose(ours.data, theirs, atol=0.1)
    theirs, ndds = imcombine(5, scale="median", statsec="[1:40,1:30]")
    ours = combine_ndds(ndds, method="mean", scale=[levels[0] / v for v in levels])
    np.testing.assert_allclose(ours.data, theirs, rtol=1e-3)


def test_clipping_by_noise_rejects_what_ccdclip_does(imcombine):
    # ccdclip takes the noise at the median, ours that at the mean of what is left.
    theirs, ndds = imcombine(
        6, reject="ccdclip", rdnoise="5e6", gain="1e6", lsigma=4.0, hsigma=4.0
    )
    known = [ndd.replace(variance=np.full(SHAPE, 25.0)) for ndd in ndds]
    ours = combine_ndds(known, method="sigclip")
    differs = np.abs(ours.data - theirs) > 1e-3
    assert differs.mean() < 0.05
    agrees = np.abs(ours.data - theirs) < 5 * 5 / np.sqrt(3)
    assert agrees.mean() > 0.995
