"""Mosaics of amplifiers and chips."""

import numpy as np
import pytest
from astropy import units as u
from astropy.wcs import WCS

from ndmapper import config
from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, ShapeError, UnitError
from ndmapper.lib.ccd.readout import Readout, readouts, stamp
from ndmapper.lib.image import make_mosaic


def detector(ny=20, nx=48):
    """Number the pixels of a detector, with variance and flags of their own."""
    data = np.arange(ny * nx, dtype=np.float32).reshape(ny, nx)
    return data, data / 7 + 1, (data.astype(int) % 5 == 0).astype(np.uint16) * 4


def part(x, y, ident, *, turn=(1, 1), whole=None, binning=1):
    """Cut an extension out of the detector, and say in its header where."""
    data, variance, flags = whole or detector()
    cut = np.s_[slice(*y), slice(*x)]
    step = np.s_[:: turn[1], :: turn[0]]
    ndd = NDLater(
        data[cut][step].copy(), variance=variance[cut][step].copy(),
        flags=flags[cut][step].copy(), ident=ident, unit=u.electron,
    )  # fmt: skip
    ends = [
        (binning * low + 1, binning * high)[::way]
        for (low, high), way in zip((x, y), turn, strict=True)
    ]
    ndd.meta["DETSEC"] = "[" + ",".join(f"{a}:{b}" for a, b in ends) + "]"
    if binning > 1:
        ndd.meta["CCDSUM"] = f"{binning} {binning}"
    return ndd


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize("turn", [(1, 1), (-1, 1), (1, -1), (-1, -1)])
def test_parts_are_put_together_again(turn, binning):
    parts = [
        part((0, 24), (0, 20), 1, binning=binning),
        part((24, 48), (0, 20), 2, turn=turn, binning=binning),
    ]
    made = make_mosaic(DataFile("x.fits", data=parts), save=False)[0]
    data, variance, flags = detector()
    assert np.array_equal(made.data, data)
    assert np.allclose(made.variance, variance)
    assert np.array_equal(made.flags, flags)
    assert made.unit == u.electron
    assert made.meta["DETSEC"] == f"[1:{48 * binning},1:{20 * binning}]"


def test_gaps_have_no_data():
    parts = [part((4, 20), (2, 20), "left"), part((26, 48), (0, 18), "right")]
    made = make_mosaic(DataFile("x.fits", data=parts), save=False)[0]
    data, _, flags = detector()
    assert made.shape == (20, 44)
    assert np.array_equal(made.data[2:, :16], data[2:, 4:20])
    assert np.array_equal(made.data[:18, 22:], data[:18, 26:])
    gap = np.isnan(made.data)
    assert gap.sum() == 20 * 44 - 16 * 18 - 22 * 18
    assert (made.flags[gap] == 16).all()
    assert np.array_equal(made.flags[2:, :16], flags[2:, 4:20])


def test_integers_become_floats_that_hold_them():
    ndd = NDLater(np.full((4, 4), 70_001, np.int32), ident=1)
    ndd.meta["DETSEC"] = "[1:4,1:4]"
    other = NDLater(np.full((4, 4), 16_777_217, np.int32), ident=2)
    other.meta["DETSEC"] = "[7:10,1:4]"
    made = make_mosaic(DataFile("x.fits", data=[ndd, other]), save=False)[0]
    assert made.data[0, 0] == 70_001
    assert made.data[0, 9] == 16_777_217
    assert made.variance is None


def test_amplifiers_are_described_at_their_new_places():
    parts = [part((0, 24), (0, 20), 1), part((24, 48), (0, 20), 2, turn=(-1, 1))]
    for gain, ndd in zip((1.5, 2.5), parts, strict=True):
        # The outer columns are not its own.
        own = Readout(name=f"a{gain}", data=np.s_[0:20, 0:24], gain=gain)
        stamp(ndd.meta, [own])
    made = make_mosaic(DataFile("x.fits", data=parts), save=False)[0]
    found = readouts(made)
    assert [r.gain for r in found] == [1.5, 2.5]
    assert [r.data for r in found] == [np.s_[0:20, 0:24], np.s_[0:20, 24:48]]


@pytest.mark.parametrize("turn", [(1, 1), (-1, 1), (-1, -1)])
def test_coordinates_are_those_of_the_parts(turn):
    parts = [part((10, 34), (3, 20), 1, turn=turn), part((34, 48), (0, 20), 2)]
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [10, 20], [5.0, 8.0]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    parts[0].wcs = wcs
    made = make_mosaic(DataFile("x.fits", data=parts), save=False)[0]
    x, y = 6, 9
    value = parts[0].data[y, x]
    rows, columns = np.nonzero(made.data == value)
    world = made.wcs.all_pix2world(columns, rows, 0)
    assert np.allclose(np.ravel(world), np.ravel(wcs.all_pix2world(x, y, 0)), atol=1e-9)


