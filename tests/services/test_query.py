"""Asking again, asking several servers, and what is noted of answers."""

import logging
from pathlib import Path

import pytest
from astropy.io import fits
from shared_helpers import read_document, write_document

from ndmapper.calibrations import associate_cals, survey
from ndmapper.errors import ServiceError, ServiceUnreachableError
from ndmapper.lib.simulate import simulate_night
from ndmapper.services import look_up_cals

DEPENDENCIES = {"target": ["bias", "flat"], "flat": ["bias"]}


def test_look_up_keeps_null_of_the_user_and_says_so(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look_up_cals("x.fits", DEPENDENCIES, lambda *_: ["b1.fits"], cache)
    edited = read_document(cache)
    edited["associations"]["x.fits"]["bias"] = None
    write_document(cache, edited)
    with caplog.at_level(logging.INFO):
        found = look_up_cals("x.fits", DEPENDENCIES, lambda *_: ["b2.fits"], cache)
    assert found["associations"]["x.fits"]["bias"] is None
    assert "none, as the document says: bias of x.fits" in caplog.text


def test_look_up_asks_again_for_its_own_null(
    cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    look_up_cals("x.fits", {"target": ["bias"]}, lambda *_: None, cache)
    with caplog.at_level(logging.INFO):
        look_up_cals("x.fits", {"target": ["bias"]}, lambda *_: ["b1.fits"], cache)
    assert read_document(cache)["associations"]["x.fits"]["bias"] == "b1_bias.fits"
    assert "bias of x.fits: b1.fits instead of none" in caplog.text


def test_look_up_in_turn_asks_the_second_for_what_the_first_has_not() -> None:
    servers = [
        lambda name, kind: ["f1.fits"] if kind == "flat" else None,
        lambda name, kind: [f"{kind}2.fits"],
    ]
    found = look_up_cals("x.fits", DEPENDENCIES, servers)
    assert found["associations"]["x.fits"] == {
        "bias": "bias2_bias.fits",
        "flat": "f1_flat.fits",
    }


def test_look_up_in_turn_goes_past_a_service_that_fails(tmp_path: Path) -> None:
    found = look_up_cals(
        "x.fits", DEPENDENCIES, ["local", lambda *_: ["b1.fits"]], dirname=tmp_path
    )
    assert found["associations"]["x.fits"]["bias"] == "b1_bias.fits"
    assert found["answers"]["x.fits"]["bias"]["source"] == "<lambda>"


def test_look_up_in_turn_does_not_take_a_failure_for_none() -> None:
    def stopped(filename: str, cal_type: str) -> None:
        raise ServiceError("the archive does not answer")

    with pytest.raises(ServiceError, match="does not answer"):
        look_up_cals("x.fits", DEPENDENCIES, [lambda *_: None, stopped])


def test_look_up_notes_source_rules_and_quality(tmp_path: Path) -> None:
    simulate_night(tmp_path)
    name = survey(tmp_path)["file"][-1]
    found = look_up_cals(tmp_path / name, {"target": ["bias"]})
    noted = found["answers"][name]["bias"]
    assert (noted["source"], noted["rules"], noted["quality"]) == ("local", "simcam", 0)
    assert noted["why"].startswith("5 of class bias, same shape")


def test_look_up_takes_a_calibration_made_in_another_folder(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "masters").mkdir()
    simulate_night(tmp_path / "raw")
    frames = survey(tmp_path / "raw")
    name = frames["file"][-1]
    for bias in frames["file"][frames["class"] == "bias"]:
        (tmp_path / "raw" / bias).rename(tmp_path / "masters" / f"old_{bias}")
    made = tmp_path / "masters" / "old_bias.fits"
    (tmp_path / "masters" / f"old_{frames['file'][0]}").rename(made)
    with fits.open(made, mode="append") as hdus:
        hdus.append(fits.BinTableHDU(name="NDM_RECORD"))
    for raw in (tmp_path / "masters").glob("old_sim*"):
        raw.unlink()
    found = look_up_cals(
        tmp_path / "raw" / name, {"target": ["bias"]},
        dirname=[tmp_path / "raw", tmp_path / "masters"],
    )  # fmt: skip
    assert found["associations"][name]["bias"] == "old_bias.fits"
    assert found["calibrations"] == {}
    (df,) = associate_cals({}, [tmp_path / "raw" / name], "bias", cal_dict=found)
    assert df.cals["bias"].filename == made


def test_look_up_refresh_asks_again_for_null(cache: Path) -> None:
    look_up_cals("x.fits", {"target": ["bias"]}, lambda *_: None, cache)
    found = look_up_cals(
        "x.fits", {"target": ["bias"]}, lambda *_: ["b1.fits"], cache, refresh=True
    )
    assert found["associations"]["x.fits"]["bias"] == "b1_bias.fits"


def test_server_that_does_not_answer_is_asked_once(cache: Path) -> None:
    names = [f"x{i}.fits" for i in range(5)]
    look_up_cals(names, DEPENDENCIES, lambda *_: None, cache)
    before, asked = cache.read_bytes(), []

    def stopped(name: str, cal_type: str) -> None:
        asked.append(name)
        msg = "nobody is there"
        raise ServiceUnreachableError(msg)

    look_up_cals(names, DEPENDENCIES, stopped, cache)
    assert len(asked) == 1
    assert cache.read_bytes() == before
    # Others of the same name answer all the same.
    found = look_up_cals(names, DEPENDENCIES, [stopped, lambda *_: ["b.fits"]])
    assert set(found["calibrations"]) == {"b_bias.fits", "b_flat.fits"}
    assert len(asked) == 2
