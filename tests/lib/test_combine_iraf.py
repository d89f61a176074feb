"""IRAF's imcombine on the same frames: the same pixels where it does the same."""

import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper import run_task
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.lib.combine import combine_ndds

pytestmark = pytest.mark.iraf

SHAPE = (30, 40)


@pytest.fixture
def short_folder():
    """Give a folder of a short name, since 68 characters fit into a card."""
    with tempfile.TemporaryDirectory(prefix="m") as name:
        yield Path(name)


@pytest.fixture
def imcombine(need, folder, short_folder):
    """Run imcombine on frames; give the pixels, how many were rejected, and frames."""
    need("iraf")

    def run(n, *, masks="", drift=3.0, **words):
        rng = np.random.default_rng(41)
        ndds = []
        for number in range(n):
            data = rng.normal(200 + drift * number, 5, SHAPE)
            hits = rng.random(SHAPE) < 0.02
            data[hits] += rng.uniform(-150, 5000, hits.sum())
            ndds.append(NDLater(data.astype("f4")))
            file = DataFile(f"f{number}.fits", data=[ndds[-1]], mode="overwrite")
            if masks:
                bits = rng.choice([0, 0, 1, 4], SHAPE).astype(np.uint16)
                bits[2, 3] = 1  # bad in every frame
                file.meta["BPM"] = write_mask(short_folder / f"{number}", bits, masks)
                ndds[-1] = ndds[-1].replace(flags=bits)
            file.save()
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


def write_mask(path, bits, ending):
    """Write a mask as a FITS image, or by IRAF in its own format; give its name."""
    image = path.with_suffix(".fits")
    fits.PrimaryHDU(bits.astype(np.int16)).writeto(image)
    if ending == "fits":
        return str(image)
    made = path.with_suffix(f".{ending}")
    name = {"input": str(image), "output": str(made), "verbose": False}
    run_task("images.imutil.imcopy", inputs={}, outputs={}, params=name)
    return str(made)


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


@pytest.mark.parametrize("masks", ["fits", "pl"])
@pytest.mark.parametrize(
    "words",
    [
        {"method": "mean"},
        {"method": "median"},
        {"method": "mean", "reject": "minmax", "nlow": 1, "nhigh": 2},
        {"method": "mean", "reject": "sigclip", "low": 2.0, "high": 2.5},
        {"method": "mean", "reject": "avsigclip", "low": 2.0, "high": 2.5},
    ],
    ids=lambda words: "-".join(list(words.values())[:2]),
)
def test_masked_pixels_are_left_out_as_by_iraf(imcombine, words, masks):
    their_names = {"low": "lsigma", "high": "hsigma", "method": "combine"}
    given = {their_names.get(name, name): value for name, value in words.items()}
    given["combine"] = given["combine"].replace("mean", "average")
    theirs, ndds = imcombine(
        12, masks=masks, masktype="goodvalue", maskvalue=0, blank=-99.0, **given
    )
    ours = combine_ndds(ndds, **words)
    # Where nothing is good, we keep a guess and the flags; IRAF keeps nothing.
    some = (ours.flags & 1) == 0
    assert some.mean() > 0.95
    np.testing.assert_allclose(ours.data[some], theirs[some], **ROUNDING)
    assert theirs[2, 3] == -99


@pytest.mark.parametrize("masks", ["", "fits"])
@pytest.mark.parametrize("n", [6, 12])
def test_clipping_by_noise_rejects_what_ccdclip_does(imcombine, n, masks):
    known = {"masktype": "goodvalue", "maskvalue": 0} if masks else {}
    theirs, ndds = imcombine(
        n, masks=masks, drift=0.0, reject="ccdclip", nkeep=0, lsigma=4.0, hsigma=4.0,
        rdnoise="5e6", gain="1e6", **known,
    )  # fmt: skip
    noisy = [ndd.replace(variance=np.full(SHAPE, 25.0)) for ndd in ndds]
    ours = combine_ndds(noisy, method="sigclip", maps=True)
    values = np.array([ndd.data for ndd in ndds])
    if masks:
        values[np.array([ndd.flags for ndd in ndds]) > 0] = np.nan
    # It takes the noise and the distance from the median, ours from the mean of what is
    # left: they may differ about values that are close to the limit, and where half of
    # the values are outliers, or of two it is not known which one is.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        distance = np.abs(values - np.nanmedian(values, axis=0)) / 5
    clear = ~((distance > 2.9) & (distance < 6)).any(axis=0)
    clear &= (np.isfinite(values).sum(axis=0) >= 4) & (np.asarray(ours.flags) == 0)
    assert clear.mean() > (0.9 if n == 12 or not masks else 0.3)
    np.testing.assert_allclose(ours.data[clear], theirs[clear], **ROUNDING)
    assert ((ours.extras["REJECTED"].data > 0) & clear).mean() > 0.03
