"""Decisions of the user: asked for, kept, replayed."""

import json
from pathlib import Path

import pytest

from ndmapper import config, decide
from ndmapper.data import DataFile
from ndmapper.errors import RecordError, StepError
from ndmapper.steps import run_task

KEPT = Path(".ndmapper/decisions/dx.fits.json")
answers = []


def ask(old):
    answers.append(old)
    return old + 1


@run_task(prefix="d")
def scale(ndd, *, interact=None):
    return ndd * decide("factor", ask, 2)


@pytest.fixture(autouse=True)
def _no_answers(make_raw):
    answers.clear()
    make_raw("x.fits", (10.0, 20.0))


def test_decide_without_interaction_takes_the_default(pixels):
    scale("x.fits")
    assert (answers, pixels("dx.fits")) == ([], [20.0, 40.0])


def test_decide_asks_for_each_extension_and_keeps_the_answers(pixels):
    df = scale("x.fits", interact=True)
    assert (answers, pixels("dx.fits")) == ([2, 2], [30.0, 60.0])
    assert json.loads(KEPT.read_text()) == {"factor[1]": 3, "factor[2]": 3}
    assert df.record[-1]["decisions"] == {"factor[1]": 3, "factor[2]": 3}


def test_decide_replays_what_was_decided(pixels):
    scale("x.fits", interact=True)
    Path("dx.fits").unlink()
    scale("x.fits")
    assert pixels("dx.fits") == [30.0, 60.0]
    assert DataFile("dx.fits").record[-1]["decisions"]["factor[1]"] == 3


def test_decide_may_be_edited_by_hand(pixels):
    scale("x.fits", interact=True)
    KEPT.write_text('{"factor[1]": 7}')
    scale("x.fits", reprocess=True)
    assert pixels("dx.fits") == [70.0, 40.0]


def test_decide_again_starts_from_the_last_decision(pixels):
    scale("x.fits", interact=True)
    scale("x.fits", interact=True, reprocess=True)
    assert (answers, pixels("dx.fits")) == ([2, 2, 3, 3], [40.0, 80.0])


def test_decide_damaged_file_is_an_error_that_names_it():
    scale("x.fits", interact=True)
    KEPT.write_text("{")
    with pytest.raises(RecordError, match=r"dx\.fits\.json cannot be read"):
        scale("x.fits", reprocess=True)


def test_decide_what_cannot_be_kept_is_an_error():
    @run_task(prefix="d")
    def odd(ndd):
        return ndd * decide("factor", lambda old: ndd, 1)

    with config.using(interact=True), pytest.raises(Exception, match="cannot be kept"):
        odd("x.fits")


def test_decide_outside_a_step_is_the_default():
    assert decide("factor", ask, 5) == 5
    assert not answers


def test_decide_interactive_steps_run_one_at_a_time(make_raw, pixels):
    names = [make_raw(f"y{n}.fits", (1.0,)) for n in range(3)]
    scale(names, interact=True, workers=2)
    assert answers == [2, 2, 2]  # in this process


def test_decide_failing_question_makes_no_product():
    @run_task(prefix="d")
    def broken(ndd):
        return ndd * decide("factor", lambda old: 1 / 0, 1)

    with pytest.raises(StepError, match="division by zero"):
        broken("x.fits", interact=True)
    assert not Path("dx.fits").exists()


def test_decide_an_edited_decision_counts_for_auto(pixels, caplog):
    scale("x.fits", interact=True)
    scale("x.fits", reprocess="auto")
    assert pixels("dx.fits") == [30.0, 60.0]
    KEPT.write_text('{"factor[1]": 7, "factor[2]": 3}')
    with caplog.at_level("INFO"):
        scale("x.fits", reprocess="auto")
    assert "the decision factor[1] was 3, now 7" in caplog.text
    assert pixels("dx.fits") == [70.0, 60.0]


def test_decide_products_of_one_name_have_decisions_of_their_own(pixels):
    scale("x.fits", out_names="one/dx.fits", interact=True)
    scale("x.fits", out_names="two/dx.fits")
    assert pixels("two/dx.fits") == [20.0, 40.0]
    assert (Path("one") / KEPT).exists()


def test_decide_keeps_the_answer_where_the_product_cannot_be_saved(monkeypatch):
    from ndmapper.steps.run import unit

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr(unit, "publish_products", full)
    with pytest.raises(OSError, match="disk full"):
        scale("x.fits", interact=True)
    assert json.loads(KEPT.read_text()) == {"factor[1]": 3, "factor[2]": 3}
