"""Offsets of exposures whose images were drawn with one."""

import numpy as np
import pytest
from astropy.table import Table
from shared_fields import field, image_of, sky, write_field

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import ParameterError, StepError
from ndmapper.lib.muse.offset_list import exposure_of, row_of
from ndmapper.lib.muse.offsets import measure_offsets
from ndmapper.lib.muse.trials import ask_offset

SHAPE = (160, 160)
COS = np.cos(np.radians(27.8))
SOURCES = field(11, 160)
# Shift [pixel], rotation [degree], seeing, brightness, level.
TRUE = [(3.2, -5.1, 0.3, 1.9, 1.2, 12.0), (-8.0, 2.3, -0.2, 2.5, 0.8, -5.0)]


@pytest.fixture
def names(folder):
    config["reprocess"] = True
    big = (190, 190)
    write_field("ref.fits", image_of(SOURCES, big, seeing=1.5, noise=2.0), sky(big))
    return [
        write_field(
            f"e{n}.fits",
            image_of(SOURCES, SHAPE, (dx, dy, angle), seeing=seeing, scale=scale,
                     level=level, noise=3.0, seed=n),
            sky(SHAPE), n,
        )
        for n, (dx, dy, angle, seeing, scale, level) in enumerate(TRUE, 1)
    ]  # fmt: skip


def offsets(df):
    """Give east and north [arcsec], and the rotation [degree], of all rows."""
    table = df.tables["OFFSET_LIST"]
    return np.column_stack([
        table["RA_OFFSET"] * COS * 3600, table["DEC_OFFSET"] * 3600, table["ROTANGLE"],
    ])  # fmt: skip


def test_what_was_put_in_comes_out(names):
    made = measure_offsets(names, reference="ref.fits")
    table = made.tables["OFFSET_LIST"]
    assert made.meta["HIERARCH ESO PRO CATG"] == "OFFSET_LIST"
    for row, found, (dx, dy, angle, _, scale, level) in zip(
        table, offsets(made), TRUE, strict=True
    ):
        # East is at the left; a star at p shows, and is at p + d: measured less right.
        assert found[:2] == pytest.approx([0.2 * dx, -0.2 * dy], abs=0.05 * 0.2)
        assert found[2] == pytest.approx(-angle, abs=0.01)
        assert 1 / row["FLUX_SCALE"] == pytest.approx(scale, rel=0.01)
        assert row["BACKGROUND"] == pytest.approx(-level, abs=0.3)
        assert row["VALID_FRACTION"] > 0.8
        assert 0 < row["OFFSET_ERROR"] < 0.01
    numbers = made.record[-1]["qc"]
    assert {"east[e1]", "flux_scale[e2]", "correlation[e1]"} <= set(numbers)


@pytest.mark.parametrize("turned", [{"angle": 70.0}, {"flip": True}])
def test_signs_hold_for_any_orientation(names, turned):
    # On the sky, an exposure that shows everything too far east by .6 and north by .4.
    wcs = sky(SHAPE, **turned)
    middle = np.array([79.5, 79.5])
    ra, dec = wcs.all_pix2world([middle], 0)[0]
    shown = wcs.all_world2pix([[ra + 0.6 / 3600 / COS, dec + 0.4 / 3600]], 0)[0]
    dx, dy = middle - shown
    write_field("a.fits", image_of(SOURCES, SHAPE, noise=2.0), wcs, 1)
    moved = image_of(SOURCES, SHAPE, (dx, dy, 0.25), noise=2.0, seed=5)
    write_field("b.fits", moved, wcs, 2)
    made = offsets(measure_offsets(["a.fits", "b.fits"], out_names="o.fits"))
    assert made[0] == pytest.approx([0, 0, 0])
    assert made[1, :2] == pytest.approx([0.6, 0.4], abs=0.01)
    # Position angles, from north to east, run from x to y where east is at the left.
    sign = 1 if turned.get("flip") else -1
    assert made[1, 2] == pytest.approx(sign * 0.25, abs=0.01)


def test_guess_and_user_offsets_add_up(names):
    first = measure_offsets(names, reference="ref.fits", out_names="first.fits")
    right = offsets(first)
    # Without measuring, they are what comes out.
    made = measure_offsets(
        names, reference="ref.fits", measure="none", guess=first,
        user={"e1": (0.1, -0.2, 0.05)}, out_names="second.fits",
    )  # fmt: skip
    assert offsets(made)[0] == pytest.approx(right[0] + [0.1, -0.2, 0.05], abs=1e-6)
    assert offsets(made)[1] == pytest.approx(right[1], abs=1e-6)
    table = made.tables["OFFSET_LIST"]
    assert table["RA_OFFSET_ORIG"][0] == first.tables["OFFSET_LIST"]["RA_OFFSET"][0]
    # From a guess beyond reach it cannot be found, with a user's offset it is.
    words = {"reference": "ref.fits", "reach": 0.4, "out_names": "third.fits"}
    with pytest.raises(StepError, match=r"e1\.fits"):
        measure_offsets(names[:1], **words)
    made = measure_offsets(names[:1], user={names[0]: (0.6, 0.9)}, **words)
    assert offsets(made)[0] == pytest.approx(right[0], abs=2e-3)
    made = measure_offsets(
        names[:1], user={"e1": (-3.0, 5.0)}, user_unit="pixel", **words
    )
    assert offsets(made)[0] == pytest.approx(right[0], abs=2e-3)