@pytest.mark.parametrize("move", [(2, -1), (0.5, 0.0), (0.3, 0.6, 4.0)])
def test_chips_that_are_moved_lie_where_they_are_said_to(move):
    # A plane is interpolated without error.
    y, x = np.mgrid[:40, :60].astype(float)
    plane = 5 + 2 * x - 0.5 * y
    chips = [
        NDLater(plane.copy(), variance=np.ones_like(plane), ident=1),
        NDLater(plane.copy(), variance=np.ones_like(plane), ident=2),
    ]
    chips[0].meta["DETSEC"] = "[1:60,1:40]"
    chips[1].meta["DETSEC"] = "[71:130,1:40]"
    df = DataFile("x.fits", data=chips)
    made = make_mosaic(df, moves={"2": move}, save=False)[0]
    assert np.array_equal(made.data[:, :60], plane.astype(made.dtype))
    dx, dy, *angle = move
    turn = np.exp(1j * np.deg2rad(angle[0] if angle else 0))
    rows, columns = np.nonzero(np.isfinite(made.data[:, 66:]))
    columns = columns + 66
    assert len(rows) > 1800
    middle = 29.5 + 19.5j
    there = (columns + 1j * rows - (70 + dx + 1j * dy) - middle) / turn + middle
    expected = 5 + 2 * there.real - 0.5 * there.imag
    assert np.allclose(made.data[rows, columns], expected, atol=1e-3)
    noise = made.variance[rows, columns]
    assert noise.max() <= 1.0001
    if move[0] == 0.5:
        assert np.allclose(noise, 0.5)  # two pixels of half the weight each


def test_saved_with_prefix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DataFile(
        "x.fits", data=[part((0, 24), (0, 20), 1), part((24, 48), (0, 20), 2)]
    ).save()
    make_mosaic("x.fits")
    assert np.array_equal(DataFile("mx.fits")[0].data, detector()[0])


def test_places_are_given_where_no_card_has_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"left": "[1:24,1:20]", "right": "[48:25,1:20]"}
    parts = [
        part((0, 24), (0, 20), "left"),
        part((24, 48), (0, 20), "right", turn=(-1, 1)),
    ]
    for ndd in parts:
        del ndd.meta["DETSEC"]
    files = DataFile("x.fits", data=parts)
    files.meta["INSTRUME"] = "Wide"
    made = make_mosaic(files, places=places, save=False)[0]
    assert np.array_equal(made.data, detector()[0])
    assert "DETSEC" not in parts[0].meta
    (tmp_path / "wide.toml").write_text(
        'schema = 1\n[applies]\nINSTRUME = "Wide"\n[steps.make_mosaic.places]\n'
        + "".join(f'{name} = "{section}"\n' for name, section in places.items())
    )
    files.save()
    with config.using(instrument="wide.toml"):
        made = make_mosaic("x.fits")[0]
    assert np.array_equal(made.data, detector()[0])
    with pytest.raises(ParameterError, match="no extension 'lft'"):
        make_mosaic(files, places={"lft": "[1:24,1:20]"}, save=False)
    with pytest.raises(ParameterError, match=r"x\.fits\[right\] .*section of each"):
        make_mosaic(files, places={"left": "[1:24,1:20]"}, save=False)


def test_what_cannot_be_put_together():
    def made(*parts, **words):
        return make_mosaic(DataFile("x.fits", data=list(parts)), save=False, **words)

    one = part((0, 24), (0, 20), 1)
    lost = part((24, 48), (0, 20), 2)
    del lost.meta["DETSEC"]
    with pytest.raises(ParameterError, match=r"x\.fits\[2\] .* DETSEC is not there"):
        made(one, lost)
    lost.meta["DETSEC"] = "[25:60,1:20]"
    with pytest.raises(ParameterError, match="trim its overscan first"):
        made(one, lost)
    with pytest.raises(ParameterError, match="both lie at"):
        made(one, part((20, 44), (0, 20), 2))
    with pytest.raises(ShapeError, match="is binned 2 x 2"):
        made(one, part((24, 48), (0, 20), 2, binning=2))
    odd = part((24, 48), (0, 20), 2, binning=2)
    odd.meta["DETSEC"] = "[50:97,1:40]"
    with pytest.raises(ParameterError, match="no whole number of binned pixels"):
        made(part((0, 24), (0, 20), 1, binning=2), odd)
    other = part((24, 48), (0, 20), 2)
    other.unit = u.adu
    with pytest.raises(UnitError, match="is in adu"):
        made(one, other)
    far = part((24, 48), (0, 20), 2)
    far.meta["DETSEC"] = "[90000025:90000048,1:20]"
    with pytest.raises(ParameterError, match="nearly all of them gaps"):
        made(one, far)
    with pytest.raises(ParameterError, match="no extension 'z' to be moved"):
        made(one, moves={"z": [1, 1]})
    with pytest.raises(ParameterError, match="is moved by dx, dy"):
        made(one, moves={"1": [1]})
