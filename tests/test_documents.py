"""Documents that anybody may have written are bounded before they are parsed."""

import json
from pathlib import Path

import pytest
from astropy.table import Table

from ndmapper.calibrations.survey import frames_of_survey
from ndmapper.config import config
from ndmapper.documents import DEEPEST, is_file, load_toml
from ndmapper.errors import MissingFileError, RecordError, ServiceError
from ndmapper.services import look_up_cals
from ndmapper.services.transfer.manifest import find_note
from ndmapper.services.transfer.replay import RequestKey, find
from ndmapper.steps.record.decisions import read_decisions

LONG = "n" * 5000
HERE = "here"
PARTS = ("a", '"a"', "'a'", "a ")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("form", ["{} = 1", "[{}]", "x = {{{} = 1}}", "[[{}]]"])
def test_toml_key_of_many_parts_is_refused_before_it_is_parsed(
    part: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def parse(text: str) -> None:
        pytest.fail(f"{len(text)} characters were parsed")

    monkeypatch.setattr("tomllib.loads", parse)
    with pytest.raises(ValueError, match="deep"):
        load_toml(form.format(".".join([part] * 50_000)))


@pytest.mark.parametrize(
    "text",
    [
        "x = [" + ", ".join(["1.5"] * 1000) + "]",
        "x = [" + ", ".join(f'"a{n}.fits"' for n in range(1000)) + "]",
        "# " + "." * 200 + "\nx = 1",
        ".".join("abc" * 20) + " = 1",
    ],
)
def test_toml_with_many_dots_elsewhere_is_read(text: str) -> None:
    assert len(load_toml(text)) == 1
    assert DEEPEST > 60


@pytest.mark.parametrize("name", [LONG, "a\0b", "a/" * 3000, "", "\udcff"])
def test_name_that_no_file_can_have_is_of_no_file(tmp_path: Path, name: str) -> None:
    assert not is_file(tmp_path / name)


@pytest.mark.parametrize("name", [LONG, "a\0b", "a/" * 3000])
def test_survey_leaves_names_out_that_no_file_can_have(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table({"file": [name], "class": ["bias"]})
    assert frames_of_survey(table, [tmp_path]) == []
    assert "left out" in caplog.text


def test_lookup_of_a_name_that_no_file_can_have_says_so(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="there is no file nnn"):
        look_up_cals(f"{LONG}.fits", {"target": ["bias"]}, dirname=tmp_path)


@pytest.mark.parametrize("value", ["1e999", "-1e999", "NaN", "Infinity"])
def test_numbers_that_json_does_not_have_are_not_believed(
    tmp_path: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    note = tmp_path / ".ndmapper/downloads/x.fits.json"
    note.parent.mkdir(parents=True)
    noted = {"size": HERE, "mtime_ns": 2, "md5": "0", "published": [], "source": "u"}
    note.write_text(json.dumps(noted).replace(json.dumps(HERE), value))
    assert find_note(tmp_path / "x.fits") is None
    decided = tmp_path / "decided.json"
    decided.write_text(json.dumps({"order": HERE}).replace(json.dumps(HERE), value))
    with pytest.raises(RecordError, match="decided"):
        read_decisions(decided)
    key = RequestKey("eso", "[]")
    kept = json.dumps({"status": HERE, "headers": {}})
    (tmp_path / f"{key.stem}.json").write_text(kept.replace(json.dumps(HERE), value))
    with (
        config.using(archive_replay=str(tmp_path)),
        pytest.raises(ServiceError, match=key.stem),
    ):
        find(key)