def test_another_field_is_refused(names):
    write_field("x.fits", image_of(field(99, 160), SHAPE, noise=3.0), sky(SHAPE), 3)
    rng = np.random.default_rng(2)
    write_field("blank.fits", rng.normal(0, 3.0, SHAPE), sky(SHAPE), 4)
    with pytest.raises(StepError, match=r"blank\.fits against ref\.fits.*same field"):
        measure_offsets(["blank.fits"], reference="ref.fits")


def test_units_of_the_reference(names, caplog):
    big = (190, 190)
    image = image_of(SOURCES, big, seeing=1.5, noise=2.0)
    write_field("cgs.fits", image * 1e-20, sky(big), unit="erg/s/cm**2/Angstrom")
    made = measure_offsets(names, reference="cgs.fits", out_names="a.fits")
    scale = made.tables["OFFSET_LIST"]["FLUX_SCALE"]
    assert np.asarray(1 / scale) == pytest.approx([1.2, 0.8], rel=0.01)
    # 1 Jy is 2.998e-5 / wavelength**2 erg/s/cm2/Angstrom.
    write_field("jy.fits", image * 1e-20 * 6000**2 / 2.99792458e-5, sky(big), unit="Jy")
    words = {"reference": "jy.fits", "reprocess": True}
    made = measure_offsets(names, out_names="b.fits", pivot=6000.0, **words)
    scale = made.tables["OFFSET_LIST"]["FLUX_SCALE"]
    assert np.asarray(1 / scale) == pytest.approx([1.2, 0.8], rel=0.01)
    with caplog.at_level("WARNING", "ndmapper"):
        made = measure_offsets(names, out_names="c.fits", **words)
    assert "FLUX_SCALE stays open" in caplog.text
    scale = made.tables["OFFSET_LIST"]["FLUX_SCALE"]
    assert np.all(np.isnan(np.ma.filled(scale, np.nan)))


def test_common_footprint(names):
    made = measure_offsets(names, reference="ref.fits", common=True)
    assert offsets(made)[1, 1] == pytest.approx(-0.2 * 2.3, abs=0.01)
    far = sky(SHAPE)
    far.wcs.crval = [54.0, -27.8]
    write_field("far.fits", image_of(SOURCES, SHAPE), far, 7)
    with pytest.raises(StepError, match="in all 3 images"):
        measure_offsets(
            [*names, "far.fits"], reference="ref.fits", common=True, out_names="c.fits"
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"user": {"e9": (0, 0)}}, "names no exposure.*are e1, e2"),
        ({"user": {"e1": (0,)}}, "two or three"),
        ({"guess": "ref.fits"}, "no OFFSET_LIST"),
    ],
)
def test_what_is_wrong_is_said(names, words, message):
    with pytest.raises(ParameterError, match=message):
        measure_offsets(names, reference="ref.fits", **words)


def test_exposures_must_be_distinct_images_with_a_date(names):
    write_field("again.fits", np.ones(SHAPE), sky(SHAPE), 1)
    with pytest.raises(ParameterError, match="one exposure"):
        measure_offsets([names[0], "again.fits"], reference="ref.fits")
    df = DataFile(names[0], mode="update")
    del df.meta["MJD-OBS"]
    df.save()
    with pytest.raises(ParameterError, match="MJD-OBS None"):
        measure_offsets(names, reference="ref.fits")


def test_a_row_with_a_date_twice_is_refused(names):
    made = measure_offsets(names, reference="ref.fits")
    made.tables["OFFSET_LIST"] = Table(made.tables["OFFSET_LIST"][[0, 0]])
    with pytest.raises(ParameterError, match="2 rows of the date"):
        row_of(made, exposure_of(DataFile(names[0])))


def test_trials_are_kept_and_replayed(names, monkeypatch):
    lines = iter(["0.1 0.2", "add 0.1 0", "compare", "accept", "clear"])
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    words = {"reference": "ref.fits", "reprocess": "auto"}
    one = names[:1]
    made = measure_offsets(one, interact=True, **words)
    assert offsets(made)[0] == pytest.approx([0.2, 0.2, 0.0], abs=1e-9)
    # Nobody is asked, and it holds.
    made = measure_offsets(one, **words | {"reprocess": True})
    assert offsets(made)[0] == pytest.approx([0.2, 0.2, 0.0], abs=1e-9)
    made = measure_offsets(one, interact=True, **words | {"reprocess": True})
    assert offsets(made)[0, 0] == pytest.approx(0.64, abs=0.01)


def asked(*lines, accepted=None):
    told, answers = [], iter(lines)

    def read(_):
        try:
            return next(answers)
        except StopIteration:
            raise EOFError from None

    found = ask_offset(
        "e1", (1.0, 2.0, 0.0), accepted, lambda trial: trial[0], read=read,
        write=told.append,
    )  # fmt: skip
    return found, "\n".join(told)


def test_dialogue():
    assert asked("accept")[0] is None
    assert asked("-0.5 -0.25", "accept")[0] == [-0.5, -0.25, 0.0]
    assert asked("3 4 0.1", "5 6", "accept 1")[0] == [3.0, 4.0, 0.1]
    found, told = asked("what", "1 nan", "accept 7", accepted=[1.0, 1.0, 0.0])
    assert found == [1.0, 1.0, 0.0]  # the end of the input changes nothing
    assert "no offset 7" in told
    assert asked("clear", accepted=[1.0, 1.0, 0.0])[0] is None


def test_an_edited_decision_that_is_no_offset(names, monkeypatch):
    monkeypatch.setattr(
        "ndmapper.lib.muse.trials.decide", lambda name, ask, default: "nonsense"
    )
    with pytest.raises(ParameterError, match=r"\[east, north, rotation\]"):
        measure_offsets(names[:1], reference="ref.fits")
