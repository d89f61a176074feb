"""Headers come back as they were, but for what a task did to them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.engines import Outcome
from ndmapper.engines.iraf.headers import header_for, header_from, without_inherited
from ndmapper.testing import make_mef

RunTask = Callable[..., Outcome]

Header = fits.Header


def test_a_task_sees_the_primary_header(tmp_path: Path) -> None:
    path = make_mef(
        tmp_path / "x.fits", primary={"EXPTIME": 5.0, "GAIN": 1.0, "OBJECT": "it's"},
        extension={"GAIN": 2.0},
    )  # fmt: skip
    df = DataFile(path)
    header = header_for(df, df[0])
    assert header["EXPTIME"] == 5
    assert header["GAIN"] == 2
    assert header["OBJECT"] == "it_s"
    assert not {"EXTNAME", "EXTVER", "XTENSION", "INHERIT"} & set(header)
    assert df.meta["OBJECT"] == "it's"
    assert not any(df.unloaded is False for df in [df])


def test_only_changes_are_taken_over() -> None:
    own = Header([("EXTNAME", "SCI"), ("GAIN", 2.0, "by hand"), ("GONE", 1)])
    given = Header([("GAIN", 2.0), ("GONE", 1), ("EXPTIME", 5.0), ("RA", "1:2")])
    made = Header(
        [("SIMPLE", True), ("BITPIX", 8), ("ORIGIN", "NOAO-IRAF"), ("DATE", "now"),
         ("IRAF-TLM", "now"), ("EXPTIME", 10.0), ("RA", "1:2"), ("GAIN", 2.0),
         ("ZEROCOR", "done")]
    )  # fmt: skip
    header, changed = header_from(made, given, own)
    assert list(header) == ["EXTNAME", "GAIN", "EXPTIME", "ZEROCOR"]
    assert header.comments["GAIN"] == "by hand"
    assert changed == {"EXPTIME"}
    assert list(own) == ["EXTNAME", "GAIN", "GONE"]


def test_history_is_added_once() -> None:
    own = Header([("HISTORY", "old")])
    usual = "  FITS (Flexible Image Transport System) format is defined in 'Astronomy"
    made = Header([("HISTORY", "old"), ("HISTORY", "new"), ("COMMENT", usual)])
    header, _ = header_from(made, own, own)
    assert list(header["HISTORY"]) == ["old", "new"]
    assert "COMMENT" not in header


def test_coordinates_made_up_by_iraf_are_dropped() -> None:
    made_up = {"WCSDIM": 2, "LTM1_1": 1.0, "LTM2_2": 1.0, "WAT0_001": "system=physical",
               "WAT1_001": "wtype=linear", "CD1_1": 1.0, "CD2_2": 1.0}  # fmt: skip
    header, _ = header_from(Header(made_up), Header(), Header())
    assert len(header) == 0
    header, _ = header_from(Header(made_up | {"LTV1": -2.0}), Header(), Header())
    assert header["LTV1"] == -2
    given = Header({"CRPIX1": 3.0})
    header, _ = header_from(Header(made_up | {"CRPIX1": 3.0}), given, given)
    assert header["LTM1_1"] == 1


def test_cards_that_break_the_standard_are_compared() -> None:
    odd = fits.Card.fromstring("ODD     = 'not closed")
    own = Header([odd])
    header, _ = header_from(own.copy(), own, own)
    assert len(header) == 1


def test_what_inherit_brought_is_taken_out() -> None:
    primary = Header({"EXPTIME": 5.0, "GAIN": 1.0})
    own = Header({"GAIN": 1.0})
    made = Header({"EXPTIME": 5.0, "GAIN": 1.0, "NEW": 1})
    cleaned = without_inherited(made, primary, own, [primary])
    assert cleaned is not None
    assert list(cleaned) == ["GAIN", "NEW"]
    assert without_inherited(own, primary, own, [primary]) is None


def test_what_a_task_wrote_into_both_headers_stays_in_both() -> None:
    before = Header({"EXPTIME": 5.0, "GAIN": 2.0})
    primary = Header({"EXPTIME": 5.0, "GAIN": 1.0, "DISPAXIS": 1})
    made = Header({"EXPTIME": 5.0, "GAIN": 1.0, "DISPAXIS": 1})
    cleaned = without_inherited(made, primary, Header(), [Header(), before])
    assert cleaned is not None
    assert list(cleaned) == ["GAIN", "DISPAXIS"]
    assert without_inherited(made, primary, Header(), []) is None


@pytest.mark.iraf
def test_what_changes_everywhere_goes_to_the_primary_header(
    run_iraf: RunTask, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "x.fits", primary={"EXPTIME": 10.0})
    product: Path | DataFile = path
    for keyword in ("EXPTIME", "NEWKEY"):
        outcome = run_iraf(
            "images.imutil.hedit", {"images": product}, {"images": "y.fits"},
            words={"vardq": "carry"}, fields=keyword, value="20", add=True,
            verify=False, show=False,
        )  # fmt: skip
        product = outcome.products["images"]
    product.save(tmp_path / "y.fits")
    with fits.open(tmp_path / "y.fits") as hdus:
        assert hdus[0].header["EXPTIME"] == 20
        assert "EXPTIME" not in hdus["SCI", 1].header
        assert hdus["SCI", 2].header["NEWKEY"] == 20
        assert "NEWKEY" not in hdus[0].header
    assert DataFile(path).meta["EXPTIME"] == 10


@pytest.mark.iraf
def test_coordinates_follow_a_cut(run_iraf: RunTask, tmp_path: Path) -> None:
    cards = {"CTYPE1": "LINEAR", "CRPIX1": 1.0, "CRVAL1": 500.0, "CD1_1": 2.0,
             "CTYPE2": "LINEAR", "CRPIX2": 1.0, "CRVAL2": 0.0, "CD2_2": 1.0,
             }  # fmt: skip
    path = make_mef(tmp_path / "x.fits", extension=cards)
    outcome = run_iraf(
        "images.imgeom.blkavg", {"input": path}, {"output": "y.fits"}, b1=2, b2=2,
        words={"vardq": "drop"},
    )  # fmt: skip
    made = outcome.products["output"][0]
    assert made.shape == (3, 4)
    assert made.meta["CD1_1"] == 4
    before = DataFile(path)[0].data
    blocks = before.reshape(3, 2, 4, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(made.data, blocks)
    assert not outcome.warnings


@pytest.mark.iraf
def test_planes_of_another_shape_are_dropped(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits")
    outcome = run_iraf(
        "images.imgeom.blkavg", {"input": path}, {"output": "y.fits"}, b1=2, b2=2
    )
    assert not outcome.products["output"][0].has("flags")
    assert "another shape now: (3, 4), not (6, 8)" in " ".join(outcome.warnings)
