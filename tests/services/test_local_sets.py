"""Calibrations in several files, one for each IFU: found, complete or not, and used."""

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.calibrations import (
    add_cal_entry,
    associate_cals,
    cal_entries,
    init_cal_dict,
    save_cal_dict,
    survey,
)
from ndmapper.calibrations.edits import mark_bad, replace_cals
from ndmapper.calibrations.scan import find_frames
from ndmapper.cli import main
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.errors import CalibrationDocumentError, MissingCalibrationError
from ndmapper.services import download_files, look_up_cals
from ndmapper.services.check import check_cal_files
from ndmapper.testing import write_headers

BIAS = "MASTER_BIAS-{ifu:02d}.fits"
KEYS = {
    "catg": "ESO DPR CATG", "type": "ESO DPR TYPE", "product": "ESO PRO CATG",
    "start": "ESO TPL START", "mode": "ESO DET READ CURID",
}  # fmt: skip


def cards_of(clock: str, **cards: Any) -> dict[str, Any]:
    header = {"INSTRUME": "MUSE", "DATE-OBS": f"2017-06-16T{clock}", "OBJECT": "x",
              "ESO INS MODE": "WFM-NOAO-N", "ESO DET READ CURID": 1,
              "ESO INS OPTI2 NAME": "WFM"}  # fmt: skip
    return header | {KEYS.get(key, key): value for key, value in cards.items()}


