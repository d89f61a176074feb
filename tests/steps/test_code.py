"""Code of the user's own script that changes between runs."""

import logging
import sys
from pathlib import Path

import pytest
from shared_helpers import edit_pixel_elsewhere, first_pixel, run_here

from ndmapper.config import config
from ndmapper.steps.record.origin import essence
from ndmapper.steps.record.summary import summary
from ndmapper.steps.run.dry_run import collect_plans

pytestmark = pytest.mark.usefixtures("reprocess_auto")

SCRIPT = """
from ndmapper.steps import chain, run_task
LIMIT = 100.0

def helper(x):
    return x * 2

@run_task(prefix="c")
def change(ndd):
    return ndd * 2

@run_task(prefix="f")
def follow(ndd, *, extra: float = 0.0):
    return ndd + 1 + extra

@run_task(prefix="l", each="list", outputs="total")
def total(files):
    return [files[0][0] + files[1][0]]

LAST
"""
LAST = 'total(follow(change(["x1.fits", "x2.fits"])), total="t.fits")'
CHAIN = 'total(chain(change, follow)(["x1.fits", "x2.fits"]), total="t.fits")'
CHANGED = ["cx1.fits", "cx2.fits"]
FOLLOWING = ["fcx1.fits", "fcx2.fits", "t.fits"]


@pytest.fixture
def run(make_raw):
    """Write the script with some words changed, and run it; give what was made."""
    for n in (1, 2):
        make_raw(f"x{n}.fits", (float(n),))

    def run(*changes, last=LAST):
        summary.clear()
        text = SCRIPT.replace("LAST", last)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        run_here(text)
        return summary.made

    return run


OTHER = ("return ndd * 2", "return ndd * 3")
SAME = ("return ndd * 2", "return ndd + ndd")


def test_changed_step_is_made_again_and_all_that_follows(run, caplog):
    run()
    with caplog.at_level(logging.INFO):
        assert run(OTHER) == CHANGED + FOLLOWING
    assert "made again, the code of change has changed" in caplog.text
    assert first_pixel("t.fits") == 3 * 1 + 1 + 3 * 2 + 1
    assert run(OTHER) == []


def test_what_comes_out_the_same_leaves_alone_what_follows(run):
    run()
    before = Path("fcx1.fits").read_bytes()
    assert run(SAME) == CHANGED
    assert run(SAME) == []
    assert Path("fcx1.fits").read_bytes() == before
    # The others are compared as before: with what they are, not with what they were.
    assert run(SAME, ("+ 1 + extra", "+ 1 + extra + 0")) == FOLLOWING[:2]
    assert run() == CHANGED + FOLLOWING[:2]
    assert run(OTHER) == CHANGED + FOLLOWING


def test_what_comes_out_the_same_for_one_file_only(run):
    run()
    made = run(("return ndd * 2", "return ndd * (2 if ndd.data.max() < 2 else 3)"))
    assert made == [*CHANGED, "fcx2.fits", "t.fits"]


@pytest.mark.parametrize("reason", ["parameter", "raw"])
def test_what_comes_out_the_same_of_something_else_is_made_of_it_again(
    run, make_raw, reason
):
    """Only code is looked through: a record tells the parameters that were used."""
    run()
    if reason == "parameter":
        change = ("follow(change", "follow(extra=0.5, inputs=change")
        change = ('"x2.fits"]))', '"x2.fits"]), extra=1e-9)')
        assert run(change) == FOLLOWING
    else:
        Path("x1.fits").unlink()
        make_raw("x1.fits", (5.0,))
        assert run() == ["cx1.fits", "fcx1.fits", "t.fits"]


@pytest.mark.parametrize(
    "change",
    [
        ("return ndd * 2", "return (ndd * 2)  # twice"),
        ("def change(ndd):", "def change(ndd):\n    '''Double.'''"),
        ("return ndd * 2", "\n    return ndd   *   2"),
    ],
    ids=["comment", "docstring", "layout"],
)
def test_words_that_do_nothing_make_nothing_again(run, change):
    run()
    assert run(change) == []


