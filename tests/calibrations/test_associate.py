"""Associating processed calibrations with the files that they are for."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.calibrations import (
    add_cal_entry,
    associate_cals,
    init_cal_dict,
    save_cal_dict,
)
from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.errors import MissingCalibrationError, ParameterError
from ndmapper.io.record import encode


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Give a function that makes a small file and opens it."""

    def make_file(name: str, made_of: str | None = None) -> DataFile:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        fits.PrimaryHDU(np.zeros((2, 2), "f4")).writeto(path)
        if made_of is not None:
            raw = {"name": made_of, "digest": "sha256:0"}
            entry = {"schema": 1, "step": "test", "product": name, "inputs": [raw],
                     "key": f"sha256:{name}", "calibrations": {}, "references": {},
                     "run": {}}  # fmt: skip
            path.write_bytes(path.read_bytes() + encode([entry]))
        return DataFile(path)

    return make_file


@pytest.fixture
def cal_dict() -> dict[str, Any]:
    cal_dict = init_cal_dict()
    add_cal_entry("b27.fits.gz", "bias", ["b21.fits.gz", "b22.fits.gz"], cal_dict)
    add_cal_entry("b27.fits.gz", "flat", ["b11.fits.gz"], cal_dict)
    add_cal_entry("b24.fits.gz", "bias", None, cal_dict)
    return cal_dict


