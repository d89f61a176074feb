"""Pixels that IRAF would read wrongly are converted with a warning, or refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.engines import Outcome
from ndmapper.engines.iraf.pixels import convert, fit_flags
from ndmapper.errors import ParameterError, StepError
from ndmapper.testing import make_mef

RunTask = Callable[..., Outcome]


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "f4", "f8"])
def test_these_are_as_they_are(dtype: str) -> None:
    array = np.arange(6, dtype=dtype)
    warnings: list[str] = []
    assert convert(array, "x", None, warnings) is array
    assert warnings == []


@pytest.mark.parametrize(
    ("dtype", "high", "target"),
    [
        ("u4", 1000, "i4"), ("u4", 2**32 - 1, "f8"), ("i8", -5, "i4"),
        ("i8", 2**40, "f8"), ("u8", 2**33, "f8"), ("u8", 1, "i4"),
    ],
)  # fmt: skip
def test_these_are_converted(dtype: str, high: int, target: str) -> None:
    array = np.array([0, high], dtype=dtype)
    warnings: list[str] = []
    made = convert(array, "raw.fits[1]", None, warnings)
    assert made.dtype == np.dtype(target)
    assert [int(v) for v in made] == [0, high]
    assert warnings[0].startswith(f"raw.fits[1] is {array.dtype}, which IRAF does not")


def test_too_large_integers() -> None:
    with pytest.raises(StepError, match=r"raw\.fits\[1\] is int64 .* holds exactly"):
        convert(np.array([2**60 + 1]), "raw.fits[1]", None, [])
    with pytest.raises(StepError, match="complex"):
        convert(np.array([1j]), "raw.fits[1]", None, [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_pixels(bad: float) -> None:
    array = np.array([1, bad, 3], dtype="f4")
    with pytest.raises(StepError, match=r"raw\.fits\[1\] has 1 pixels that are NaN"):
        convert(array, "raw.fits[1]", None, [])
    warnings: list[str] = []
    made = convert(array, "raw.fits[1]", -9.0, warnings)
    np.testing.assert_array_equal(made, [1, -9, 3])
    assert made.dtype == np.float32
    assert "1 pixels of raw.fits[1]" in warnings[0]


def test_opposite_infinities_and_large_sums() -> None:
    with pytest.raises(StepError, match="has 2 pixels"):
        convert(np.array([np.inf, -np.inf]), "x", None, [])
    large = np.array([1.7e308, 1.7e308])
    assert convert(large, "x", None, []) is large


def test_flags_get_their_type_again() -> None:
    assert fit_flags(np.array([0.0, 5.0]), np.dtype("u2"), "x").dtype == np.uint16
    assert fit_flags(np.array([0, 70000]), np.dtype("u2"), "x").dtype == np.uint32
    assert fit_flags(np.array([0, 7], "i4"), np.dtype("u1"), "x").dtype == np.uint8
    with pytest.raises(StepError, match="no bits any more"):
        fit_flags(np.array([0.5]), np.dtype("u2"), "x")
    with pytest.raises(StepError, match="no bits any more"):
        fit_flags(np.array([-1]), np.dtype("u2"), "x")


@pytest.mark.iraf
@pytest.mark.parametrize(
    "dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8", "i1"]
)
def test_no_type_is_read_wrongly(run_iraf: RunTask, tmp_path: Path, dtype: str) -> None:
    kind = np.dtype(dtype)
    info: Any = np.iinfo(kind) if kind.kind in "iu" else np.finfo(kind)
    high = min(int(info.max), 2**52) if kind.kind in "iu" else 1.5
    pixels = np.array([[0, 1, 2], [3, 4, high]]).astype(kind)
    fits.PrimaryHDU(pixels).writeto(tmp_path / "x.fits")
    outcome = run_iraf(
        "images.imutil.imcopy", {"input": tmp_path / "x.fits"}, {"output": "y.fits"}
    )
    made = outcome.products["output"][0].data
    np.testing.assert_array_equal(made.astype("f8"), pixels.astype("f8"))
    assert bool(outcome.warnings) == (dtype in ("u4", "i8"))


@pytest.mark.iraf
@pytest.mark.parametrize("whole", [True, False])
def test_nan_is_never_zero(run_iraf: RunTask, tmp_path: Path, *, whole: bool) -> None:
    path = make_mef(tmp_path / "x.fits")
    with fits.open(path, mode="update") as hdus:
        hdus["SCI", 2].data[1, 2] = np.nan
    words = {"MEF_ext": not whole}
    arguments: dict[str, Any] = {"fields": "K", "value": "1", "add": True}
    with pytest.raises(StepError, match=r"x\.fits\[2\] has 1 pixels .* nan_value="):
        run_iraf(
            "images.imutil.hedit", {"images": path}, {"images": "y.fits"}, words=words,
            verify=False, **arguments,
        )  # fmt: skip
    words["nan_value"] = -999
    if not whole:
        outcome = run_iraf(
            "images.imutil.imcopy", {"input": path}, {"output": "y.fits"}, words=words
        )
        assert outcome.products["output"][1].data[1, 2] == -999
        assert "1 pixels of" in outcome.warnings[0]


def test_nan_value_is_a_number(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "x.fits")
    with pytest.raises(ParameterError, match="nan_value must be a number"):
        run_iraf(
            "images.imutil.imcopy", {"input": path}, {"output": "y.fits"},
            words={"nan_value": "zero"},
        )  # fmt: skip