@pytest.mark.parametrize(
    "change",
    [
        ("return x * 2", "return x * 3"),
        ("LIMIT = 100.0", "LIMIT = 1000.0"),
    ],
    ids=["helper", "constant"],
)
def test_helpers_and_constants_count_where_they_are_used(run, change):
    uses = ("return ndd * 2", "return ndd * helper(LIMIT)")
    run(uses)
    assert run(uses, change) == CHANGED + FOLLOWING
    run()
    assert run(change) == []


def test_report_tells_and_forces_nothing(run, caplog):
    run()
    with config.using(code="report"):
        assert run(OTHER) == []
    assert "the code of change has changed" in caplog.text
    assert (summary.differing, first_pixel("cx1.fits")) == (CHANGED, 2)
    with config.using(code="report"):
        made = run(OTHER, ("+ extra", "+ extra + 7"), ('s"]))', 's"]), extra=1.0)'))
        assert made == FOLLOWING
    # With another reason the new code is used; and what is deleted is made by it.
    Path("cx1.fits").unlink()
    with config.using(code="report"):
        assert run(OTHER) == ["cx1.fits", "fcx1.fits", "fcx2.fits", "t.fits"]
    assert first_pixel("fcx1.fits") == 4


def test_edited_product_is_kept_although_the_code_changed(run):
    run()
    edit_pixel_elsewhere("cx1.fits", 99)
    assert run(OTHER) == ["cx2.fits", *FOLLOWING]
    assert first_pixel("cx1.fits") == 99


def test_step_in_a_chain_is_made_again(run, caplog):
    run(last=CHAIN)
    with caplog.at_level(logging.INFO):
        assert run(OTHER, last=CHAIN) == FOLLOWING
    assert "made again, the code of change has changed" in caplog.text
    assert run(SAME, last=CHAIN) == FOLLOWING[:2] + FOLLOWING[2:]
    assert run(("return ndd * 2", "return 2 * ndd"), last=CHAIN) == FOLLOWING[:2]
    assert run(("return ndd * 2", "return 2 * ndd"), last=CHAIN) == []
    with config.using(code="report"):
        assert run(OTHER, last=CHAIN) == []


def test_product_that_was_cleaned_is_made_again_where_its_code_changed(run):
    from ndmapper.steps.clean import find_removable, remove

    run()
    for candidate in find_removable(Path()):
        if candidate.kept is None:
            remove(candidate.path)
    assert not Path("cx1.fits").exists()
    assert run() == []
    assert run(SAME) == CHANGED
    assert run(SAME) == []
    assert not Path("fcx1.fits").exists()
    assert run(OTHER) == CHANGED + FOLLOWING


def planned(run, *changes, last=LAST):
    with collect_plans() as plans, config.using(dry_run=True):
        run(*changes, last=last)
    items = [item for plan in plans for item in plan.items]
    found = {}
    for item in items:
        word = "perhaps" if item.is_open else item.action
        found.setdefault(word, []).extend(item.products)
    return found


def test_plan_says_what_depends_on_how_changed_code_comes_out(run):
    run()
    assert planned(run, OTHER) == {"replace": CHANGED, "perhaps": FOLLOWING}
    assert planned(run, SAME) == {"replace": CHANGED, "perhaps": FOLLOWING}
    other = ("+ 1 + extra", "+ extra")
    assert planned(run, SAME, other) == {
        "replace": [*CHANGED, "fcx1.fits", "fcx2.fits"], "perhaps": ["t.fits"],
    }  # fmt: skip
    extra = ('"x2.fits"]))', '"x2.fits"]), extra=2.0)')
    assert planned(run, SAME, extra) == {"replace": CHANGED + FOLLOWING}
    run(SAME)
    assert planned(run, SAME) == {"reuse": CHANGED + FOLLOWING}


def test_plan_of_a_chain_with_changed_code(run):
    run(last=CHAIN)
    assert planned(run, SAME, last=CHAIN) == {
        "replace": FOLLOWING[:2], "perhaps": ["t.fits"],
    }  # fmt: skip


def test_essence_has_no_words_of_one_version_of_python():
    text = "def f(a, b=1):\n    return f'{a!r:>{b}}' + ''\nclass A:\n    pass\n"
    found = essence(text)
    assert "type_params" not in found
    assert "keywords=[]" in found
    assert sys.version_info >= (3, 11)
