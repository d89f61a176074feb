"""chain(): several steps in memory, of which only the last is published."""

import hashlib
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from astropy.nddata import NDData
from shared_helpers import edit_pixel_elsewhere
from shared_steps import DONE, add_up, double, split, subtract

from ndmapper.config import config
from ndmapper.data import DataFile, NDLater
from ndmapper.errors import (
    DeclarationError,
    MissingCalibrationError,
    OutputExistsError,
    ParameterError,
    PlanError,
    UnknownParameterError,
)
from ndmapper.io.digest import differences
from ndmapper.lib import ccd
from ndmapper.lib.simulate import Night, simulate_night
from ndmapper.steps import chain, run_task
from ndmapper.steps.record.summary import summary
from ndmapper.testing import count_reads


@run_task(suffix="_s", outputs="shifted")
def shift(ndd, *, offset: float = 1.0):
    """Add a number."""
    DONE.append("shift")
    return ndd + offset


@pytest.fixture
def raws(make_raw):
    make_raw("bias.fits", (1.0,))
    return [make_raw("x1.fits", (10.0,)), make_raw("x2.fits", (20.0,))]


def test_chain_publishes_only_the_last(raws, pixels):
    result = chain(subtract, double)(raws, bias="bias.fits")
    assert [str(df) for df in result] == ["dbx1.fits", "dbx2.fits"]
    assert pixels("dbx2.fits") == [38.0]
    made = {path.name for path in Path().glob("*.fits")}
    assert made == {*raws, "bias.fits", "dbx1.fits", "dbx2.fits"}


def test_chain_gives_a_file_for_a_file(raws):
    assert isinstance(chain(double, shift)("x1.fits"), DataFile)


def test_chain_record_tells_all_steps(raws):
    product = chain(subtract, double, shift)(raws[0], bias="bias.fits", scale=2)
    assert [e["step"] for e in product.record] == ["subtract", "double", "shift"]
    assert [e["product"] for e in product.record] == [
        "bx1.fits", "dbx1.fits", "dbx1_s.fits",
    ]  # fmt: skip
    assert product.record[0]["calibrations"]["bias"]["name"] == "bias.fits"
    assert product.record[0]["parameters"] == {"scale": 2, "table": None}


def test_chain_makes_what_its_steps_make(raws):
    double(subtract(raws, bias="bias.fits"), outdir="steps")
    chain(subtract, double)(raws, bias="bias.fits", outdir="chain")
    assert differences("steps/dbx1.fits", "chain/dbx1.fits") == []
    keys = {DataFile(f"{d}/dbx1.fits").record[-1]["key"] for d in ("steps", "chain")}
    assert len(keys) == 1


@pytest.mark.parametrize("reprocess", [False, "auto"])
def test_chain_is_reused_without_reading(raws, reprocess):
    reduce = chain(subtract, double)
    for name in (*raws, "bias.fits"):
        os.utime(name, (1e9, 1e9))  # digests of files written just now are not kept
    reduce(raws, bias="bias.fits")
    DONE.clear()
    with count_reads() as reads:
        reduce(raws, bias="bias.fits", reprocess=reprocess)
    assert (DONE, reads.reads, summary.differing) == ([], 0, [])


def test_chain_auto_makes_again_what_a_first_step_changes(raws, pixels):
    reduce = chain(subtract, double)
    reduce(raws, bias="bias.fits")
    reduce(raws, bias="bias.fits", scale=3.0, reprocess="auto")
    assert pixels("dbx1.fits") == [14.0]
    summary.clear()
    reduce(raws, bias="bias.fits", scale=3.0, reprocess="auto")
    assert summary.reused == ["dbx1.fits", "dbx2.fits"]


def test_chain_says_what_differs_and_not_what_nobody_sees(raws):
    @run_task(prefix="p")
    def plain(ndd):
        return ndd * 1

    steps = chain(subtract, double, plain)
    bias = str(raws[-1])
    steps(raws[:1], bias=bias)
    item = steps.plan(raws[:1], bias=bias, scale=2, reprocess="auto").items[0]
    assert (item.action, item.reason) == ("replace", "parameter scale was 1, now 2")
    item = steps.plan(raws[:1], bias=bias, offset=1, reprocess=False).items[0]
    assert item.causes == ("offset of double was 0, now 1",)
    item = steps.plan(raws[:1], bias=str(raws[0]), reprocess=False).items[0]
    assert item.causes == ("subtract has other files as bias",)


