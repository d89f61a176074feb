"""Flags of saturated pixels, of trails, and of edges."""

import numpy as np
import pytest

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import ParameterError
from ndmapper.lib.ccd import Readout, correct_gain, flag_edges, flag_saturated, stamp


def frame(*, levels=(50000.0, 40000.0), ident=1):
    """Give a frame of two amplifiers side by side, with a trail in each."""
    data = np.full((60, 80), 100.0, "f4")
    for number, column in enumerate((20, 60)):
        data[30, column - 1 : column + 2] = levels[number] * 0.6
        data[10:50, column] = 0.93 * levels[number]
        data[28:33, column] = 0.97 * levels[number]
        data[30, column] = levels[number] + 10
    ndd = NDLater(data, ident=ident, unit="adu")
    readouts = [
        Readout(
            name="AB"[k], data=(slice(0, 60), slice(40 * k, 40 * k + 40)),
            gain=(2.0, 1.25)[k], read_noise=4.0, saturation=levels[k],
        )
        for k in (0, 1)
    ]  # fmt: skip
    stamp(ndd.meta, readouts)
    return ndd


def saturated(ndd):
    return ndd.flagged("SATURATED")


def test_trails_are_flagged_by_the_level_of_each_amplifier():
    pytest.importorskip("scipy")
    result = flag_saturated(frame(), grow=0)
    expected = np.zeros((60, 80), bool)
    expected[10:50, [20, 60]] = True
    np.testing.assert_array_equal(saturated(result), expected)
    assert (result.meta["NSATUR"], result.meta["NBLED"]) == (2, 78)


def test_trails_along_rows_and_none():
    pytest.importorskip("scipy")
    turned = frame()
    turned.data[:] = 100
    turned.data[30, 5:35] = 47000
    turned.data[30, 15] = 50001
    assert saturated(flag_saturated(turned, bleeds_along="x", grow=0)).sum() == 30
    for way in ("y", "none"):
        assert saturated(flag_saturated(turned, bleeds_along=way, grow=0)).sum() == 1


def test_grown_by_pixels_on_all_sides():
    result = flag_saturated(frame(), bleeds_along="none", grow=2)
    assert saturated(result)[28:33, 18:23].all()
    assert saturated(result).sum() == 50


def test_level_that_is_given_and_that_of_electrons():
    given = flag_saturated(frame(), saturation=48000, bleeds_along="none", grow=0)
    assert saturated(given)[28:33, 20].all()
    assert saturated(given)[:, 40:].sum() == 0
    plain = flag_saturated(frame(), bleeds_along="none")
    electrons = flag_saturated(correct_gain(frame()), bleeds_along="none")
    np.testing.assert_array_equal(saturated(electrons), saturated(plain))


def test_what_was_flagged_before_starts_trails_and_stays():
    pytest.importorskip("scipy")
    ndd = frame()
    ndd.data[30, 20] = 48500  # the bias that was subtracted has more structure
    flags = np.zeros(ndd.shape, "u2")
    flags[30, 20], flags[5, 5] = Flag.SATURATED, Flag.BAD
    result = flag_saturated(ndd.replace(flags=flags), grow=0)
    assert saturated(result)[10:50, 20].all()
    assert result.flags[5, 5] == Flag.BAD


def test_unknown_level_is_an_error():
    ndd = NDLater(np.ones((20, 20)))
    stamp(ndd.meta, [Readout(name="A", data=(slice(0, 20), slice(0, 20)))])
    with pytest.raises(ParameterError, match="the saturation of amplifier A"):
        flag_saturated(ndd)


def test_edges_of_the_image_and_of_amplifiers():
    of_image = flag_edges(frame(), left=1, right=2, bottom=3)
    bad = of_image.flagged("BAD")
    assert bad[:, [0, 78, 79]].all()
    assert bad[:3].all()
    assert bad.sum() == 3 * 60 + 3 * 77
    parts = flag_edges(frame(), left=1, top=2, of="amplifiers").flagged("BAD")
    assert parts[:, [0, 40]].all()
    assert parts[-2:].all()
    assert parts.sum() == 2 * (60 + 2 * 39)


def test_edges_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match="nothing says how many"):
        flag_edges(frame())
    with pytest.raises(ParameterError, match="leave nothing"):
        flag_edges(frame(), left=20, right=20, of="amplifiers")


TABLE = """
schema = 1
description = "mine"
[applies]
INSTRUME = "MINE"
[steps.flag_edges]
left = 2
of = "amplifiers"
[steps.flag_saturated]
bleeds_along = "none"
"""


def test_table_of_the_instrument_says_how(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(TABLE)
    df = DataFile("x.fits", data=[frame()], mode="new")
    df.save()
    made = flag_edges("x.fits", instrument="mine.toml")
    assert made[0].flagged("BAD")[:, [0, 1, 40, 41]].all()
    made = flag_saturated("x.fits", grow=0, instrument="mine.toml")
    assert made[0].meta["NBLED"] == 0
