"""Steps of packages count by their revision, and not by the version of the package."""

import json
import logging
from pathlib import Path

import pytest

from ndmapper import config
from ndmapper.data import DataFile
from ndmapper.errors import DeclarationError
from ndmapper.io.record import entry_key, read_side
from ndmapper.steps import chain, run_task
from ndmapper.steps.record import versions
from ndmapper.steps.record.freshness import why_stale
from ndmapper.steps.record.summary import summary


def make_step(module, prefix="p", **options):
    def step(ndd):
        return ndd * 2

    step.__module__ = module
    step.__name__ = f"step_{prefix}"
    return run_task(step, prefix=prefix, options=options)


@pytest.fixture(autouse=True)
def _true_versions(reprocess_auto):
    yield
    versions.package_version.cache_clear()


@pytest.fixture
def released(monkeypatch):
    """Install another version of ndmapper, as far as records go."""

    def release(version):
        monkeypatch.setattr(versions, "__version__", version)
        versions.package_version.cache_clear()

    return release


def test_release_of_the_package_makes_nothing_again(make_raw, released):
    step = make_step("ndmapper.lib.ccd")
    step(make_raw("x.fits"))
    assert DataFile("px.fits").record[-1]["revision"] == 1
    released("99.0")
    step("x.fits")
    assert (summary.made, summary.reused) == (["px.fits"], ["px.fits"])
    assert why_stale(Path("px.fits")) == []


def test_raised_revision_is_told_and_made_again_once(make_raw, caplog):
    make_step("ndmapper.lib.ccd")(make_raw("x.fits"))
    mended = make_step("ndmapper.lib.ccd", revision=2)
    mended("x.fits", reprocess=False)
    assert "revision was 1, now 2" in caplog.text
    with caplog.at_level(logging.INFO):
        mended("x.fits")
        mended("x.fits")
    assert "made again, revision was 1, now 2" in caplog.text
    assert summary.made == ["px.fits", "px.fits"]
    assert DataFile("px.fits").record[-1]["revision"] == 2


def test_step_of_another_package_counts_by_its_version_unless_it_has_a_revision(
    make_raw, monkeypatch
):
    make_raw("x.fits")
    plain, numbered = (make_step("numpy.fft", p, **o) for p, o in
                       (("p", {}), ("q", {"revision": 3})))  # fmt: skip
    for version in ("1.0", "1.1"):
        versions.package_version.cache_clear()
        monkeypatch.setattr(versions.metadata, "version", lambda n, v=version: v)
        plain("x.fits")
        numbered("x.fits")
    assert summary.made == ["px.fits", "qx.fits", "px.fits"]
    assert "revision" not in DataFile("px.fits").record[-1]


def test_revision_of_a_tool_counts_beside_its_version(make_raw, fake):
    def declare(**options):
        @run_task("fake:tool", inputs="a", outputs="b", prefix="t", options=options)
        def tool():
            return {}

        return tool

    make_raw("x.fits")
    declare()("x.fits")
    declare()("x.fits")
    declare(revision=2)("x.fits")
    assert summary.made == ["tx.fits"] * 2
    fake.version = "2.0"
    declare(revision=2)("x.fits")
    assert summary.made == ["tx.fits"] * 3


def test_why_a_product_is_stale_by_its_record_and_the_revision_of_today(make_raw):
    make_step("ndmapper.lib.ccd")(make_raw("x.fits"))
    make_step("ndmapper.lib.ccd", "q")("px.fits")

    def now(module, step):
        assert module == "ndmapper.lib.ccd"
        return {"step_p": 4, "step_q": None}[step]

    path = Path("qpx.fits")
    assert why_stale(path, revision_now=now) == [
        "px.fits: the revision of step_p was 1, now 4"
    ]
    assert why_stale(path) == []


@pytest.mark.parametrize("revision", [0, -1, 1.5, "2", True, None])
def test_revision_is_a_number_from_one_on(revision):
    with pytest.raises(DeclarationError, match="a number from 1 on"):
        make_step("ndmapper.lib.ccd", revision=revision)


# Records of schema 1 had the version of the package in the key.


@pytest.fixture
def old_night(make_raw):
    """Make products in two steps, whose records are of schema 1."""
    first, second = (make_step("ndmapper.lib.ccd", p) for p in "ab")
    both = chain(make_step("ndmapper.lib.ccd", "c"), make_step("ndmapper.lib.ccd", "d"))
    names = [make_raw(f"x{n}.fits") for n in (1, 2)]
    with config.using(record="side"):
        second(first(names))
        both(names)
        rewrite_side_records()
    summary.clear()
    return first, second, both, names


def rewrite_side_records(version="0.0.1"):
    keys = {}
    known = {}
    records = {
        # As JSON, in which no two rows share an object.
        path: json.loads(json.dumps(read_side(Path(path.name.removesuffix(".json")))))
        for path in Path(".ndmapper/records").iterdir()
    }
    for row in [row for rows in records.values() for row in rows]:
        known.setdefault(row["key"], row)
    order = {path: [row["key"] for row in rows] for path, rows in records.items()}
    for key, row in known.items():
        _downgrade(key, row, known, keys, version)
    for path, before in order.items():
        path.write_text(json.dumps([known[key] for key in before]))


def _downgrade(key, row, known, keys, version):
    if key in keys:
        return keys[key]
    row["schema"] = 1
    row.pop("revision", None)
    row["tool"]["version"] = version
    for reference in row["inputs"]:
        if "key" in reference:
            inner = reference["key"]
            reference["key"] = _downgrade(inner, known[inner], known, keys, version)
    keys[key] = row["key"] = entry_key(row)
    return row["key"]


@pytest.mark.parametrize("reprocess", ["auto", False])
def test_records_of_schema_1_are_not_stale(old_night, reprocess, released):
    released("99.0")
    first, second, both, names = old_night
    with config.using(reprocess=reprocess, record="side"):
        second(first(names))
        both(names)
    assert (summary.made, summary.differing) == ([], [])
    assert len(summary.reused) == 6


def test_what_is_made_of_products_of_schema_1_stays(old_night):
    first, second, _, names = old_night
    third = make_step("ndmapper.lib.ccd", "t")
    for _ in range(2):
        third(second(first(names)))
    assert summary.made == ["tbax1.fits", "tbax2.fits"]
    assert [row["schema"] for row in DataFile("tbax1.fits").record] == [1, 1, 3]


def test_raised_revision_makes_products_of_schema_1_again(old_night, caplog):
    _, second, _, names = old_night
    first = make_step("ndmapper.lib.ccd", "a", revision=2)
    with caplog.at_level(logging.INFO):
        second(first(names))
    assert "made again, revision was 1, now 2" in caplog.text
    assert len(summary.made) == 4


def test_changed_parameter_of_a_step_of_schema_1_is_the_only_reason(make_raw, caplog):
    def step(ndd, *, by: float = 1.0):
        return ndd + by

    step.__module__ = "ndmapper.lib.ccd"
    task = run_task(step, prefix="p")
    with config.using(record="side"), caplog.at_level(logging.INFO):
        task(make_raw("x.fits"))
        rewrite_side_records()
        task("x.fits", by=2.0)
    assert caplog.messages[-2].endswith("made again, parameter by was 1, now 2")