def test_chain_auto_makes_only_the_file_that_changed(raws):
    reduce = chain(subtract, double)
    reduce(raws, bias="bias.fits")
    edit_pixel_elsewhere("x1.fits", 99)
    summary.clear()
    reduce(raws, bias="bias.fits", reprocess="auto")
    assert (summary.made, summary.reused) == (["dbx1.fits"], ["dbx2.fits"])


def test_chain_reuses_what_its_steps_made_one_by_one(raws):
    double(subtract(raws, bias="bias.fits"))
    DONE.clear()
    chain(subtract, double)(raws, bias="bias.fits", reprocess="auto")
    assert DONE == []


def test_chain_with_an_existing_product_is_an_error_by_default(raws):
    chain(double, shift)(raws)
    with pytest.raises(OutputExistsError, match=r"dx1_s\.fits already exists"):
        chain(double, shift)(raws)


def test_chain_parameter_goes_to_the_step_that_has_it(raws, pixels):
    chain(subtract, double)("x1.fits", bias="bias.fits", scale=2, offset=5)
    assert pixels("dbx1.fits") == [21.0]


def test_chain_parameter_of_several_steps_is_asked_about(raws):
    with pytest.raises(ParameterError, match=r"double and shift.*double=\{'offset'"):
        chain(double, shift)(raws, offset=1)


def test_chain_parameter_is_given_by_the_name_of_its_step(raws, pixels):
    reduce = chain(double, shift)
    reduce("x1.fits", double={"offset": 100}, shift={"offset": 0.5})
    assert pixels("dx1_s.fits") == [120.5]


def test_chain_unknown_parameter_suggests(raws):
    with pytest.raises(UnknownParameterError, match="did you mean 'scale'"):
        chain(subtract, double)(raws, sclae=1)


def test_chain_wrong_value_fails_before_anything_runs(raws):
    with pytest.raises(ParameterError, match="offset"):
        chain(subtract, double)(raws, bias="bias.fits", offset="much")
    assert DONE == []


def test_chain_output_is_named_by_its_name_or_out_names(raws):
    assert str(chain(double, shift)("x1.fits", shifted="a.fits")) == "a.fits"
    assert str(chain(double, shift)("x1.fits", out_names="b.fits")) == "b.fits"


def test_chain_last_step_may_have_several_outputs(raws):
    both = chain(double, split)("x1.fits")
    assert {n: str(df) for n, df in both.items()} == {
        "low": "dx1_low.fits",
        "high": "dx1_high.fits",
    }


def test_chain_calibration_comes_from_the_input(raws, pixels):
    df = DataFile("x1.fits")
    df.cals["bias"] = DataFile("bias.fits")
    chain(double, subtract)(df)
    assert pixels("bdx1.fits") == [19.0]


def test_chain_calibration_not_applied_passes_through(raws, pixels):
    product = chain(subtract, double)("x1.fits", bias=None)
    assert pixels("dbx1.fits") == [20.0]
    assert product.record[0]["calibrations"] == {"bias": None}


def test_chain_missing_calibration_is_named(raws):
    with pytest.raises(MissingCalibrationError, match="subtract needs a bias for dx1"):
        chain(double, subtract)("x1.fits")


def test_chain_of_ndd_stays_in_memory(raws, folder):
    before = sorted(folder.rglob("*"))
    result = chain(subtract, double)(
        NDLater(data=[5.0]), bias=NDData([1.0]), offset=0.5
    )
    assert isinstance(result, NDLater)
    assert result.data.tolist() == [8.5]
    assert sorted(folder.rglob("*")) == before


def test_chain_unsaved_gives_the_product_in_memory(raws):
    product = chain(subtract, double)("x1.fits", bias="bias.fits", save=False)
    assert (str(product), product[0].data[0, 0]) == ("dbx1.fits", 18)
    assert not Path("dbx1.fits").exists()
    assert [e["step"] for e in product.record] == ["subtract", "double"]


