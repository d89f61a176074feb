"""The calibration document: read, checked, saved, and the user's edits kept."""

import copy
import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shared_helpers import read_document, write_document

from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict
from ndmapper.calibrations.dependencies import walk_dependencies
from ndmapper.calibrations.provenance import answer_of
from ndmapper.errors import CalibrationDocumentError, FileAccessError

EXAMPLE: dict[str, Any] = {
    "associations": {"S20140718S0020.fits": {"bias": "S20140822S0201_bias.fits",
                                             "flat": None}},
    "calibrations": {"S20140822S0201_bias.fits": ["S20140822S0201.fits",
                                                  "S20140822S0202.fits"]},
    "checksums": {"S20140822S0201.fits": "9d377b10ce778c4938b3c7e2c63a229a"},
}  # fmt: skip

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,6}\.fits(\.gz)?", fullmatch=True)
# What is to be made of raw frames cannot have the name of one.
LABELS = st.from_regex(r"[A-Z][a-z0-9_]{0,6}\.fits(\.gz)?", fullmatch=True)
DOCUMENTS = st.fixed_dictionaries(
    {
        "associations": st.dictionaries(
            NAMES,
            st.dictionaries(st.sampled_from(["bias", "flat"]), st.none() | LABELS),
            max_size=4,
        ),
        "calibrations": st.dictionaries(
            LABELS, st.lists(NAMES, max_size=4), max_size=4
        ),
        "checksums": st.dictionaries(NAMES, st.none() | st.text(), max_size=4),
    },
    optional={
        "notes": st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        )
    },
)
# Every example writes into the same folder, which it empties first.
on_disk = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def test_init_without_file_is_three_empty_maps() -> None:
    assert init_cal_dict() == {"associations": {}, "calibrations": {}, "checksums": {}}


def test_init_with_missing_file_is_new_and_makes_no_file(document_path: Path) -> None:
    assert init_cal_dict(document_path)["associations"] == {}
    assert not document_path.exists()


def test_init_reads_the_published_example(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    assert init_cal_dict(document_path) == EXAMPLE


def test_init_adds_maps_that_are_missing(document_path: Path) -> None:
    write_document(document_path, {"associations": {}})
    assert init_cal_dict(document_path)["checksums"] == {}


def test_init_takes_a_byte_order_mark(document_path: Path) -> None:
    document_path.write_bytes(b"\xef\xbb\xbf" + json.dumps(EXAMPLE).encode())
    assert init_cal_dict(document_path) == EXAMPLE


@on_disk
@given(document=DOCUMENTS)
def test_save_then_init_gives_the_document_back(
    document_path: Path, document: dict[str, Any]
) -> None:
    document_path.unlink(missing_ok=True)
    save_cal_dict(document, document_path)
    assert init_cal_dict(document_path) == document


@on_disk
@given(document=DOCUMENTS, indent=st.none() | st.integers(0, 3), blank=st.text(" \n"))
def test_save_without_changes_alters_no_byte(
    document_path: Path, document: dict[str, Any], indent: int | None, blank: str
) -> None:
    text = blank + json.dumps(document, indent=indent) + blank
    document_path.write_text(text, encoding="utf-8")
    before = document_path.read_bytes(), document_path.stat().st_ino
    save_cal_dict(init_cal_dict(document_path), document_path)
    assert (document_path.read_bytes(), document_path.stat().st_ino) == before


def test_save_without_changes_keeps_a_document_with_missing_maps(
    document_path: Path,
) -> None:
    document_path.write_text('{"associations": {}}', encoding="utf-8")
    save_cal_dict(init_cal_dict(document_path), document_path)
    assert document_path.read_text(encoding="utf-8") == '{"associations": {}}'


def test_init_binary_file_is_malformed(document_path: Path) -> None:
    document_path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CalibrationDocumentError, match="expected UTF-8"):
        init_cal_dict(document_path)


def test_init_folder_instead_of_file_is_an_access_error(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="cannot be read"):
        init_cal_dict(tmp_path)


def test_save_wrong_dict_is_refused_and_writes_nothing(document_path: Path) -> None:
    with pytest.raises(
        CalibrationDocumentError, match=r'associations\["a"\]\["bias"\]'
    ):
        save_cal_dict({"associations": {"a": {"bias": 1.5}}}, document_path)
    assert not document_path.exists()


def test_save_keeps_unknown_keys(document_path: Path) -> None:
    write_document(document_path, EXAMPLE | {"notes": ["arc 3 is saturated"]})
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, document_path)
    assert read_document(document_path)["notes"] == ["arc 3 is saturated"]