def test_associate_gives_each_input_its_calibration(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    add_cal_entry("b28.fits.gz", "bias", ["b31.fits.gz"], cal_dict)
    cals = DataFileList([make("b21_bias.fits"), make("b31_bias.fits")])
    inputs = DataFileList([make("b28.fits.gz"), make("b27.fits.gz")])
    associate_cals(cals, inputs, "bias", cal_dict=cal_dict)
    assert inputs[0].cals["bias"] is cals[1]
    assert inputs[1].cals["bias"] is cals[0]


def test_associate_returns_the_list_itself(make: Any, cal_dict: dict[str, Any]) -> None:
    inputs = DataFileList([make("b27.fits.gz")])
    bias = make("b21_bias.fits")
    assert associate_cals(bias, inputs, "bias", cal_dict=cal_dict) is inputs


def test_associate_one_file_returns_the_file(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, bias = make("b27.fits.gz"), make("b21_bias.fits")
    assert associate_cals(bias, df, "bias", cal_dict=cal_dict) is df
    assert df.cals == {"bias": bias}


def test_associate_plain_list_gives_a_list_of_the_same_files(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, bias = make("b27.fits.gz"), make("b21_bias.fits")
    result = associate_cals([bias], [df], "bias", cal_dict=cal_dict)
    assert isinstance(result, DataFileList)
    assert result[0] is df
    assert df.cals["bias"] is bias


def test_associate_takes_names(make: Any, cal_dict: dict[str, Any]) -> None:
    df, bias = make("b27.fits.gz"), make("b21_bias.fits")
    result = associate_cals(str(bias), str(df), "bias", cal_dict=cal_dict)
    assert str(result[0].cals["bias"]) == str(bias)


def test_associate_takes_a_mapping_of_names(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, bias = make("b27.fits.gz"), make("other_name.fits")
    associate_cals({"b21_bias.fits": bias}, df, "bias", cal_dict=cal_dict)
    assert df.cals["bias"] is bias


@pytest.mark.parametrize("name", ["b27.fits", "b27.fits.gz"])
def test_associate_compression_does_not_matter(
    make: Any, cal_dict: dict[str, Any], name: str
) -> None:
    df, bias = make(name), make("b21_bias.fits.gz")
    associate_cals(bias, df, "bias", cal_dict=cal_dict)
    assert df.cals["bias"] is bias


def test_associate_product_keeps_the_base_of_its_name(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path
) -> None:
    raw, bias = make("b27.fits.gz"), make("b21_bias.fits")
    product = DataFile(raw, prefix="ot", dirname=tmp_path, mode="new")
    associate_cals(bias, product, "bias", cal_dict=cal_dict)
    assert product.cals["bias"] is bias


def test_associate_product_opened_afresh_is_known_by_its_record(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    product, bias = make("otb27.fits", made_of="b27.fits.gz"), make("b21_bias.fits")
    associate_cals(bias, product, "bias", cal_dict=cal_dict)
    assert product.cals["bias"] is bias


def test_associate_given_the_document_in_the_place_of_files_says_so(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match="cal_dict=<the document>"):
        associate_cals(cal_dict, make("raw.fits"))


def test_associate_absent_association_is_left_out(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df = make("b99.fits")
    associate_cals(make("b21_bias.fits"), df, "bias", cal_dict=cal_dict)
    assert df.cals == {}


def test_associate_null_is_left_out(make: Any, cal_dict: dict[str, Any]) -> None:
    df = make("b24.fits")
    associate_cals(make("b21_bias.fits"), df, "bias", cal_dict=cal_dict)
    assert df.cals == {}


def test_associate_missing_calibration_names_all_places(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, other = make("b27.fits.gz"), make("b11_flat.fits")
    with pytest.raises(
        MissingCalibrationError,
        match=r"b27\.fits\.gz has the bias b21_bias\.fits, .*\(b11_flat\.fits\) nor in",
    ):
        associate_cals(other, df, "bias", cal_dict=cal_dict)


def test_associate_looks_in_the_folder_of_products(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path
) -> None:
    df = make("b27.fits.gz")
    bias = make("products/b21_bias.fits")
    with config.using(outdir=str(tmp_path / "products")):
        associate_cals([], df, "bias", cal_dict=cal_dict)
    assert str(df.cals["bias"]) == str(bias)


def test_associate_looks_beside_the_document(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path
) -> None:
    df, bias = make("b27.fits.gz"), make("night/b21_bias.fits")
    save_cal_dict(cal_dict, tmp_path / "night" / "calibrations.json")
    read = init_cal_dict(tmp_path / "night" / "calibrations.json")
    associate_cals([], df, "bias", cal_dict=read)
    assert str(df.cals["bias"]) == str(bias)


def test_associate_opens_a_calibration_on_disk_once(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path
) -> None:
    add_cal_entry("b28.fits", "bias", ["b21.fits.gz", "b22.fits.gz"], cal_dict)
    inputs = DataFileList([make("b27.fits.gz"), make("b28.fits")])
    make("b21_bias.fits")
    with config.using(outdir=str(tmp_path)):
        associate_cals([], inputs, "bias", cal_dict=cal_dict)
    assert inputs[0].cals["bias"] is inputs[1].cals["bias"]


def test_associate_follows_an_edit_of_the_user(make: Any, tmp_path: Path) -> None:
    document = {"associations": {"b27.fits.gz": {"bias": "my_bias.fits"}}}
    (tmp_path / "c.json").write_text(json.dumps(document))
    df, bias = make("b27.fits.gz"), make("my_bias.fits")
    associate_cals([], df, "bias", cal_dict=init_cal_dict(tmp_path / "c.json"))
    assert str(df.cals["bias"]) == str(bias)


def test_associate_from_type_gives_it_another_name(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, flat = make("b27.fits.gz"), make("b11_flat.fits")
    associate_cals(flat, df, "trace", from_type="flat", cal_dict=cal_dict)
    assert df.cals == {"trace": flat}


def test_associate_self_finds_another_stage_of_the_input(make: Any) -> None:
    inputs = DataFileList([make("S20120827S0066.fits"), make("S20120827S0067.fits")])
    cals = DataFileList([make("gS20120827S0067.fits"), make("gS20120827S0066.fits")])
    associate_cals(cals, inputs, "trace", from_type="self")
    assert [df.cals["trace"] for df in inputs] == [cals[1], cals[0]]


def test_associate_self_knows_products_by_their_record(make: Any) -> None:
    df = make("ob27.fits", made_of="b27.fits.gz")
    cal = make("xtob27.fits", made_of="b27.fits.gz")
    associate_cals(cal, df, "trace", from_type="self")
    assert df.cals["trace"] is cal


def test_associate_self_missing_is_an_error(make: Any) -> None:
    with pytest.raises(MissingCalibrationError, match=r"is .*b27\.fits itself.*b28"):
        associate_cals(make("b28.fits"), make("b27.fits"), "trace", from_type="self")


def test_associate_self_without_name_is_an_error(make: Any) -> None:
    with pytest.raises(ParameterError, match="needs a cal_type"):
        associate_cals(make("b27.fits"), make("b28.fits"), from_type="self")


def test_associate_without_type_takes_all_that_fit(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df = make("b27.fits.gz")
    cals = DataFileList([make("b21_bias.fits"), make("b11_flat.fits")])
    associate_cals(cals, df, cal_dict=cal_dict)
    assert df.cals == {"bias": cals[0], "flat": cals[1]}


def test_associate_without_document_takes_the_only_one(make: Any) -> None:
    inputs = DataFileList([make("x.fits"), make("y.fits")])
    bias = make("any.fits")
    associate_cals(bias, inputs, "bias")
    assert [df.cals["bias"] for df in inputs] == [bias, bias]


def test_associate_without_document_several_is_an_error(make: Any) -> None:
    cals = DataFileList([make("a.fits"), make("b.fits")])
    with pytest.raises(ParameterError, match=r"there are 2 .*give cal_dict="):
        associate_cals(cals, make("x.fits"), "bias")


def test_associate_unnamed_calibration_is_an_error(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    unnamed = DataFile(data=[])
    with pytest.raises(ParameterError, match="without a file name"):
        associate_cals(unnamed, make("b27.fits"), "bias", cal_dict=cal_dict)


def test_associate_keeps_other_calibrations(
    make: Any, cal_dict: dict[str, Any]
) -> None:
    df, flat = make("b27.fits.gz"), make("b11_flat.fits")
    df.cals["arc"] = flat
    associate_cals(flat, df, "flat", cal_dict=cal_dict)
    assert df.cals == {"arc": flat, "flat": flat}


@pytest.fixture
def flat_fielded(tmp_path: Path) -> DataFile:
    """
    Give f_ob27.fits, opened afresh.

    It was made from b27.fits in two steps, with a flat of b11.fits and b12.fits.
    """

    def entry(name: str, key: str, *inputs: dict[str, str], **cals: Any) -> Any:
        return {"schema": 1, "step": "test", "product": name, "key": key,
                "inputs": list(inputs), "calibrations": cals, "references": {},
                "run": {}}  # fmt: skip

    def raw(name: str) -> dict[str, str]:
        return {"name": name, "digest": f"sha256:{name}"}

    flat = {"name": "flat.fits", "key": "F"}
    record = [
        entry("ob27.fits", "O", raw("b27.fits")),
        entry("flat.fits", "F", raw("b11.fits"), raw("b12.fits")),
        entry("f_ob27.fits", "P", {"name": "ob27.fits", "key": "O"}, flat=flat),
    ]
    path = tmp_path / "f_ob27.fits"
    fits.PrimaryHDU(np.zeros((2, 2), "f4")).writeto(path)
    path.write_bytes(path.read_bytes() + encode(record))
    return DataFile(path)


def test_associate_product_does_not_get_the_bias_of_its_flat(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    cal_dict["associations"] = {"b27.fits": {"flat": "flat.fits"},
                                "b11.fits": {"bias": "b21_bias.fits"}}  # fmt: skip
    associate_cals(make("b21_bias.fits"), flat_fielded, "bias", cal_dict=cal_dict)
    assert flat_fielded.cals == {}


def test_associate_all_types_does_not_get_those_of_the_flat(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    cal_dict["associations"] = {"b11.fits": {"bias": "b21_bias.fits"}}
    associate_cals(make("b21_bias.fits"), flat_fielded, cal_dict=cal_dict)
    assert flat_fielded.cals == {}


def test_associate_product_of_two_steps_is_known_by_its_record(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    bias = make("b21_bias.fits")
    associate_cals(bias, flat_fielded, "bias", cal_dict=cal_dict)
    assert flat_fielded.cals == {"bias": bias}


def test_associate_product_of_a_product_edited_in_memory_is_known(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    rows = flat_fielded.record
    # That is how an input is referred to whose pixels are no longer those on disk.
    rows[-1]["inputs"] = [{"name": "ob27.fits", "digest": "sha256:edited"}]
    flat_fielded.record = rows
    bias = make("b21_bias.fits")
    associate_cals(bias, flat_fielded, "bias", cal_dict=cal_dict)
    assert flat_fielded.cals == {"bias": bias}


def test_associate_stops_at_the_first_name_in_the_document(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    cal_dict["associations"]["ob27.fits"] = {"arc": "b1_arc.fits"}
    associate_cals(make("b21_bias.fits"), flat_fielded, "bias", cal_dict=cal_dict)
    assert flat_fielded.cals == {}


@pytest.mark.parametrize("cal_type", ["bias", None])
def test_associate_input_without_association_is_left_as_it_is(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile, cal_type: str | None
) -> None:
    del cal_dict["associations"]["b27.fits.gz"]
    mine = flat_fielded.cals["bias"] = make("mine.fits")
    associate_cals(make("b21_bias.fits"), flat_fielded, cal_type, cal_dict=cal_dict)
    assert flat_fielded.cals == {"bias": mine}


def test_associate_record_that_refers_to_itself_ends(
    make: Any, cal_dict: dict[str, Any], flat_fielded: DataFile
) -> None:
    rows = flat_fielded.record
    rows[0]["inputs"] = [{"name": "f_ob27.fits", "key": "P"}]
    flat_fielded.record = rows
    associate_cals(make("b21_bias.fits"), flat_fielded, "bias", cal_dict=cal_dict)
    assert flat_fielded.cals == {}


def test_associate_self_is_not_what_was_only_applied(
    make: Any, flat_fielded: DataFile
) -> None:
    with pytest.raises(MissingCalibrationError, match=r"b11\.fits itself"):
        associate_cals(flat_fielded, make("b11.fits"), "trace", from_type="self")


def test_associate_self_takes_the_nearest_of_several(
    make: Any, flat_fielded: DataFile
) -> None:
    df, near = make("b27.fits"), make("xb27.fits", made_of="b27.fits")
    for cals in ([near, flat_fielded], [flat_fielded, near]):
        associate_cals(DataFileList(cals), df, "trace", from_type="self")
        assert df.cals["trace"] is near


def test_associate_label_without_type_finds_what_a_step_made_of_it(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    df, bias = make("b27.fits.gz"), make("mybias.fits")
    cal_dict["associations"]["b27.fits.gz"]["bias"] = "mybias"
    associate_cals([], df, "bias", cal_dict=cal_dict)
    assert df.cals["bias"].filename == bias.filename


@pytest.mark.parametrize("name", ["mybias", "mybias.fits"])
def test_associate_label_without_type_is_known_among_those_given(
    make: Any, cal_dict: dict[str, Any], name: str
) -> None:
    df, bias = make("b27.fits.gz"), make("mybias.fits")
    cal_dict["associations"]["b27.fits.gz"]["bias"] = "mybias"
    associate_cals({name: bias}, df, "bias", cal_dict=cal_dict)
    assert df.cals["bias"] is bias


def test_associate_missing_calibration_names_one_folder_once(
    make: Any, cal_dict: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    df = make("b27.fits.gz")
    save_cal_dict(cal_dict, "calibrations.json")
    with pytest.raises(MissingCalibrationError, match=r"nor in \.; make it first"):
        associate_cals([], df, "bias", cal_dict=init_cal_dict("calibrations.json"))
