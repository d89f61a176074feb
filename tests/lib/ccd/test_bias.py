import numpy as np
import pytest

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, ShapeError
from ndmapper.lib.ccd import (
    add_variance,
    correct_gain,
    subtract_bias,
    subtract_overscan,
    trim,
)
from ndmapper.lib.combine import combine_files, combine_ndds


def test_subtract_bias_has_pulls_of_width_one(detector):
    # The bias of three frames adds a third of their variance; without it the width
    # would be 1.15. 4800 pixels share one bias: 1 per cent; and the level of one
    # overscan, 2 per cent of a pixel's noise, is common to 2400 of them.
    structure = np.random.default_rng(5).normal(0, 20, detector.shape)

    def prepared():
        frame = detector.frame(structure=structure)
        return trim(subtract_overscan(detector.ndd(frame)))

    zeros = [add_variance(prepared(), poisson=False) for _ in range(3)]
    bias = combine_ndds(zeros, method="mean")
    science = add_variance(subtract_bias(prepared(), bias=bias), poisson=False)
    pulls = science.data / np.sqrt(science.variance)
    assert pulls.std() == pytest.approx(1, abs=0.05)


def test_subtract_bias_of_none_changes_nothing(detector):
    ndd = trim(detector.ndd(detector.frame()))
    result = subtract_bias(ndd, bias=None)
    np.testing.assert_array_equal(result.data, ndd.data)


def test_subtract_bias_of_another_shape_raises(detector):
    ndd = trim(detector.ndd(detector.frame()))
    with pytest.raises(ShapeError):
        subtract_bias(ndd, bias=ndd[:10])


def test_subtract_bias_twice_is_refused_unless_it_is_meant(detector):
    ndd = trim(detector.ndd(detector.frame()))
    bias = ndd.replace(data=np.full(ndd.shape, 10.0, "f4"))
    # None is no bias.
    once = subtract_bias(subtract_bias(ndd, bias=None), bias=bias)
    assert once.meta["APPBIAS"] == 1
    with pytest.raises(ParameterError, match="corrected by a bias already"):
        subtract_bias(once, bias=bias)
    twice = subtract_bias(once, bias=bias, again=True)
    np.testing.assert_allclose(ndd.data - twice.data, 20, atol=1e-3)
    assert twice.meta["APPBIAS"] == 2
    assert subtract_bias(twice, bias=None).meta["APPBIAS"] == 2


def means_of_faint_frames(rng, method, frames=6, biases=3):
    """Give sums of 10 x 10 pixels of a stack, their variances, and its header."""
    rows, columns, strip = 300, 10, 5

    def prepared():
        counts = rng.normal(1000, 3, (rows, columns + strip))
        ndd = NDLater(np.rint(counts).astype(np.uint16), ident=1)
        ndd.meta.update(
            {
                "DATASEC": f"[1:{columns},1:{rows}]",
                "BIASSEC": f"[{columns + 1}:{columns + strip},1:{rows}]",
                "GAIN": 2.0,
                "RDNOISE": 6.0,
            }
        )
        return trim(subtract_overscan(ndd, method=method))

    def combined(ndds, **words):
        names = [f"x{n}.fits" for n in range(len(ndds))]
        files = [DataFile(n, data=[x]) for n, x in zip(names, ndds, strict=True)]
        return combine_files(files, method="mean", **words)[0]

    bias = combined(
        [add_variance(prepared(), poisson=False) for _ in range(biases)], shared="none"
    )
    bare = [subtract_bias(prepared(), bias=bias) for _ in range(frames)]
    bare = [correct_gain(add_variance(one, poisson=False)) for one in bare]
    stack = combined(bare, shared=[DataFile("bias.fits", data=[bias])])
    sums, variances = (
        np.asarray(plane, float).reshape(-1, 100).sum(axis=1)
        for plane in (stack.data, stack.variance)
    )
    return sums, variances, stack.meta


# 360 boxes tell the width to 3.7 per cent.
def test_errors_of_means_have_those_of_the_levels():
    rng = np.random.default_rng(8)
    pulls, naive = [], []
    for _ in range(12):
        sums, variances, header = means_of_faint_frames(rng, "row")
        # Each of ten lines has a level, which its ten pixels share.
        more = (header["OVSCERR1"] ** 2 + header["BIASERR1"] ** 2) * (1 - 1 / 10) / 10
        pulls.append(sums / np.sqrt(variances + 100**2 * more))
        naive.append(sums / np.sqrt(variances))
    assert np.sqrt(np.mean(np.square(pulls))) == pytest.approx(1, abs=0.1)
    assert np.sqrt(np.mean(np.square(naive))) > 1.4


def test_the_error_of_the_level_of_the_bias_is_kept():
    rng = np.random.default_rng(8)
    header = means_of_faint_frames(rng, "row")[2]
    # 3 adu in 5 pixels of a line, 2 electrons for one adu.
    assert header["OVSCERR1"] == pytest.approx(6 / np.sqrt(5 * 6), rel=0.03)
    assert header["BIASERR1"] == pytest.approx(6 / np.sqrt(5 * 3), rel=0.03)
