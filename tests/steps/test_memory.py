"""save=False: products that stay in memory, and know how they were made."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_steps import DONE, add_up, double, split, subtract

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.errors import ParameterError
from ndmapper.steps import chain, run_task
from ndmapper.steps.record.summary import summary


@pytest.fixture
def raw(make_raw):
    return make_raw("x1.fits", (10.0,))


def products():
    return sorted(path.name for path in Path().rglob("*.fits"))


def steps(df):
    return [entry["step"] for entry in df.record]


def test_unsaved_product_has_its_name_and_is_not_on_disk(raw):
    product = double(raw, save=False)
    assert str(product) == "dx1.fits"
    assert product[0].data[0, 0] == 20
    assert products() == ["x1.fits"]


def test_unsaved_product_takes_the_folder_and_name_of_the_call(raw):
    assert str(double(raw, save=False, outdir="made")) == "made/dx1.fits"
    assert str(double(raw, save=False, out_names="other")) == "other.fits"
    assert products() == ["x1.fits"]


def test_unsaved_list_gives_a_list_and_outputs_a_dict(raw):
    (one,) = double([raw], save=False)
    assert isinstance(double([raw], save=False), DataFileList)
    both = split(one, save=False)
    assert {name: str(df) for name, df in both.items()} == {
        "low": "dx1_low.fits",
        "high": "dx1_high.fits",
    }


def test_unsaved_list_step_gives_one_file(raw, make_raw):
    other = make_raw("x2.fits", (5.0,))
    total = add_up(double([raw, other], save=False), save=False)
    assert (str(total), total[0].data[0, 0]) == ("dx1_sum.fits", 30)


def test_unsaved_product_has_the_record_it_would_have(raw):
    pending = double(raw, save=False).record[-1]
    written = double(raw).record[-1]
    assert "content" not in pending
    for part in ("key", "step", "inputs", "parameters", "product"):
        assert pending[part] == written[part]


def test_unsaved_product_saves_its_record(raw):
    double(raw, save=False).save()
    record = DataFile("dx1.fits").record
    assert [e["step"] for e in record] == ["double"]
    assert record[0]["content"].startswith("sha256:")


def test_unsaved_products_fed_on_nest_their_records(raw):
    product = subtract(double(raw, save=False), bias=raw, save=False)
    product = double(product)
    assert str(product) == "dbdx1.fits"
    assert steps(product) == ["double", "subtract", "double"]
    assert products() == ["dbdx1.fits", "x1.fits"]


def test_unsaved_product_is_referred_to_by_its_key(raw):
    first = double(raw, save=False)
    record = double(first).record
    assert record[1]["inputs"] == [{"name": "dx1.fits", "key": first.record[0]["key"]}]


def test_unsaved_and_saved_way_give_the_same_product(raw):
    from ndmapper.io.digest import differences

    double(double(raw), outdir="saved")
    double(double(raw, save=False), outdir="memory")
    assert differences("saved/ddx1.fits", "memory/ddx1.fits") == []
    keys = [DataFile(f"{d}/ddx1.fits").record[-1]["key"] for d in ("saved", "memory")]
    assert keys[0] == keys[1]


def test_unsaved_calibration_is_applied_and_nested(raw, make_raw, pixels):
    bias = double(make_raw("bias.fits", (1.0,)), save=False)
    product = subtract(raw, bias=bias)
    assert pixels("bx1.fits") == [8.0]
    assert steps(product) == ["double", "subtract"]


def test_unsaved_product_edited_before_save_says_so(raw):
    product = double(raw, save=False)
    product[0].data[0, 0] = -1
    product.save()
    assert steps(DataFile("dx1.fits")) == ["double", "edited"]


def test_unsaved_product_edited_in_its_header_says_so(raw):
    product = double(raw, save=False)
    product.meta["OBJECT"] = "moon"
    product.save()
    assert steps(DataFile("dx1.fits")) == ["double", "edited"]


def test_unsaved_product_only_looked_at_is_not_edited(raw):
    product = double(raw, save=False)
    assert np.mean(product[0].data) == 20
    assert product[0].meta["EXTVER"] == 1
    product.save()
    assert steps(DataFile("dx1.fits")) == ["double"]


def test_unsaved_product_edited_counts_by_its_content(raw):
    product = double(raw, save=False)
    product[0].data[0, 0] = -1
    reference = double(product).record[-1]["inputs"][0]
    assert reference["memory"]
    assert "key" not in reference


def test_unsaved_product_edited_after_it_was_saved_is_edited_once_more(raw):
    product = double(raw, save=False)
    product.save()
    product.mode = "update"
    product[0].data[0, 0] = -1
    product.save()
    assert steps(DataFile("dx1.fits")) == ["double", "edited"]


def test_saved_by_hand_is_reused_by_auto(raw):
    double(raw, save=False).save()
    DONE.clear()
    double(raw, reprocess="auto")
    assert (DONE, summary.reused, summary.differing) == ([], ["dx1.fits"], [])


def test_saved_by_hand_is_made_again_where_a_parameter_changed(raw):
    double(raw, save=False).save()
    DONE.clear()
    double(raw, reprocess="auto", offset=1.0)
    assert (DONE, summary.made) == (["double"], ["dx1.fits"])


def test_saved_under_another_name_keeps_its_record(raw):
    double(raw, save=False).save(filename="other.fits")
    (entry,) = DataFile("other.fits").record
    assert entry["product"] == "other.fits"


def test_saved_edit_is_kept_by_auto_and_said(raw, caplog):
    product = double(raw, save=False)
    product[0].data[0, 0] = -1
    product.save()
    with caplog.at_level(logging.WARNING):
        double(raw, reprocess="auto")
    assert "it was edited and saved in Python" in caplog.text


def test_auto_of_a_step_after_unsaved_ones_does_not_run_it(raw):
    double(double(raw, save=False))
    DONE.clear()
    double(double(raw, save=False), reprocess="auto")
    assert (DONE, summary.reused) == (["double"], ["ddx1.fits"])


def test_unsaved_calibrations_go_along(raw, make_raw):
    df = DataFile(raw)
    df.cals["bias"] = DataFile(make_raw("bias.fits", (1.0,)))
    product = subtract(double(df, save=False), save=False)
    assert product[0].data[0, 0] == 19


@pytest.mark.parametrize("save", [None, "no", 0])
def test_save_is_true_or_false(raw, save):
    with pytest.raises(ParameterError, match="save must be True or False"):
        double(raw, save=save)


def test_save_by_default_of_the_declaration_is_no_word(raw):
    from ndmapper.errors import DeclarationError

    with pytest.raises(DeclarationError, match="'save'"):
        run_task(double.func, options={"save": False})


def test_unsaved_product_with_existing_output_says_nothing(raw):
    double(raw)
    assert double(raw, save=False, offset=3.0)[0].data[0, 0] == 23
    with fits.open("dx1.fits") as hdus:
        assert hdus[1].data[0, 0] == 20


def test_unsaved_product_of_a_tool_lives_on_without_its_folder(raw, fake):
    @run_task("fake:add", inputs="a", outputs="b", prefix="f")
    def add():
        """Add one."""

    product = add(raw, save=False)
    assert (str(product), product[0].data[0, 0]) == ("fx1.fits", 11)
    assert not fake.jobs[0].folder.exists()
    product.save()
    assert DataFile("fx1.fits").record[0]["engine"] == "fake"


def test_unsaved_product_of_a_command_lives_on_without_its_folder(raw):
    @run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{in}", "{out}"])
    def copy():
        """Copy the file."""

    product = copy(raw, save=False)
    assert product[0].data[0, 0] == 10
    product.save()
    assert products() == ["cx1.fits", "x1.fits"]


def test_unsaved_leaves_the_folder_as_it_was(raw):
    with config.using(logfile=None):
        double(raw, save=False)
    left = {p.name for p in Path().rglob("*")} - {".ndmapper"}
    kept = {"digests.json", "digests.lock", "log.jsonl", "log.lock"}
    assert left <= {"x1.fits", *kept}


def test_warnings_of_a_tool_are_said_in_memory_and_in_chains(
    make_raw, fake, monkeypatch, caplog
):
    def warn(self, job):
        outcome = run(self, job)
        return replace(outcome, warnings=("mind the step",))

    run = fake.run
    monkeypatch.setattr(fake, "run", warn)
    make_raw("x1.fits")
    add = run_task("fake:add", inputs="in", outputs="out", prefix="a")(lambda: {})
    add("x1.fits", save=False)
    assert caplog.text.count("x1.fits: mind the step") == 1
    chain(add, double)("x1.fits")
    assert caplog.text.count("mind the step") == 2


def test_a_warning_of_many_units_is_one_line_on_the_terminal(
    make_raw, fake, monkeypatch, caplog
):
    def warn(self, job):
        return replace(run(self, job), warnings=("mind the step",))

    run = fake.run
    monkeypatch.setattr(fake, "run", warn)
    for n in range(5):
        make_raw(f"x{n}.fits")
    add = run_task("fake:add", inputs="in", outputs="out", prefix="a")(lambda: {})
    add([f"x{n}.fits" for n in range(5)])
    told = [r for r in caplog.records if "mind the step" in r.getMessage()]
    (shown,) = [r for r in told if not getattr(r, "file_only", False)]
    assert shown.getMessage().endswith("x{0..4}.fits -> ax{0..4}.fits: mind the step")
    assert len(told) == 6


def test_memory_goes_on_where_one_file_fails(make_raw):
    @run_task(prefix="p")
    def picky(ndd):
        if ndd.data.flat[0] < 0:
            raise ValueError("negative")
        return ndd

    names = [make_raw("x1.fits", (-1.0,)), make_raw("x2.fits", (1.0,))]
    made = picky(names, save=False, on_error="continue")
    assert [str(df) for df in made] == ["px2.fits"]