def raw(path: Path, clock: str, ifus: int = 24, **cards: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    parts = [{"EXTNAME": f"CHAN{n:02d}"} for n in range(1, ifus + 1)]
    write_headers(path, [cards_of(clock, **cards), *parts])
    return path


def masters(
    folder: Path,
    kind: str = "MASTER_BIAS",
    clock: str = "11:00:00",
    name: str = "{kind}-{ifu:02d}.fits",
    without: tuple[int, ...] = (),
    **cards: Any,
) -> None:
    """Write a master as the pipeline does by default, a file for each IFU."""
    folder.mkdir(exist_ok=True)
    for ifu in range(1, 25):
        if ifu not in without:
            own = cards_of(clock, product=kind, EXTNAME=f"CHAN{ifu:02d}", **cards)
            write_headers(folder / name.format(kind=kind, ifu=ifu), [own])


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return raw(tmp_path / "raw/o.fits", "12:00:00", catg="SCIENCE", type="OBJECT")


def bias_of(folders: list[str], cache: str | None = "c.json") -> str | None:
    found = look_up_cals("raw/o.fits", {"target": ["bias"]}, dirname=["raw", *folders],
                         cache=cache)  # fmt: skip
    label: str | None = found["associations"]["o.fits"]["bias"]
    return label


def test_files_of_a_master_are_one_frame(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m")
    (frame,) = find_frames(tmp_path / "m")
    assert (frame.name, frame.frame_class) == (BIAS, "processed_bias")
    assert frame.parts == {"ifu": tuple(range(1, 25))}
    assert frame.members[7] == "MASTER_BIAS-07.fits"


def test_cached_frames_are_joined_as_well(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m")
    for path in (tmp_path / "m").iterdir():
        os.utime(path, (1_000_000, 1_000_000))
    first, second = find_frames(tmp_path / "m"), find_frames(tmp_path / "m")
    assert list((tmp_path / ".ndmapper").glob("frames-*.json"))
    assert [vars(f) for f in first] == [vars(f) for f in second]


def test_master_in_files_is_found_by_its_pattern(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m")
    assert bias_of(["m"]) == f"m/{BIAS}"
    document = init_cal_dict("c.json")
    assert document["calibrations"] == {}
    assert cal_entries(document, "bias") == [(f"m/{BIAS}", [])]
    assert download_files(document, "eso", tmp_path / "none") == []
    files = associate_cals([], DataFileList("raw/o.fits"), "bias", cal_dict=document)
    assert list(files[0].cals["bias"]) == list(range(1, 25))


def test_files_outside_the_folder_of_the_document_are_found_again(
    target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    masters(tmp_path / "m")
    (tmp_path / "night").mkdir()
    monkeypatch.chdir(tmp_path / "night")
    found = look_up_cals("../raw/o.fits", {"target": ["bias"]}, cache="c.json",
                         dirname=["../raw", "../m"])  # fmt: skip
    assert found["associations"]["o.fits"]["bias"] == BIAS
    files = associate_cals([], DataFileList("../raw/o.fits"), "bias",
                           cal_dict=init_cal_dict("c.json"))  # fmt: skip
    assert len(files[0].cals["bias"]) == 24


def test_two_nights_in_one_folder_stay_two(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m", name="n1_{kind}-{ifu:02d}.fits", clock="02:00:00")
    masters(tmp_path / "m", name="n2_{kind}-{ifu:02d}.fits", clock="13:00:00")
    assert [f.name for f in find_frames(tmp_path / "m")] == [f"n1_{BIAS}", f"n2_{BIAS}"]
    assert bias_of(["m"]) == f"m/n2_{BIAS}"


def test_two_nights_of_one_name_in_two_folders_stay_two(
    target: Path, tmp_path: Path
) -> None:
    masters(tmp_path / "n1", clock="02:00:00")
    masters(tmp_path / "n2", clock="13:00:00")
    assert bias_of(["n1", "n2"]) == f"n2/{BIAS}"
    # A set of that name from the other folder is another one.
    others = {}
    for given in ([FileSet(f"n1/{BIAS}")], DataFileList("n1/*.fits")):
        files = associate_cals(given, DataFileList("raw/o.fits"), "bias",
                               cal_dict=init_cal_dict("c.json"))  # fmt: skip
        others[str(files[0].cals["bias"])] = len(files[0].cals["bias"])
    assert others == {f"n2/{BIAS}": 24}
    given = [FileSet(f"n2/{BIAS}"), FileSet(f"n1/{BIAS}")]
    files = associate_cals(given, DataFileList("raw/o.fits"), "bias",
                           cal_dict=init_cal_dict("c.json"))  # fmt: skip
    assert files[0].cals["bias"] is given[0]


def test_incomplete_master_is_found_and_says_what_is_missing(
    target: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masters(tmp_path / "m", without=(7, 8, 9, 24))
    assert bias_of(["m"]) == f"m/{BIAS}"
    assert "ifu 7-9, 24 missing" in caplog.text
    why = init_cal_dict("c.json")["answers"]["o.fits"]["bias"]["why"]
    assert why.endswith("20 files, ifu 7-9, 24 missing")


def test_complete_master_is_preferred_at_equal_distance(
    target: Path, tmp_path: Path
) -> None:
    masters(tmp_path / "a", without=(3,))
    masters(tmp_path / "b")
    assert bias_of(["a", "b"]) == f"b/{BIAS}"


def test_merged_master_is_preferred_to_an_incomplete_one(
    target: Path, tmp_path: Path
) -> None:
    masters(tmp_path / "m", without=(3,))
    parts = [{"EXTNAME": f"CHAN{n:02d}.DATA"} for n in range(1, 25)]
    write_headers(tmp_path / "m/MASTER_BIAS.fits",
                  [cards_of("11:00:00", product="MASTER_BIAS"), *parts])  # fmt: skip
    assert bias_of(["m"]) == "m/MASTER_BIAS.fits"


def test_ifus_that_the_raw_frame_has_not_are_not_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    raw(tmp_path / "raw/o.fits", "12:00:00", 23, catg="SCIENCE", type="OBJECT")
    masters(tmp_path / "m", without=(24,))
    assert bias_of(["m"]) == f"m/{BIAS}"
    assert "missing" not in caplog.text


def test_files_of_one_name_that_do_not_belong_together_are_refused(
    target: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masters(tmp_path / "m", without=(7,), start="2017-06-16")
    own = cards_of("11:00:00", product="MASTER_BIAS", EXTNAME="CHAN07", start="other")
    write_headers(tmp_path / "m/MASTER_BIAS-07.fits", [own])
    assert bias_of(["m"]) is None
    assert f"m/{BIAS} is not used, since the files of {BIAS} differ in set" in (
        caplog.text
    )


def test_set_is_matched_by_the_date_of_most_of_its_files(
    target: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    masters(tmp_path / "m")
    path = tmp_path / "m" / BIAS.format(ifu=7)
    with fits.open(path, mode="update") as hdus:
        hdus[0].header["DATE-OBS"] = "2010-01-01T00:00:00"
    assert bias_of(["m"]) == f"m/{BIAS}"
    assert "days apart; the set is matched by the date of MASTER_BIAS-" in caplog.text


def test_name_without_header_tells_the_ifu(tmp_path: Path) -> None:
    for n in (1, 2):
        write_headers(tmp_path / f"MASTER_FLAT-{n:02d}.fits",
                      [cards_of("11:00:00", product="MASTER_FLAT")])  # fmt: skip
    (frame,) = find_frames(tmp_path)
    assert frame.parts == {"ifu": (1, 2)}


@pytest.mark.parametrize(
    ("names", "pattern"),
    [
        (["MUSE.2017-06-07_bias-07.fits", "MUSE.2017-06-07_bias-06.fits"],
         "MUSE.2017-06-07_bias-{ifu:02d}.fits"),
        (["b7.fits", "b12.fits"], "b{ifu:d}.fits"),
        (["b12.fits", "b13.fits"], "b{ifu:02d}.fits"),
        (["MASTER_BIAS-07.fits"], "MASTER_BIAS-{ifu:02d}.fits"),
        (["b7_bias.fits"], "b7_bias.fits"),
        (["odd{0}-07.fits"], "odd{0}-07.fits"),
    ],
)  # fmt: skip
def test_pattern_is_what_names_have_in_common(
    tmp_path: Path, names: list[str], pattern: str
) -> None:
    for name in names:
        ifu = {"b12.fits": 12, "b13.fits": 13}.get(name, 6 if "-06." in name else 7)
        own = cards_of("11:00:00", product="MASTER_BIAS", EXTNAME=f"CHAN{ifu:02d}")
        write_headers(tmp_path / name, [own])
    assert [frame.name for frame in find_frames(tmp_path)] == [pattern]


def test_survey_has_a_row_for_a_set_and_can_correct_it(
    target: Path, tmp_path: Path
) -> None:
    masters(tmp_path / "m")
    table = survey(tmp_path / "m")
    assert list(table["file"]) == [BIAS]
    table["class"][0] = "processed_dark"
    table.write("night.ecsv")
    found = look_up_cals("raw/o.fits", {"target": ["bias", "dark"]}, dirname="raw",
                         survey="night.ecsv")  # fmt: skip
    types = found["associations"]["o.fits"]
    assert types["bias"] is None
    assert types["dark"].endswith(BIAS)


def test_survey_of_an_earlier_version_lists_each_file(
    target: Path, tmp_path: Path
) -> None:
    masters(tmp_path / "m")
    table = survey(tmp_path / "m")
    names = [f"MASTER_BIAS-{n:02d}.fits" for n in range(1, 25)]
    old = type(table)({"file": names, "class": ["processed_bias"] * 24},
                      meta=table.meta)  # fmt: skip
    found = look_up_cals("raw/o.fits", {"target": ["bias"]}, dirname="raw", survey=old)
    assert found["associations"]["o.fits"]["bias"].endswith(BIAS)


def test_look_up_of_an_earlier_version_is_mended(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m")
    names = [f"MASTER_BIAS-{n:02d}.fits" for n in range(1, 12)]
    label = "MASTER_BIAS-01_bias.fits"
    cals = init_cal_dict()
    add_cal_entry("o.fits", "bias", names, cals)
    from ndmapper.calibrations.lookup_result import Answer
    from ndmapper.calibrations.provenance import note_answer

    files = tuple((name, None) for name in names)
    note_answer("o.fits", "bias", Answer(files=files, is_made=True), cals)
    assert cals["associations"]["o.fits"]["bias"] == label
    save_cal_dict(cals, "c.json")
    assert bias_of(["m"]) == f"m/{BIAS}"
    assert init_cal_dict("c.json")["calibrations"] == {}


def test_set_with_a_bad_file_is_not_taken(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "a")
    masters(tmp_path / "b", clock="09:00:00", name="x{kind}-{ifu:02d}.fits")
    assert bias_of(["a", "b"]) == f"a/{BIAS}"
    cals = init_cal_dict("c.json")
    mark_bad("MASTER_BIAS-07.fits", cals, "stripes")
    save_cal_dict(cals, "c.json")
    assert bias_of(["a", "b"]) == f"b/x{BIAS}"


def test_check_looks_at_every_file_of_a_set(target: Path, tmp_path: Path) -> None:
    masters(tmp_path / "m")
    bias_of(["m"])
    cals = init_cal_dict("c.json")
    states = check_cal_files(cals, ["o.fits"], [tmp_path / "raw"])
    assert [(s.name, s.state) for s in states] == [
        ("o.fits", "there"), (f"m/{BIAS}", "there")
    ]  # fmt: skip
    assert "24 files" in states[1].why
    (tmp_path / "m/MASTER_BIAS-07.fits").write_bytes(b"SIMPLE  = nothing")
    states = check_cal_files(cals, ["o.fits"], [tmp_path / "raw"])
    assert states[1].state == "damaged"
    assert "MASTER_BIAS-07.fits" in states[1].why


def test_command_shows_explains_and_overrides_sets(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masters(tmp_path / "m", without=(5,))
    bias_of(["m"])
    document = ["--document", "c.json"]
    assert main(["cals", "show", *document]) == 0
    assert f"m/{BIAS}" in capsys.readouterr().out
    why = ["why", "raw/o.fits", "--type", "bias", "--dirname", "m"]
    assert main(["cals", *why, *document]) == 0
    assert "23 files, ifu 5 missing" in capsys.readouterr().out
    masters(tmp_path / "mine")
    mine = ["override", "o.fits", "bias", "--product", f"mine/{BIAS}"]
    assert main(["cals", *mine, *document]) == 0
    assert "there is no" not in capsys.readouterr().err
    assert main(["cals", "check", *document]) == 0
    assert bias_of(["m"]) == f"mine/{BIAS}"


# ---- labels that hold a key


def write_image(path: Path, **cards: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    header = fits.Header()
    for key, value in cards_of("11:00:00", **cards).items():
        header[key if " " not in key else f"HIERARCH {key}"] = value
    fits.PrimaryHDU(np.zeros((2, 2), "f4"), header).writeto(path)


@pytest.fixture
def labelled(target: Path) -> dict[str, Any]:
    """Give a document with a label that holds a key, and the files of that label."""
    label = "M_bias-{ifu:02d}.fits"
    document = {"associations": {"o.fits": {"bias": label}},
                "calibrations": {label: ["b1.fits", "b2.fits"]}}  # fmt: skip
    Path("c.json").write_text(json.dumps(document), encoding="utf-8")
    for ifu in (1, 2):
        write_image(Path(f"M_bias-{ifu:02d}.fits"))
    return init_cal_dict("c.json")


FORMS = {
    "set": lambda: FileSet("M_bias-{ifu:02d}.fits"),
    "list of sets": lambda: [FileSet("M_bias-{ifu:02d}.fits")],
    "by label": lambda: {"M_bias-{ifu:02d}.fits": FileSet("M_bias-{ifu:02d}.fits")},
    "name": lambda: "M_bias-{ifu:02d}.fits",
    "files": lambda: DataFileList("M_bias-*.fits"),
    "results": lambda: [{"MASTER_BIAS": FileSet("M_bias-{ifu:02d}.fits")}],
    "nothing": lambda: [],
}


@pytest.mark.parametrize("form", FORMS)
def test_label_with_a_key_is_a_set(labelled: dict[str, Any], form: str) -> None:
    assert cal_entries(labelled, "bias") == [
        ("M_bias-{ifu:02d}.fits", ["b1.fits", "b2.fits"])
    ]
    df = DataFile("raw/o.fits")
    associate_cals(FORMS[form](), df, "bias", cal_dict=labelled)
    assert isinstance(df.cals["bias"], FileSet)
    assert list(df.cals["bias"]) == [1, 2]
    assert str(df.cals["bias"]) == "M_bias-{ifu:02d}.fits"


def test_label_of_one_file_finds_the_set_that_was_made(
    labelled: dict[str, Any],
) -> None:
    labelled["associations"]["o.fits"]["bias"] = "M_bias.fits"
    labelled["calibrations"] = {"M_bias.fits": ["b1.fits"]}
    made, df = FileSet("M_bias-{ifu:02d}.fits"), DataFile("raw/o.fits")
    associate_cals(made, df, "bias", cal_dict=labelled)
    assert df.cals["bias"] is made


def test_label_with_a_key_without_files_is_missing(labelled: dict[str, Any]) -> None:
    for ifu in (1, 2):
        Path(f"M_bias-{ifu:02d}.fits").unlink()
    with pytest.raises(MissingCalibrationError, match=r"M_bias-\{ifu:02d\}\.fits"):
        associate_cals([], DataFile("raw/o.fits"), "bias", cal_dict=labelled)
    labelled["calibrations"] = {}
    with pytest.raises(CalibrationDocumentError, match="neither in"):
        cal_entries(labelled, "bias")


def test_set_of_raw_frames_has_the_calibrations_of_its_files(
    labelled: dict[str, Any],
) -> None:
    for chip in (1, 2):
        write_image(Path(f"raw/o-{chip}.fits"))
        write_image(Path(f"chip{chip}_dark.fits"))
    raws = FileSet("raw/o-{chip}.fits")
    one, two = {"bias": "M_bias-{ifu:02d}.fits"}, {"bias": "M_bias-{ifu:02d}.fits"}
    labelled["associations"] = {
        "o-1.fits": one | {"dark": "chip1_dark.fits"},
        "o-2.fits": two | {"dark": "chip2_dark.fits"},
    }
    assert associate_cals([], raws, ["bias", "dark"], cal_dict=labelled) is raws
    assert str(raws.cals["bias"]) == "M_bias-{ifu:02d}.fits"
    assert {key: str(df) for key, df in raws.cals["dark"].items()} == {
        "1": "chip1_dark.fits", "2": "chip2_dark.fits"
    }  # fmt: skip
    del labelled["associations"]["o-2.fits"]
    with pytest.raises(MissingCalibrationError, match=r"raw/o-2\.fits have none"):
        associate_cals([], raws, "dark", cal_dict=labelled)


def test_set_of_raw_frames_is_looked_up_and_listed_file_by_file(
    target: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masters(tmp_path / "m")
    for chip in (1, 2):
        shutil.copy(target, tmp_path / f"raw/o-{chip}.fits")
    raws = FileSet("raw/o-{chip}.fits")
    look_up_cals(raws, {"target": ["bias"]}, dirname=["raw", "m"], cache="c.json")
    cals = init_cal_dict("c.json")
    assert set(cals["associations"]) == {"o-1.fits", "o-2.fits"}
    assert cal_entries(cals, "bias", reference=raws) == [(f"m/{BIAS}", [])]
    associate_cals([], raws, cal_dict=cals)
    assert str(raws.cals["bias"]) == f"m/{BIAS}"
    assert main(["cals", "show", "raw/o-{chip}.fits", "--document", "c.json"]) == 0
    assert "o-2.fits" in capsys.readouterr().out
    mark_bad(raws, cals, "clouds")
    assert set(cals["bad_frames"]) == {"o-1.fits", "o-2.fits"}


ODD = ["{", "}", "{}", "{0}", "{ifu.real}", "{ifu!r}", "{ifu:>99999d}", "{ifu:02d",
       "}{", "{{ifu}}", "{a}{b}", "{a}-{b}-{c}-{d}-{e}", "{ifu:02d}", "{ifu:99d}", "%s",
       "*", "[", "{é}", "{a}*[", "{ifu:02d}" * 40, "{\ud800}", "{a}\\{b}"]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_odd_braces_are_refused_or_taken_literally(
    target: Path, tmp_path: Path, text: str
) -> None:
    label = f"x{text}.fits"
    document = {"associations": {"o.fits": {"bias": label}}, "calibrations": {}}
    Path("c.json").write_text(json.dumps(document), encoding="utf-8")
    try:
        cals = init_cal_dict("c.json")
    except CalibrationDocumentError:
        return
    with pytest.raises((CalibrationDocumentError, MissingCalibrationError)) as caught:
        associate_cals([], DataFile("raw/o.fits"), "bias", cal_dict=cals)
    assert "o.fits" in str(caught.value)
    with pytest.raises(CalibrationDocumentError):
        cal_entries(cals, "bias")
    check_cal_files(cals, ["o.fits"], [tmp_path])
    assert bias_of([]) == label
    replace_cals("o.fits", "dark", cals, product=label)
    save_cal_dict(cals, "c.json")


@pytest.mark.parametrize("text", ["{0}", "{", "{ifu:02d}"])
def test_file_with_braces_in_its_own_name_is_that_file(target: Path, text: str) -> None:
    name = f"x{text}.fits"
    write_image(Path(name))
    document = {"associations": {"o.fits": {"bias": name}}}
    Path("c.json").write_text(json.dumps(document), encoding="utf-8")
    df = DataFile("raw/o.fits")
    associate_cals([], df, "bias", cal_dict=init_cal_dict("c.json"))
    assert isinstance(df.cals["bias"], DataFile)
    assert str(df.cals["bias"]) == name


# ---- several products of one type, and raw frames as they are


def flats_of(folder: Path, **words: Any) -> None:
    masters(folder, "MASTER_FLAT", **words)
    masters(folder, "TRACE_TABLE", **words)


def test_flat_that_lay_there_brings_its_trace(target: Path, tmp_path: Path) -> None:
    flats_of(tmp_path / "m", name="n1_{kind}-{ifu:02d}.fits", clock="10:00:00")
    flats_of(tmp_path / "m", name="n2_{kind}-{ifu:02d}.fits", clock="13:00:00")
    look_up_cals("raw/o.fits", {"target": ["flat"]}, cache="c.json",
                 dirname=["raw", "m"])  # fmt: skip
    cals = init_cal_dict("c.json")
    for words in ({"cal_type": "trace", "from_type": "flat"}, {"cal_type": "trace"}):
        df = DataFile("raw/o.fits")
        associate_cals([], df, cal_dict=cals, **words)
        assert str(df.cals["trace"]) == "m/n2_TRACE_TABLE-{ifu:02d}.fits"
    df = DataFile("raw/o.fits")
    associate_cals([], df, cal_dict=cals)
    assert {t: str(c) for t, c in df.cals.items()} == {
        "flat": "m/n2_MASTER_FLAT-{ifu:02d}.fits",
        "trace": "m/n2_TRACE_TABLE-{ifu:02d}.fits",
    }


@pytest.fixture
def flats_made(target: Path) -> dict[str, Any]:
    """Write what a step makes of two lamp flats, and the document that asked for it."""
    cals = init_cal_dict("c.json")
    add_cal_entry("o.fits", "flat", ["f1.fits", "f2.fits"], cals)
    save_cal_dict(cals, "c.json")
    write_image(Path("f1_flat.fits"), product="MASTER_FLAT")
    write_image(Path("f1_trace.fits"), product="TRACE_TABLE")
    return cals


MADE = {
    "list of results": lambda flat, trace: [
        {"MASTER_FLAT": flat, "TRACE_TABLE": trace}
    ],
    "results by label": lambda flat, trace: {
        "f1_flat.fits": {"MASTER_FLAT": flat, "TRACE_TABLE": trace}
    },
    "list": lambda flat, trace: [flat, trace],
    "the flat": lambda flat, _: flat,
    "flats by label": lambda flat, _: {"f1_flat.fits": flat},
    "traces by label": lambda _, trace: {"f1_flat.fits": trace},
    "nothing": lambda *_: [],
}


@pytest.mark.parametrize("form", MADE)
def test_trace_that_was_made_is_asked_for_in_the_same_way(
    flats_made: dict[str, Any], form: str
) -> None:
    flat, trace = DataFile("f1_flat.fits"), DataFile("f1_trace.fits")
    df = DataFile("raw/o.fits")
    associate_cals(MADE[form](flat, trace), df, "trace", "flat", flats_made)
    assert str(df.cals["trace"]) == "f1_trace.fits"


def test_flat_without_trace_says_what_is_missing(flats_made: dict[str, Any]) -> None:
    Path("f1_trace.fits").unlink()
    with pytest.raises(
        MissingCalibrationError,
        match=r"has the flat f1_flat\.fits, but no trace of it: f1_trace\.fits is not "
        r"among the calibrations given \(f1_flat\.fits\) nor in \.",
    ):
        associate_cals(DataFile("f1_flat.fits"), DataFile("raw/o.fits"), "trace",
                       cal_dict=flats_made)  # fmt: skip


def test_trace_of_another_name_is_known_by_its_raw_frames(
    flats_made: dict[str, Any],
) -> None:
    from ndmapper.io.record import encode

    Path("f1_trace.fits").rename("t.fits")
    inputs = [{"name": name, "digest": "sha256:0"} for name in ("f1.fits", "f2.fits")]
    entry = {"schema": 1, "step": "make_flat", "product": "t.fits", "inputs": inputs,
             "output": "TRACE_TABLE", "key": "sha256:t", "calibrations": {},
             "references": {}, "run": {}}  # fmt: skip
    with Path("t.fits").open("ab") as stream:
        stream.write(encode([entry]))
    trace, df = DataFile("t.fits"), DataFile("raw/o.fits")
    associate_cals([DataFile("f1_flat.fits"), trace], df, "trace", cal_dict=flats_made)
    assert df.cals["trace"] is trace


def test_trace_that_the_user_names_goes_before_that_of_the_flat(
    flats_made: dict[str, Any],
) -> None:
    write_image(Path("mine.fits"), product="TRACE_TABLE")
    replace_cals("o.fits", "trace", flats_made, product="mine.fits")
    df = DataFile("raw/o.fits")
    made = [DataFile("f1_flat.fits"), DataFile("f1_trace.fits")]
    associate_cals(made, df, "trace", "flat", flats_made)
    assert str(df.cals["trace"]) == "mine.fits"


def test_raw_frame_that_serves_as_it_is_is_associated_itself(
    target: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    raw(tmp_path / "raw/i.fits", "12:30:00", catg="CALIB", type="FLAT,LAMP,ILLUM")
    look_up_cals("raw/o.fits", {"target": ["illum"]}, cache="c.json")
    cals = init_cal_dict("c.json")
    assert cals["associations"]["o.fits"] == {"illum": "i.fits"}
    assert cals["calibrations"] == {"i.fits": ["i.fits"]}
    assert cal_entries(cals, "illum") == [("i.fits", ["i.fits"])]
    assert download_files(cals, dirname="raw") == [Path("raw/i.fits")]
    for words in ({"cal_type": "illum"}, {}):
        df = DataFile("raw/o.fits")
        associate_cals([], df, cal_dict=cals, **words)
        assert str(df.cals["illum"]) == "raw/i.fits"
    Path("raw/i.fits").unlink()
    with pytest.raises(MissingCalibrationError, match="it is a raw frame, so put it"):
        associate_cals([], DataFile("raw/o.fits"), "illum", cal_dict=cals)


def test_raw_frame_that_the_user_names_is_associated_itself(
    target: Path, tmp_path: Path
) -> None:
    raw(tmp_path / "raw/i.fits", "12:30:00", catg="CALIB", type="FLAT,LAMP,ILLUM")
    cals = init_cal_dict("c.json")
    replace_cals("o.fits", "illum", cals, frames=["raw/i.fits"])
    replace_cals("o.fits", "bias", cals, frames=["raw/i.fits"])
    assert cals["associations"]["o.fits"] == {
        "illum": "i.fits", "bias": "i_bias.fits"
    }  # fmt: skip
    save_cal_dict(cals, "c.json")


def test_raw_frame_under_a_label_of_an_earlier_version_is_found(
    target: Path, tmp_path: Path
) -> None:
    raw(tmp_path / "raw/i.fits", "12:30:00", catg="CALIB", type="FLAT,LAMP,ILLUM")
    cals = init_cal_dict()
    add_cal_entry("o.fits", "illum", ["raw/i.fits"], cals)
    df = DataFile("raw/o.fits")
    associate_cals([], df, "illum", cal_dict=cals)
    assert str(df.cals["illum"]) == "raw/i.fits"