def test_save_keeps_the_order_of_the_user(document_path: Path) -> None:
    write_document(document_path, {"checksums": {}, "associations": {"z": {}, "a": {}}})
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, document_path)
    assert list(read_document(document_path)["associations"]) == ["z", "a", "new.fits"]


def test_save_keeps_an_edit_made_since_the_file_was_read(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", ["b1.fits"], cal_dict)
    edited = copy.deepcopy(EXAMPLE)
    edited["associations"]["S20140718S0020.fits"]["flat"] = "my_flat.fits"
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    saved = read_document(document_path)["associations"]
    assert saved["S20140718S0020.fits"]["flat"] == "my_flat.fits"
    assert saved["new.fits"] == {"bias": "b1_bias.fits"}


def test_save_gives_the_edit_to_the_dict_as_well(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", ["b1.fits"], cal_dict)
    edited = copy.deepcopy(EXAMPLE)
    edited["checksums"]["S20140822S0202.fits"] = "1234"
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    assert cal_dict == read_document(document_path)


def test_save_edit_wins_over_a_change_of_the_script(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("S20140718S0020.fits", "flat", ["f1.fits"], cal_dict)
    edited = copy.deepcopy(EXAMPLE)
    edited["associations"]["S20140718S0020.fits"]["flat"] = "mine.fits"
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    assert (
        read_document(document_path)["associations"]["S20140718S0020.fits"]["flat"]
        == "mine.fits"
    )


def test_save_keeps_a_deletion_by_the_user(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", None, cal_dict)
    edited = copy.deepcopy(EXAMPLE)
    del edited["associations"]["S20140718S0020.fits"]["flat"]
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    assert (
        "flat"
        not in read_document(document_path)["associations"]["S20140718S0020.fits"]
    )


def test_save_keeps_a_dropped_calibration_that_an_edit_refers_to(
    document_path: Path,
) -> None:
    write_document(document_path, EXAMPLE)
    cal_dict = init_cal_dict(document_path)
    # The only use of the bias goes, and the bias with it ...
    add_cal_entry("S20140718S0020.fits", "bias", None, cal_dict)
    assert cal_dict["calibrations"] == {}
    # ... while the user begins to use it for another file.
    edited = copy.deepcopy(EXAMPLE)
    edited["associations"]["other.fits"] = {"bias": "S20140822S0201_bias.fits"}
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    saved = read_document(document_path)
    assert saved["calibrations"] == EXAMPLE["calibrations"]
    assert saved["checksums"] == EXAMPLE["checksums"]
    assert saved["associations"]["S20140718S0020.fits"]["bias"] is None


@on_disk
@given(base=DOCUMENTS, edited=DOCUMENTS)
def test_save_after_any_edit_loses_nothing_of_it(
    document_path: Path, base: dict[str, Any], edited: dict[str, Any]
) -> None:
    write_document(document_path, base)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "arc", ["x.fits"], cal_dict)
    write_document(document_path, edited)
    save_cal_dict(cal_dict, document_path)
    saved = read_document(document_path)
    assert saved["associations"].pop("new.fits")["arc"] == "x_arc.fits"
    if "x_arc.fits" not in edited["calibrations"]:
        assert saved["calibrations"].pop("x_arc.fits") == ["x.fits"]
    edited["associations"].pop("new.fits", None)
    assert saved == edited


def test_save_by_several_runs_at_once_keeps_the_entries_of_all(
    document_path: Path,
) -> None:
    def run(number: int) -> None:
        cal_dict = init_cal_dict(document_path)
        add_cal_entry(f"x{number}.fits", "bias", [f"b{number}.fits"], cal_dict)
        save_cal_dict(cal_dict, document_path)

    save_cal_dict(init_cal_dict(), document_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(run, range(40)))
    assert set(read_document(document_path)["associations"]) == {
        f"x{i}.fits" for i in range(40)
    }


def test_save_by_two_runs_that_gave_one_label_to_different_sets(
    document_path: Path,
) -> None:
    save_cal_dict(init_cal_dict(), document_path)
    first, second, third = (init_cal_dict(document_path) for _ in range(3))
    add_cal_entry("x.fits", "bias", ["b1.fits", "b2.fits", "b3.fits"], first)
    for cals, name in ((second, "y.fits"), (third, "z.fits")):
        walk_dependencies(
            [(name, "target")],
            {"target": ["bias"]},
            lambda *_: ["b1.fits", "b2.fits"],
            cals,
        )
    for cals in (first, second, third):
        save_cal_dict(cals, document_path)
    found = init_cal_dict(document_path)
    assert found["calibrations"] == {
        "b1_bias.fits": ["b1.fits", "b2.fits", "b3.fits"],
        "b1_bias_1.fits": ["b1.fits", "b2.fits"],
    }
    labels = {name: types["bias"] for name, types in found["associations"].items()}
    assert labels == {
        "x.fits": "b1_bias.fits",
        "y.fits": "b1_bias_1.fits",
        "z.fits": "b1_bias_1.fits",
    }
    assert answer_of("y.fits", "bias", found) is not None
    assert answer_of("z.fits", "bias", found) is not None


def test_save_other_document_keeps_what_the_file_held(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    save_cal_dict(dict(init_cal_dict()), document_path)
    assert read_document(document_path)["associations"] == {}
    assert read_document(document_path.with_name("calibrations.json.bak")) == EXAMPLE


def test_save_other_document_again_keeps_all_that_the_file_held(
    document_path: Path,
) -> None:
    held = [{**EXAMPLE, "notes": number} for number in range(3)]
    for document in held:
        write_document(document_path, document)
        save_cal_dict(dict(init_cal_dict()), document_path)
    backups = [document_path.with_name(f"calibrations.json.bak{n}") for n in ("", 1, 2)]
    assert [read_document(backup) for backup in backups] == held


def test_save_other_document_keeps_the_same_content_once(document_path: Path) -> None:
    for _ in range(3):
        write_document(document_path, EXAMPLE)
        save_cal_dict(dict(init_cal_dict()), document_path)
    assert len(list(document_path.parent.glob("*.bak*"))) == 1


def test_save_other_document_does_not_touch_a_folder_called_so(
    document_path: Path,
) -> None:
    write_document(document_path, EXAMPLE)
    document_path.with_name("calibrations.json.bak").mkdir()
    save_cal_dict(dict(init_cal_dict()), document_path)
    assert read_document(document_path.with_name("calibrations.json.bak1")) == EXAMPLE


def test_save_new_document_is_sorted_by_name(document_path: Path) -> None:
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("z.fits", "flat", [("f2.fits", "2"), ("f1.fits", "1")], cal_dict)
    add_cal_entry("z.fits", "bias", [("b1.fits", "0")], cal_dict)
    add_cal_entry("a.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, document_path)
    assert (
        document_path.read_text()
        == json.dumps(cal_dict, indent=4, sort_keys=True) + "\n"
    )


def test_save_sorts_new_entries_into_a_sorted_document(document_path: Path) -> None:
    cal_dict = init_cal_dict(document_path)
    for name in ("m.fits", "z.fits", "a.fits"):
        add_cal_entry(name, "bias", None, cal_dict)
        save_cal_dict(cal_dict, document_path)
    assert list(read_document(document_path)["associations"]) == [
        "a.fits",
        "m.fits",
        "z.fits",
    ]


def test_save_keeps_the_order_of_types_of_the_user(document_path: Path) -> None:
    write_document(
        document_path, {"associations": {"x.fits": {"flat": None, "bias": None}}}
    )
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("x.fits", "arc", None, cal_dict)
    save_cal_dict(cal_dict, document_path)
    assert list(read_document(document_path)["associations"]["x.fits"]) == [
        "flat",
        "bias",
        "arc",
    ]


def test_save_to_a_second_file_is_sorted_as_the_first(document_path: Path) -> None:
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("z.fits", "bias", None, cal_dict)
    add_cal_entry("a.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, document_path)
    save_cal_dict(cal_dict, document_path.with_name("second.json"))
    assert (
        document_path.with_name("second.json").read_bytes()
        == document_path.read_bytes()
    )


def test_save_to_a_second_file_keeps_the_order_of_the_user(document_path: Path) -> None:
    write_document(document_path, {"associations": {"z": {}, "a": {}}})
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("m.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, document_path.with_name("second.json"))
    saved = read_document(document_path.with_name("second.json"))
    assert list(saved["associations"]) == ["z", "a", "m.fits"]


def test_save_after_copy_still_knows_the_file(document_path: Path) -> None:
    write_document(document_path, EXAMPLE)
    for cal_dict in (
        copy.deepcopy(init_cal_dict(document_path)),
        pickle.loads(pickle.dumps(init_cal_dict(document_path))),
    ):
        edited = copy.deepcopy(EXAMPLE) | {"notes": "kept"}
        write_document(document_path, edited)
        add_cal_entry("new.fits", "bias", None, cal_dict)
        save_cal_dict(cal_dict, document_path)
        assert read_document(document_path)["notes"] == "kept"


def test_save_through_a_link_keeps_the_link(tmp_path: Path) -> None:
    target, link = tmp_path / "real.json", tmp_path / "link.json"
    write_document(target, EXAMPLE)
    link.symlink_to(target)
    cal_dict = init_cal_dict(link)
    add_cal_entry("new.fits", "bias", None, cal_dict)
    save_cal_dict(cal_dict, link)
    assert link.is_symlink()
    assert "new.fits" in read_document(target)["associations"]


# ---- saving the calibration document where that cannot be done


SMALL: dict[str, Any] = {
    "associations": {"a.fits": {"bias": "b.fits", "flat": None}},
    "calibrations": {"b.fits": ["c.fits", "d.fits"]},
    "checksums": {"c.fits": "9d377b10ce778c4938b3c7e2c63a229a"},
}


def test_save_leaves_no_temporary_file(document_path: Path) -> None:
    save_cal_dict(init_cal_dict(), document_path)
    names = {p.name for p in document_path.parent.iterdir()}
    assert names == {"calibrations.json", ".ndmapper"}


def test_save_failing_half_way_keeps_the_old_file(
    document_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_document(document_path, SMALL)
    cal_dict = init_cal_dict(document_path)
    add_cal_entry("new.fits", "bias", None, cal_dict)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileAccessError, match="No space left"):
        save_cal_dict(cal_dict, document_path)
    assert read_document(document_path) == SMALL
    assert not list(document_path.parent.glob(".*.part"))


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """Give a folder that this process cannot write to, even where it runs as root."""
    folder = Path(tempfile.mkdtemp())
    write_document(folder / "calibrations.json", SMALL)
    # What is imported by it may be out of reach for the other user.
    init_cal_dict(folder / "calibrations.json")
    (folder / "calibrations.json").chmod(0o444)
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    yield folder
    os.seteuid(user)
    folder.chmod(0o755)
    shutil.rmtree(folder)


def test_save_in_read_only_folder_is_an_access_error(read_only_folder: Path) -> None:
    path = read_only_folder / "calibrations.json"
    cal_dict = init_cal_dict(path)
    cal_dict["associations"]["new.fits"] = {"bias": None}
    with pytest.raises(FileAccessError, match=r"cannot be written \(Permission denied"):
        save_cal_dict(cal_dict, path)
    assert read_document(path) == SMALL


def test_save_unchanged_in_read_only_folder_is_no_error(read_only_folder: Path) -> None:
    path = read_only_folder / "calibrations.json"
    save_cal_dict(init_cal_dict(path), path)
    assert {p.name for p in read_only_folder.iterdir()} == {"calibrations.json"}


def test_save_into_missing_folder_is_an_access_error(tmp_path: Path) -> None:
    with pytest.raises(FileAccessError, match="is its folder there"):
        save_cal_dict(init_cal_dict(), tmp_path / "none" / "calibrations.json")


# ---- what is said of a calibration document that is malformed, which is left as it is


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"associations": {\n  "a.fits": {"bias": "b.fits",}}}',
         r'line 2, at associations\["a.fits"\]: the comma before }'),
        ('{"associations": {}\n "calibrations": {}}', r"line 2, at the top: a comma"),
        ('{\n"calibrations": {"b": ["x.fits"\n', r'line 3, .*\["b"\]: a comma'),
        ('{"checksums": {\n"a": nan}}', r'line 2, at checksums\["a"\]: a value'),
        ('{"checksums": {"a": NaN}}', r'line 1, at checksums\["a"\]: a value'),
        ('{"notes": 007}', r"at the top: a comma or }"),
        ('{"notes": "a\tb"}', r"at notes: a text is wrong"),
        ("{'associations': {}}", r"line 1, at the top: a key"),
        ('{"associations" {}}', r"at associations: a colon"),
        ('{"associations": {}} x', r"at the top: nothing more was expected"),
        ("", r"line 1, at the top: a value was expected"),
        ('{"associations": {"a": {"bias": null,\n"bias": null}}}',
         r'line 2, at associations\["a"\]\["bias"\]: this key is there twice'),
        ("[" * 5000, r"nested more than 100 deep"),
    ],
    ids=["comma", "no-comma", "cut", "word", "nan", "octal", "tab", "quotes", "colon",
         "rest", "empty", "twice", "deep"],
)  # fmt: skip
def test_init_invalid_json_says_path_and_line_and_keeps_the_file(
    document_path: Path, text: str, where: str
) -> None:
    document_path.write_text(text, encoding="utf-8")
    with pytest.raises(CalibrationDocumentError, match=where):
        init_cal_dict(document_path)
    with pytest.raises(CalibrationDocumentError, match=where):
        save_cal_dict(init_cal_dict(), document_path)
    assert document_path.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("change", "where", "line"),
    [
        (("associations", "a.fits", 5), r'\["a.fits"\]: expected an object', 4),
        (("associations", "a.fits", {"bias": 5}), r'\["a.fits"\]\["bias"\]: .*null', 5),
        (("associations", "a.fits", {"bias": "/etc/x"}), r"without a leading '/'", 5),
        (("associations", "a.fits", {"bias": "../x"}), r"without '\.\.'", 5),
        (("calibrations", "b.fits", "b1.fits"), r'\["b.fits"\]: expected a list', 4),
        (("calibrations", "b.fits", ["b1", 7]), r'\["b.fits"\]\[1\]: .*found 7', 6),
        (("calibrations", "../b.fits", []), r'calibrations\["../b.fits"\]', 4),
        (("calibrations", "c:\\..\\b", []), r"calibrations\[.*without '\.\.'", 4),
        (("checksums", "b.fits", 3), r'checksums\["b.fits"\]: expected a checksum', 4),
        (("checksums", "", "x"), r"checksums: expected keys that are text", 3),
    ],
)  # fmt: skip
def test_init_wrong_type_says_path_and_line_and_keeps_the_file(
    document_path: Path, change: tuple[str, str, Any], where: str, line: int
) -> None:
    document: dict[str, Any] = {"schema": 1, change[0]: {change[1]: change[2]}}
    document_path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    before = document_path.read_bytes()
    with pytest.raises(CalibrationDocumentError, match=rf"line {line}, at .*{where}"):
        init_cal_dict(document_path)
    with pytest.raises(CalibrationDocumentError, match=r"calibrations\.json"):
        save_cal_dict(init_cal_dict(), document_path)
    assert document_path.read_bytes() == before


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'{"checksums": []}'])
def test_init_other_json_is_malformed(document_path: Path, content: bytes) -> None:
    document_path.write_bytes(content)
    with pytest.raises(CalibrationDocumentError, match="expected an object"):
        init_cal_dict(document_path)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("assocations", "associations"),
        ("Associations", "associations"),
        ("calibration", "calibrations"),
        ("check_sums", "checksums"),
        ("bad_frame", "bad_frames"),
        ("badframes", "bad_frames"),
        ("lockd", "locked"),
    ],
)
def test_init_misspelt_map_is_an_error_with_a_suggestion(
    document_path: Path, key: str, meant: str
) -> None:
    document_path.write_text(json.dumps({"calibrations": {}, key: {}}, indent=1))
    with pytest.raises(
        CalibrationDocumentError, match=rf"line 3, at {key}: .*did you mean '{meant}'"
    ):
        init_cal_dict(document_path)


