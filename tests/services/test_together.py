"""Archives, folders, and what the document says of bad frames, all together."""

from pathlib import Path

import pytest

from ndmapper.calibrations import init_cal_dict, save_cal_dict
from ndmapper.services import download_files, look_up_cals
from ndmapper.services.eso.service import EsoService
from ndmapper.testing import LoopbackArchives

SCIENCE, OTHER = "S20120827S0066.fits", "S20120827S0067.fits"
BIASES = [f"S20120826S01{n}.fits" for n in range(10, 15)]
NEEDS = {"target": ["bias", "arc"]}


@pytest.fixture
def gemini(archives: LoopbackArchives) -> LoopbackArchives:
    for name in (SCIENCE, OTHER, *BIASES):
        archives.gemini.add(name)
    archives.gemini.associate(SCIENCE, "bias", BIASES)
    return archives


def test_archive_answers_where_the_folder_has_nothing(
    gemini: LoopbackArchives, tmp_path: Path
) -> None:
    raw = tmp_path / "raw"
    download_files([SCIENCE], "gemini", raw)
    found = look_up_cals(raw / SCIENCE, NEEDS, ["local", "gemini"], dirname=raw)
    assert found["calibrations"] == {"S20120826S0110_bias.fits": BIASES}
    answers = found["answers"][SCIENCE]
    assert answers["bias"]["source"] == "gemini"
    assert answers["arc"] == {"label": None, "source": "local+gemini"} | {
        "why": answers["arc"]["why"]
    }


def test_functions_and_archives_are_asked_in_turn(gemini: LoopbackArchives) -> None:
    asked = []

    def mine(name: str, cal_type: str) -> list[str] | None:
        asked.append(cal_type)
        return ["my_arc.fits"] if cal_type == "arc" else None

    found = look_up_cals(SCIENCE, NEEDS, [mine, "gemini"])
    assert sorted(asked) == ["arc", "bias"]
    assert found["answers"][SCIENCE]["arc"]["source"] == "mine"
    assert found["answers"][SCIENCE]["bias"]["source"] == "gemini"


def test_bad_frames_are_neither_used_nor_fetched(
    gemini: LoopbackArchives, tmp_path: Path
) -> None:
    cache = tmp_path / "calibrations.json"
    document = init_cal_dict(cache)
    document["bad_frames"] = {BIASES[1]: {"who": "me", "why": "light leak"}}
    save_cal_dict(document, cache)
    found = look_up_cals(SCIENCE, {"target": ["bias"]}, "gemini", cache)
    (frames,) = found["calibrations"].values()
    assert frames == [name for name in BIASES if name != BIASES[1]]
    # One that is marked later stays in the document, and is not fetched.
    found["bad_frames"][BIASES[3]] = "saturated"
    paths = download_files(found, "gemini", tmp_path / "raw")
    assert [p.name for p in paths] == [BIASES[0], BIASES[2], BIASES[4]]


def test_what_eso_remarks_is_kept_in_the_document(archives: LoopbackArchives) -> None:
    target = "MUSE.2017-06-18T01:02:03.456"
    flats = [f"MUSE.2017-06-18T11:11:1{n}.013" for n in range(2)]
    archives.eso.add(target)
    archives.eso.associate(target, {"FLAT": flats})
    answer = EsoService().look_up(target, "flat")
    assert (answer.quality, answer.rules) == (0, "Raw2Raw")
    found = look_up_cals(f"{target}.fits", {"target": ["flat"]}, "eso")
    noted = found["answers"][f"{target}.fits"]["flat"]
    assert (noted["source"], noted["quality"]) == ("eso", 0)
    assert "category FLAT" in noted["why"]