def test_chain_hands_images_on_without_hashing_them(raws, monkeypatch):
    def refuse(*args, **keywords):
        pytest.fail("an image that nobody sees was hashed")

    monkeypatch.setattr(hashlib, "blake2b", refuse)
    product = chain(subtract, double, shift)("x1.fits", bias="bias.fits")
    assert product[0].data[0, 0] == 19


def test_chain_knows_what_a_function_of_files_did_to_its_input(raws):
    inside = []

    @run_task(prefix="m", each="file")
    def meddle(df):
        inside.append(shift(df, save=False))
        df[0].data[0, 0] = -1
        inside.append(shift(df, save=False))
        df.save("meddled.fits")
        return df

    chain(double, meddle)("x1.fits")
    made = [df.record[-1]["inputs"][0] for df in inside]
    assert made[0] == {"name": "dx1.fits", "key": inside[0].record[0]["key"]}
    assert made[1]["memory"]
    assert [e["step"] for e in DataFile("meddled.fits").record] == ["double", "edited"]


TEMPLATE = np.full((4, 5), 3.0)


@run_task(prefix="k")
def keep(ndd):
    """Give an array that the script keeps."""
    return ndd.replace(data=TEMPLATE)


@run_task(prefix="s")
def spoil(ndd):
    """Change the input, array and header, where it is."""
    ndd.data[...] += 1
    ndd.meta["SPOILT"] = True
    return NDData(ndd.data)


def test_chain_does_not_change_what_a_function_keeps(raws):
    TEMPLATE[...] = 3.0
    made = chain(keep, spoil)(raws)
    assert [df[0].data[0, 0] for df in made] == [4, 4]
    assert np.all(TEMPLATE == 3)


