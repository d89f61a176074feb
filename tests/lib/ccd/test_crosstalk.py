"""Crosstalk of amplifiers that are read towards different corners."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.lib.ccd import Readout, correct_crosstalk, stamp, subtract_bias

NY, NX = 40, 60
CORNERS = {
    "A": "lower left", "B": "lower right", "C": "upper left", "D": "upper right",
}  # fmt: skip
TABLE = {
    "A": {"B": 1e-3, "C": 2e-3, "D": -5e-4},
    "B": {"A": 3e-3},
    "D": {"A": 1e-3, "C": 4e-3},
}
PLACES = {
    name: (slice(NY * y, NY * (y + 1)), slice(NX * x, NX * (x + 1)))
    for name, (y, x) in zip("ABCD", ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
}  # fmt: skip


def as_read(array, corner):
    """Put the pixel first that is read first."""
    array = array[::-1] if corner.startswith("upper") else array
    return array[:, ::-1] if corner.endswith("right") else array


def disturbed(true, corners=CORNERS, table=TABLE):
    """Add crosstalk to the image of four quadrants."""
    result = true.copy()
    for victim, row in table.items():
        for source, value in row.items():
            there = as_read(true[PLACES[source]], corners[source])
            here = as_read(result[PLACES[victim]], corners[victim])  # a view
            here += value * there
    return result


def sky(seed=1):
    rng = np.random.default_rng(seed)
    true = rng.normal(300, 10, (2 * NY, 2 * NX))
    for _ in range(12):
        y, x = rng.integers(2, 2 * NY - 2), rng.integers(2, 2 * NX - 2)
        true[y - 1 : y + 2, x - 1 : x + 2] += rng.uniform(1e4, 5e4)
    return true


def ndd_of(data, *, bias=True, saturation=None, **words):
    ndd = NDLater(data, **{"ident": 1, "unit": "adu"} | words)
    stamp(
        ndd.meta,
        [Readout(name=n, data=PLACES[n], saturation=saturation) for n in "ABCD"],
    )
    return subtract_bias(ndd, bias=None) if bias else ndd


def run(ndd, **words):
    given = {"coefficients": TABLE, "corners": CORNERS} | words
    df = DataFile("x.fits", data=[ndd], mode="new")
    return correct_crosstalk(df, save=False, **given)[0]


def test_crosstalk_is_undone_for_all_directions_of_readout():
    true = sky()
    result = run(ndd_of(disturbed(true)))
    assert np.abs(disturbed(true) - true).max() > 100
    np.testing.assert_allclose(result.data, true, rtol=1e-12)


def test_wrong_corner_leaves_ghosts():
    true = sky()
    result = run(ndd_of(disturbed(true)), corners=CORNERS | {"B": "lower left"})
    assert np.abs(result.data - true).max() > 20


# 4800 pixels in each of 10 frames: 0.3 per cent.
def test_pulls_have_width_one():
    rng = np.random.default_rng(4)
    true = sky()
    table = {"A": {"B": 0.05, "C": -0.08}, "D": {"B": 0.1}}
    pulls = []
    for _ in range(10):
        noise = np.repeat([5.0, 40.0], NX)[None, :] * np.ones((2 * NY, 1))
        data = disturbed(true, table=table) + rng.normal(0, noise)
        result = run(ndd_of(data, variance=noise**2), coefficients=table)
        pulls.append((result.data - true) / np.sqrt(result.variance))
    for place in PLACES.values():
        width = np.std([pull[place] for pull in pulls])
        assert width == pytest.approx(1, abs=0.025)


def test_ghosts_of_saturated_pixels_are_flagged():
    true = np.full((2 * NY, 2 * NX), 100.0)
    true[NY + 5, 7] = 60000.0  # of C: 4e-3 into D, 2e-3 into A
    data = disturbed(true)
    for variance, expected in ((None, 2), (np.full(data.shape, 150.0**2), 1)):
        result = run(ndd_of(data, saturation=50000.0, variance=variance))
        flagged = np.argwhere(result.flags == Flag.BAD).tolist()
        # C is read from its upper left, D from its upper right, A from its lower left.
        assert [NY + 5, 2 * NX - 1 - 7] in flagged
        assert ([NY - 1 - 5, 7] in flagged) == (expected == 2)
        assert len(flagged) == expected


def test_pixels_that_are_no_numbers_do_not_spread():
    data = disturbed(sky())
    data[NY + 5, 7] = np.nan
    result = run(ndd_of(data))
    assert np.isnan(result.data).sum() == 1
    assert np.count_nonzero(result.flags) == 2


def test_amplifiers_in_extensions_go_by_their_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    df = DataFile("chips.fits", mode="new")
    rng = np.random.default_rng(3)
    true = [rng.normal(1000, 10, (20, 30)) for _ in range(2)]
    true[1][4, 6] = 50000
    for ident in (1, 2):
        data = true[0] + 0.01 * true[1][:, ::-1] if ident == 1 else true[1]
        ndd = NDLater(data, ident=ident, unit="adu")
        stamp(ndd.meta, [Readout(name="1", data=(slice(0, 20), slice(0, 30)))])
        df.append(subtract_bias(ndd, bias=None))
    df.save()
    words = {
        "coefficients": {"1": {"2": 0.01}},
        "corners": {"1": "lower left", "2": "lower right"},
    }
    made = correct_crosstalk("chips.fits", **words)
    np.testing.assert_allclose(made[0].data, true[0], rtol=1e-6)
    assert made[0].meta["APPXTALK"] == made[1].meta["APPXTALK"] == 1
    with pytest.raises(ParameterError, match="by a crosstalk table already"):
        correct_crosstalk(made, out_names="again.fits", **words)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ({"coefficients": None}, "needs coefficients="),
        ({"corners": None}, "needs corners="),
        ({"coefficients": {"A": {"E": 1e-3}}}, "but not E"),
        ({"corners": {"A": "lower left"}}, "does not say where amplifier"),
        ({"coefficients": {"A": {"B": 1.0}}}, "cannot be right"),
        ({"coefficients": {"A": {"A": 1e-3}}}, "cannot be right"),
        ({"corners": {"A": "left"}}, "lower left"),
    ],
)
def test_what_cannot_be_is_refused(words, match):
    with pytest.raises(ParameterError, match=match):
        run(ndd_of(sky()), **words)


def test_frames_of_another_kind_are_refused():
    with pytest.raises(ParameterError, match="no bias was subtracted"):
        run(ndd_of(sky(), bias=False))
    with pytest.raises(UnitError, match="before correct_gain"):
        run(ndd_of(sky(), unit="electron"))
    ndd = ndd_of(sky())
    ndd.meta["APPLIN"] = 1
    with pytest.raises(ParameterError, match="by a linearity curve already"):
        run(ndd)
    ndd = ndd_of(sky())
    places = [PLACES["A"], (slice(0, NY), slice(NX, NX + 10))]
    stamp(
        ndd.meta, [Readout(name=n, data=p) for n, p in zip("AB", places, strict=True)]
    )
    with pytest.raises(ShapeError, match="not read at the same time"):
        run(ndd, coefficients={"A": {"B": 1e-3}})