@pytest.mark.parametrize(
    "key", ["_note", "_associations", "notes", "association notes", "observer"]
)
def test_init_key_of_the_user_is_kept(document_path: Path, key: str) -> None:
    document_path.write_text(json.dumps({key: {"a": 1}}))
    assert init_cal_dict(document_path)[key] == {"a": 1}


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"calibrations": {"b1.fits": ["b1.fits", "b2.fits"]}}, "a raw frame"),
        ({"calibrations": {"b1.fits": ["b1.fits.gz"]}}, "a raw frame"),
        (
            {
                "associations": {"x.fits": {"bias": "x.fits"}},
                "calibrations": {"x.fits": ["b1.fits"]},
            },
            "a raw frame",
        ),
        ({"calibrations": {"raw/b.fits": ["b1.fits"]}}, "cannot have a folder"),
        ({"calibrations": {"raw\\b.fits": ["b1.fits"]}}, "cannot have a folder"),
    ],
    ids=["own-frame", "compressed", "target", "folder", "backslash"],
)
def test_init_label_that_cannot_be_a_product_is_an_error(
    document_path: Path, document: dict[str, Any], where: str
) -> None:
    document_path.write_text(json.dumps(document))
    with pytest.raises(
        CalibrationDocumentError,
        match=rf"at calibrations\[.*name of a product.*{where}",
    ):
        init_cal_dict(document_path)


def test_init_product_with_calibrations_of_its_own_is_no_raw_frame(
    document_path: Path,
) -> None:
    document = {
        "associations": {"b11_flat.fits": {"bias": "b21_bias.fits"}},
        "calibrations": {"b11_flat.fits": ["b11.fits"], "b21_bias.fits": ["b21.fits"]},
        "checksums": {},
    }
    document_path.write_text(json.dumps(document))
    assert init_cal_dict(document_path) == document
