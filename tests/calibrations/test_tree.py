"""The tree of calibrations, and the list of entries."""

import json
from typing import Any

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict, lock_cals, mark_bad
from ndmapper.calibrations.listing import entries_of, keys_of, top_frames
from ndmapper.calibrations.tree import cal_tree, draw_tree
from ndmapper.errors import ParameterError


@pytest.fixture
def cals() -> dict[str, Any]:
    cals = init_cal_dict()
    add_cal_entry("x.fits", "bias", ["b1.fits", "b2.fits"], cals)
    add_cal_entry("x.fits", "flat", ["f1.fits", "f2.fits"], cals)
    add_cal_entry("x.fits", "arc", None, cals)
    for flat in ("f1.fits", "f2.fits"):
        add_cal_entry(flat, "bias", ["b1.fits", "b2.fits"], cals)
    return cals


def test_tree_as_text_shares_branches_of_a_set(cals: dict[str, Any]) -> None:
    assert draw_tree(cal_tree(cals, ["x.fits"])) == (
        "x.fits\n"
        "├─ bias: b1_bias.fits (2 frames)\n"
        "├─ flat: f1_flat.fits (2 frames)\n"
        "│  └─ bias: b1_bias.fits (2 frames)\n"
        "└─ arc: none"
    )


def test_tree_as_mermaid_has_each_calibration_once(cals: dict[str, Any]) -> None:
    lines = draw_tree(cal_tree(cals, ["x.fits"]), "mermaid").splitlines()
    assert lines[0] == "graph LR"
    assert lines[1:5] == [
        '    n0["x.fits"]', '    n1["b1_bias.fits"]', '    n2["f1_flat.fits"]',
        '    n3["none"]',
    ]  # fmt: skip
    assert set(lines[5:]) == {
        '    n0 -->|"bias"| n1', '    n0 -->|"flat"| n2', '    n2 -->|"bias"| n1',
        '    n0 -->|"arc"| n3',
    }  # fmt: skip


def test_tree_as_dot_quotes_names() -> None:
    cals = init_cal_dict()
    add_cal_entry('x".fits', "bias", ["b\\1.fits"], cals)
    text = draw_tree(cal_tree(cals, ['x".fits']), "dot")
    assert text.startswith("digraph calibrations {")
    labels = [line.split("label=")[1][:-2] for line in text.splitlines()[3:-1]]
    assert [json.loads(label) for label in labels] == [
        'x".fits', "b\\1_bias.fits", "bias",
    ]  # fmt: skip


def test_tree_of_calibrations_that_need_each_other_ends() -> None:
    cals = init_cal_dict()
    cals["associations"] = {"x": {"flat": "a"}, "f": {"flat": "a"}}
    cals["calibrations"] = {"a": ["f"]}
    assert draw_tree(cal_tree(cals, ["x"])).count("flat: a") == 2


def test_tree_leaves_bad_frames_out(cals: dict[str, Any]) -> None:
    mark_bad("b1.fits", cals, "fog")
    (top,) = cal_tree(cals, ["x.fits"])
    assert top.branches[0].frames == ("b2.fits",)


def test_top_frames_are_not_part_of_a_calibration(cals: dict[str, Any]) -> None:
    assert top_frames(cals) == ["x.fits"]


def test_keys_of_products_are_those_of_their_raw_frames() -> None:
    cals = init_cal_dict()
    add_cal_entry("S20140718S0020.fits.bz2", "bias", ["b1.fits"], cals)
    assert keys_of(cals, ["out/rgS20140718S0020.fits"]) == ["S20140718S0020.fits.bz2"]


def test_keys_of_an_unknown_file_suggest_the_nearest(cals: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"no x2\.fits; did you mean 'x\.fits'"):
        keys_of(cals, ["x2.fits"])


def test_entries_tell_source_frames_and_locks(cals: dict[str, Any]) -> None:
    mark_bad("b1.fits", cals, "fog")
    lock_cals("x.fits", "arc", cals)
    bias, flat, arc = entries_of(cals, ["x.fits"])
    assert (bias.frames, bias.bad) == (("b2.fits",), ("b1.fits",))
    assert flat.source == "user"
    assert (arc.label, arc.locked) == (None, True)
