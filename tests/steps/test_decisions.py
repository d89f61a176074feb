"""Decisions of the user: asked for, kept, replayed."""

import json
from pathlib import Path

import pytest

from ndmapper import config, decide
from ndmapper.data import DataFile
from ndmapper.errors import RecordError, StepError
from ndmapper.io import record
from ndmapper.steps import chain, run_task
from ndmapper.steps.record.freshness import why_stale
from ndmapper.steps.run.dry_run import collect_plans

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


# ---- what is made of a product follows its decisions


@run_task(prefix="t")
def treble(ndd):
    return ndd * 3


@run_task(outputs=["low", "high"])
def split(ndd):
    factor = decide("factor", ask, 2)
    return ndd * factor, ndd * factor * 10


def edit(factor, name="dx.fits"):
    Path(".ndmapper/decisions", f"{name}.json").write_text(
        json.dumps({"factor[1]": factor, "factor[2]": factor})
    )


def reasons_of(*steps, **words):
    with collect_plans() as plans:
        df = "x.fits"
        for step in steps:
            df = step(df, dry_run=True, **words)
    return [(item.action, item.reason) for plan in plans for item in plan.items]


def test_what_was_made_of_a_product_is_made_again_after_another_decision(pixels):
    with config.using(reprocess="auto"):
        treble(scale("x.fits"))
        treble(scale("x.fits"))
        edit(7)
        assert reasons_of(scale, treble) == [
            ("replace", "the decision factor[1] was 2, now 7; "
             "the decision factor[2] was 2, now 7"),
            ("replace", "input dx.fits differs"),
        ]  # fmt: skip
        treble(scale("x.fits"))
        assert pixels("tdx.fits") == [210.0, 420.0]
        assert [action for action, _ in reasons_of(scale, treble)] == ["reuse"] * 2


def test_what_was_made_of_a_product_with_an_edited_decision_is_said_to_differ(caplog):
    treble(scale("x.fits"))
    edit(7)
    treble(scale("x.fits", reprocess=False), reprocess=False)
    assert "input dx.fits differs" in caplog.text


def test_a_question_that_was_asked_again_counts(pixels):
    with config.using(reprocess="auto"):
        treble(scale("x.fits"))
        scale("x.fits", interact=True, reprocess=True)
        treble(scale("x.fits"))
        assert pixels("tdx.fits") == [90.0, 180.0]


def test_a_decision_within_a_chain_counts(pixels):
    both = chain(scale, treble)
    with config.using(reprocess="auto"):
        both("x.fits")
        before = Path("tdx.fits").stat().st_ino
        both("x.fits")
        assert Path("tdx.fits").stat().st_ino == before
        edit(7)
        both("x.fits")
        assert pixels("tdx.fits") == [210.0, 420.0]
        before = Path("tdx.fits").stat().st_ino
        both("x.fits")
        assert Path("tdx.fits").stat().st_ino == before


def test_a_decision_counts_for_all_outputs(pixels):
    with config.using(reprocess="auto"):
        for factor in (None, 7):
            made = split("x.fits")
            treble(made["high"])
            if factor:
                edit(factor, f"{made['low'].filename}")
                made = split("x.fits")
                high = treble(made["high"])
        assert pixels(str(high)) == [2100.0, 4200.0]


def test_why_tells_of_an_edited_decision():
    scale("x.fits")
    assert why_stale(Path("dx.fits")) == []
    edit(7)
    assert "the decision factor[1] was 2, now 7" in why_stale(Path("dx.fits"))


def test_products_of_before_decisions_counted_stand(pixels, monkeypatch):
    def older(entry, identify):
        return texts_of({n: v for n, v in entry.items() if n != "decisions"}, identify)

    texts_of = record._keyed_texts
    with config.using(reprocess="auto"):
        with monkeypatch.context() as patch:
            patch.setattr(record, "_keyed_texts", older)
            treble(scale("x.fits"))
            key = DataFile("dx.fits").record[-1]["key"]
        assert [action for action, _ in reasons_of(scale, treble)] == ["reuse"] * 2
        treble(scale("x.fits"))
        assert DataFile("dx.fits").record[-1]["key"] == key
        edit(7)
        treble(scale("x.fits"))
        assert pixels("tdx.fits") == [210.0, 420.0]
        edit(2)
        treble(scale("x.fits"))
        assert pixels("tdx.fits") == [60.0, 120.0]


@run_task(each="file", outputs={"entry": "database/id{root}"})
def enter(df):
    return f"order {decide('order', ask, 2)}"


@run_task(each="file", outputs={"out": "{base}.txt"})
def copy(entry):
    return entry.text()


def test_a_decision_on_an_entry_of_a_database_counts_within_a_chain():
    both = chain(enter, copy)
    with config.using(reprocess="auto"):
        made = both("x.fits")
        assert made.text() == "order 2"
        path = next(Path().rglob("decisions/*.json"))
        path.write_text(path.read_text().replace("2", "7"))
        assert both("x.fits").text() == "order 7"
