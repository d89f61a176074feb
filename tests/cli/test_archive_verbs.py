"""The verbs that speak with archives: find and fetch."""

import json

import pytest
from astropy.table import Table

from ndmapper.services.transfer import backoff
from ndmapper.testing import LoopbackArchives

NAMES = [f"S20120827S006{n}.fits" for n in range(3)]


@pytest.fixture
def archives(monkeypatch, tmp_path):
    monkeypatch.setenv("NDMAPPER_CREDENTIALS", str(tmp_path / "none.toml"))
    monkeypatch.setattr(backoff, "sleep", lambda *_: None)
    with LoopbackArchives() as found:
        for name in NAMES:
            found.gemini.add(name)
        yield found


def test_find_prints_a_table(command, archives):
    result = command("find", "gemini", "--date", "2012-08-27")
    lines = result.out.splitlines()
    assert result.code == 0
    assert lines[0].split()[:3] == ["filename", "date", "program"]
    assert [line.split()[0] for line in lines[1:4]] == NAMES
    assert lines[-1].startswith("3 files, ")


def test_find_json_has_everything(command, archives):
    found = command("find", "--json", "gemini", "--program", "GS-2012B-Q-1").json
    assert [row["filename"] for row in found] == NAMES
    assert len(found[0]["checksum"]) == 32


def test_find_of_nothing_says_so(command, archives):
    result = command("find", "gemini", "--date", "1999-01-01")
    assert (result.code, result.out) == (0, "gemini has no such files\n")


def test_find_saves_what_fetch_takes(command, archives, folder):
    command("find", "gemini", "--date", "2012-08-27", "--save", "night.ecsv")
    table = Table.read(folder / "night.ecsv")
    table.remove_row(0)
    table.write(folder / "night.ecsv", overwrite=True)
    result = command("fetch", "gemini", "night.ecsv")
    assert result.out.split() == [f"raw/{name}" for name in NAMES[1:]]
    assert (folder / "raw" / NAMES[1]).is_file()
    assert not (folder / "raw" / NAMES[0]).exists()


def test_find_keeps_a_table_that_is_there(command, archives, folder):
    (folder / "night.ecsv").write_text("mine")
    result = command("find", "gemini", "--target", "*", "--save", "night.ecsv")
    assert (result.code, (folder / "night.ecsv").read_text()) == (1, "mine")
    assert archives.asked == []


def test_find_in_no_archive_suggests_one(command, archives):
    result = command("find", "gemin", "--target", "x")
    assert result.code == 1
    assert "did you mean 'gemini'?" in result.err


def test_fetch_gets_files(command, archives, folder):
    result = command("fetch", "gemini", *NAMES, "--dir", "night1")
    assert result.code == 0
    assert all((folder / "night1" / name).is_file() for name in NAMES)


def test_fetch_json_lists_paths(command, archives):
    assert command("fetch", "--json", "gemini", NAMES[0]).json == [f"raw/{NAMES[0]}"]


def test_fetch_gets_the_frames_of_a_document(command, archives, folder):
    document = {"associations": {}, "calibrations": {"x_bias.fits": NAMES},
                "checksums": {}}  # fmt: skip
    (folder / "calibrations.json").write_text(json.dumps(document))
    assert command("fetch", "gemini", "calibrations.json").code == 0
    assert (folder / "raw" / NAMES[2]).is_file()


@pytest.mark.parametrize(
    ("words", "name"),
    [(["--as-stored"], f"{NAMES[0]}.bz2"), (["--decompress"], NAMES[0]),
     (["--tar"], NAMES[0])],
)  # fmt: skip
def test_fetch_options(command, archives, folder, words, name):
    command("fetch", "gemini", NAMES[0], *words)
    assert (folder / "raw" / name).is_file()
    assert bool(archives.paths("/download")) == (words == ["--tar"])


def test_fetch_names_all_that_failed(command, archives, folder):
    (folder / "calibrations.json").write_text(
        json.dumps({"calibrations": {"x_bias.fits": ["S20120827S0098.fits"]}})
    )
    result = command(
        "fetch", "gemini", "S20120827S0099.fits", NAMES[0], "calibrations.json"
    )
    assert result.code == 1
    assert "S20120827S0099.fits: the archive has no such file" in result.err
    assert "S20120827S0098.fits: the archive has no such file" in result.err
    assert (folder / "raw" / NAMES[0]).is_file()


def test_fetch_overwrite_replaces(command, archives, folder):
    command("fetch", "gemini", NAMES[0])
    path = folder / "raw" / NAMES[0]
    good = path.read_bytes()
    command("fetch", "gemini", NAMES[1])
    path.write_bytes((folder / "raw" / NAMES[1]).read_bytes())
    assert command("fetch", "gemini", NAMES[0]).code == 1
    assert command("fetch", "gemini", NAMES[0], "--overwrite").code == 0
    assert path.read_bytes() == good


def test_fetch_of_a_missing_document_says_so(command, archives):
    result = command("fetch", "gemini", "calibrations.json")
    assert (result.code, "there is no calibrations.json" in result.err) == (1, True)


def test_fetch_of_a_table_that_is_none_says_so(command, archives, folder):
    (folder / "night.ecsv").write_text("no table\n")
    result = command("fetch", "gemini", "night.ecsv")
    assert (result.code, "no ECSV table" in result.err) == (1, True)