def test_chain_of_the_library_makes_what_its_steps_make(folder, tmp_path):
    night = Night(amplifiers=2, shape=(40, 32), biases=2, flats=1, science=1)
    files = simulate_night(tmp_path / "raw", night).files
    raw, bias, flat = (
        str(tmp_path / "raw" / files[kind][0]) for kind in ("object", "bias", "flat")
    )
    prepare = chain(ccd.subtract_overscan, ccd.trim)
    bias = prepare(bias)
    flat = prepare(flat)
    flat = ccd.make_flat([ccd.correct_gain(flat)], flat="flat.fits", normalise="plain")
    spoilt = [ccd.subtract_overscan, ccd.trim, ccd.subtract_bias, spoil]
    whole = [*spoilt[:-1], ccd.add_variance, ccd.correct_gain, ccd.apply_flat]
    cals = {"subtract_bias": {"bias": bias}, "apply_flat": {"flat": flat}}
    for name, steps in (("spoilt", spoilt), ("whole", whole)):
        one = raw
        for step in steps:
            one = step(one, outdir=name, **cals.get(step.name, {}))
        words = {n: cals[n] for n in cals if n in [step.name for step in steps]}
        made = chain(*steps)(raw, outdir=f"{name}_chain", **words)
        # Each file that is written between has its parts in another order.
        for a, b in zip(one, made, strict=True):
            for part in ("data", "variance", "flags"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
            assert a.meta.tostring() == b.meta.tostring()
        assert one.record[-1]["key"] == made.record[-1]["key"]


def test_chain_in_workers_makes_the_same(raws):
    reduce = chain(subtract, double)
    reduce(raws, bias="bias.fits", outdir="serial")
    reduce(raws, bias="bias.fits", outdir="parallel", workers=2)
    for name in ("dbx1.fits", "dbx2.fits"):
        assert differences(f"serial/{name}", f"parallel/{name}") == []
        records = [DataFile(f"{d}/{name}").record for d in ("serial", "parallel")]
        keys = [[e["key"] for e in record] for record in records]
        assert keys[0] == keys[1]


def test_chain_error_names_the_step_and_goes_on(raws, caplog):
    @run_task(prefix="z")
    def fail(ndd):
        if ndd.data[0, 0] == 20:
            raise ValueError("no such luck")
        return ndd

    (made,) = chain(double, fail)(raws, on_error="continue")
    assert str(made) == "zdx2.fits"
    assert "fail failed on dx1.fits[1]: ValueError: no such luck" in caplog.text
    (made,) = chain(fail, double)(raws, on_error="continue")
    assert str(made) == "dzx1.fits"
    assert summary.failed == ["zdx1.fits", "dzx2.fits"]


def test_chain_plan_shows_all_steps_and_touches_nothing(raws, folder):
    before = sorted(folder.rglob("*"))
    plan = chain(subtract, double)(raws, bias="bias.fits", dry_run=True)
    assert [str(df) for df in plan] == ["dbx1.fits", "dbx2.fits"]
    text = repr(chain(subtract, double).plan(raws, bias="bias.fits", offset=3))
    assert "subtract+double" in text
    assert "double('bx1.fits', offset=3" in text
    assert sorted(folder.rglob("*")) == before


def test_chain_says_its_steps_in_the_log(raws, caplog):
    with caplog.at_level(logging.INFO):
        chain(subtract, double)(raws[0], bias="bias.fits")
    assert "subtract+double: x1.fits -> dbx1.fits: made" in caplog.text
    assert "START subtract+double" in caplog.messages
    assert "END   subtract+double: 1 made, 0 re-used, 0 of these differ" in caplog.text


def test_chain_with_a_tool_in_the_middle(raws, fake, pixels):
    @run_task("fake:add", inputs="a", outputs="b", prefix="f")
    def add():
        """Add one."""

    product = chain(double, add, shift)("x1.fits", shift={"offset": 0.5})
    assert pixels("fdx1_s.fits") == [21.5]
    assert [e["engine"] for e in product.record] == ["python", "fake", "python"]


def test_chain_repr_and_name():
    reduce = chain(subtract, double)
    assert repr(reduce) == "<chain subtract -> double>"
    assert reduce.name == "subtract+double"


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((double,), "two steps or more"),
        ((double, print), "two steps or more"),
        ((double, add_up), "add_up takes a list"),
        ((split, double), "split has 2 outputs"),
        ((double, subtract, double), "each step once"),
    ],
)
def test_chain_of_what_does_not_chain_is_refused(steps, words):
    with pytest.raises(DeclarationError, match=words):
        chain(*steps)


def test_chain_takes_the_configuration(raws):
    with config.using(outdir="made"):
        chain(double, shift)(raws)
    assert Path("made/dx1_s.fits").exists()


@pytest.mark.parametrize("name", ["x1.fits", "bias.fits"])
def test_chain_does_not_replace_what_its_first_step_reads(make_raw, pixels, name):
    double(make_raw("y1.fits"), out_names="x1.fits")
    double("y1.fits", out_names="bias.fits")
    before = pixels(name)
    reduce = chain(subtract, double)
    with pytest.raises(PlanError, match=f"would write {name}, which is "):
        reduce("x1.fits", bias="bias.fits", out_names=name, reprocess=True)
    assert pixels(name) == before
    assert reduce("x1.fits", bias="bias.fits", out_names="bx1.fits")[0].data[0, 0] == 0


@run_task(suffix="_f", each="file")
def anew(df):
    """Give a file of its own, which has none of the calibrations of the input."""
    return DataFile(data=[df[0] * 2])


@run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{a}", "{b}"])
def copy_by_tool():
    """Copy a file by another program, which knows of no calibrations."""


@run_task(suffix="_o", each="file")
def subtract_own(df):
    """Subtract the bias that a file has."""
    return DataFile(data=[df[0] - df.cals["bias"][0]])


@pytest.mark.parametrize("save", [True, False])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("first", "value"), [(anew, 2), (copy_by_tool, 1)])
def test_chain_hands_calibrations_to_every_step(raws, first, value, workers, save):
    files = [DataFile(raw) for raw in raws]
    for df in files:
        df.cals["bias"] = DataFile("bias.fits")
    made = chain(first, subtract_own)(files, save=save, workers=workers)
    assert [float(df[0].data[0, 0]) for df in made] == [10 * value - 1, 20 * value - 1]
