"""What `ndmapper cals check` says of files that are not what a document says."""

import bz2
import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shared_helpers import read_document, write_document

pytestmark = pytest.mark.usefixtures("document")


@pytest.fixture
def frame(folder: Path) -> Path:
    return folder / "raw/sim0001.fits"


@pytest.fixture
def state(command: Any) -> Callable[..., tuple[int, str, str]]:
    """Check, and give the exit code with what is said of one file."""

    def check(name: str = "sim0001.fits") -> tuple[int, str, str]:
        result = command("cals", "check", "--json")
        (found,) = (s for s in result.json if s["name"] == name)
        return result.code, found["state"], found["why"]

    return check


def change_document(document: Path, change: Callable[[dict[str, Any]], object]) -> None:
    found = read_document(document)
    change(found)
    write_document(document, found)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("case", [
    ("", lambda b: b[:3000], "truncated"),
    ("", lambda b: b"", "not a FITS file"),
    ("", lambda b: b"<html>404</html>", "not a FITS file"),
    ("", lambda b: b.replace(b"BITPIX  ", b"BITPIX!!", 1), "does not give its size"),
    (".gz", lambda b: gzip.compress(b)[:-200], "end too early"),
    (".gz", lambda b: gzip.compress(b)[:-5], "end too early"),
    (".gz", lambda b: flipped(gzip.compress(b), -6), "CRC"),
    (".bz2", lambda b: bz2.compress(b)[:-200], "end too early"),
])  # fmt: skip
@pytest.mark.parametrize("has_checksum", [False, True])
def test_broken_file_is_damaged(
    state: Any, document: Path, frame: Path, case: tuple[str, Any, str],
    has_checksum: bool,
) -> None:  # fmt: skip
    ending, damage, why = case
    content = frame.read_bytes()
    if has_checksum:
        digest = hashlib.md5(content).hexdigest()
        change_document(
            document, lambda d: d["checksums"].update({"sim0001.fits": digest})
        )
    frame.unlink()
    frame.with_name(f"sim0001.fits{ending}").write_bytes(damage(content))
    code, found, said = state()
    assert (code, found) == (3, "damaged")
    assert why in said or (has_checksum and "its checksum is not" in said)


def test_compressed_file_has_the_checksum_of_what_it_holds(
    state: Any, document: Path, frame: Path
) -> None:
    content = frame.read_bytes()
    digest = hashlib.md5(content).hexdigest()
    change_document(document, lambda d: d["checksums"].update({"sim0001.fits": digest}))
    frame.unlink()
    for ending, pack in ((".gz", gzip.compress), (".bz2", bz2.compress)):
        other = frame.with_name(f"sim0001.fits{ending}")
        other.write_bytes(pack(content))
        assert state()[:2] == (0, "ok")
        other.unlink()


@pytest.mark.parametrize("checksum", ["md5:", "g" * 32, "sha256:12", "crc32:aa"])
def test_checksum_that_is_none_is_said(
    state: Any, document: Path, checksum: str
) -> None:
    change_document(
        document, lambda d: d["checksums"].update({"sim0001.fits": checksum})
    )
    code, found, why = state()
    assert (code, found) == (3, "damaged")
    assert "is neither MD5 nor SHA-256; correct it" in why


def test_what_lies_in_place_of_a_file_is_named(state: Any, frame: Path) -> None:
    frame.unlink()
    for make, why in (
        (frame.mkdir, "raw/sim0001.fits is a folder"),
        (lambda: frame.symlink_to("nowhere"), "raw/sim0001.fits is a link"),
        (lambda: frame.symlink_to(frame), "raw/sim0001.fits is a link"),
        (lambda: os.mkfifo(frame), "raw/sim0001.fits is no plain file"),
    ):
        make()
        code, found, said = state()
        assert (code, found) == (3, "missing")
        assert why in said
        frame.rmdir() if frame.is_dir() else frame.unlink()


@pytest.mark.parametrize("name", ["x" * 300 + ".fits", "x\ud800.fits", "none"])
def test_name_that_is_odd_is_missing_and_the_others_are_checked(
    command: Any, document: Path, name: str
) -> None:
    change_document(
        document, lambda d: d["associations"]["sim0005.fits"].update(arc=name)
    )
    change_document(
        document, lambda d: d["calibrations"]["sim0001_bias.fits"].append(f"b{name}")
    )
    result = command("cals", "check", "--json")
    states = [s["state"] for s in result.json]
    assert (result.code, states.count("missing"), states.count("there")) == (3, 2, 5)


def test_calibration_of_nothing_says_why(state: Any, document: Path) -> None:
    change_document(
        document, lambda d: d["calibrations"].update({"sim0004_flat.fits": []})
    )
    code, found, why = state("sim0004_flat.fits")
    assert (code, found) == (3, "missing")
    assert why.startswith("its list in 'calibrations' is empty, and it is not in")
    bad = {f"sim000{n}.fits": "fog" for n in (1, 2, 3)}
    change_document(document, lambda d: d.update(bad_frames=bad))
    code, found, why = state("sim0001_bias.fits")
    assert (code, found) == (3, "missing")
    assert why.startswith("all its frames are marked bad (sim0001.fits: fog;")


def test_file_of_the_same_name_elsewhere_is_not_the_frame(
    state: Any, document: Path, frame: Path
) -> None:
    digest = hashlib.md5(frame.read_bytes()).hexdigest()
    change_document(document, lambda d: d["checksums"].update({"sim0001.fits": digest}))
    document.with_name("sim0001.fits").write_bytes(b"another")
    assert state()[:2] == (0, "ok")


def test_set_that_nothing_uses_is_checked_too(state: Any, document: Path) -> None:
    change_document(
        document, lambda d: d["calibrations"].update({"old.fits": ["sim0009.fits"]})
    )
    assert state("sim0009.fits")[:2] == (3, "missing")


def test_raw_frame_of_a_calibration_can_be_checked_by_itself(command: Any) -> None:
    result = command("cals", "check", "raw/sim0001.fits", "--json")
    assert [s["name"] for s in result.json] == ["sim0001.fits"]
    result = command("cals", "show", "raw/sim0001.fits")
    assert "only that sim0001_bias.fits is made of it" in result.err
    assert command("cals", "check", "raw/sim0009.fits").code == 1


@pytest.mark.parametrize("length", [5, 3000])
def test_calibrations_that_need_each_other_end(
    command: Any, document: Path, length: int
) -> None:
    found: dict[str, Any] = {"associations": {}, "calibrations": {}, "checksums": {}}
    for n in range(length):
        needs = (n + 1) % length
        found["associations"][f"f{n}.fits"] = {"flat": f"f{needs}_flat.fits"}
        found["calibrations"][f"f{needs}_flat.fits"] = [f"f{needs}.fits"]
    document.write_text(json.dumps(found))
    result = command("cals", "check", "--json")
    assert (result.code, len(result.json)) == (3, length)
    result = command("cals", "graph", "f0.fits")
    assert result.code == (0 if length < 100 else 1)
    assert length < 100 or "in a chain of more than 100, such as f1_flat" in result.err


def test_calibrations_that_need_each_other_in_many_ways_end(
    command: Any, document: Path
) -> None:
    types = {f"t{n}": f"set{n}.fits" for n in range(9)}
    found: dict[str, Any] = {
        "associations": {f"f{n}.fits": types for n in range(9)},
        "calibrations": {f"set{n}.fits": [f"f{n}.fits"] for n in range(9)},
    }
    document.write_text(json.dumps(found))
    assert len(command("cals", "check", "--json").json) == 9
    result = command("cals", "graph")
    assert result.code == 1
    assert "need each other in more than 100000 branches" in result.err


def test_folder_is_no_document(command: Any) -> None:
    result = command("cals", "check", "--document", "raw")
    assert result.code == 1
    assert "raw is a folder, not a calibration document" in result.err
    result = command("cals", "check", "--document", "x" * 300)
    assert "there is no calibration document xxx" in result.err
