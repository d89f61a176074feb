"""Products that were removed as they can be made again: made only where needed."""

import functools
import json
from pathlib import Path

import pytest
from astropy.io import fits
from shared_steps import double, split

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import NotMadeError
from ndmapper.io.digest import differences
from ndmapper.io.record import cleaned_path, side_path
from ndmapper.steps import chain, run_task
from ndmapper.steps.clean import find_removable, finish_removals, remove
from ndmapper.steps.record.summary import summary

PRODUCTS = ["bias.fits", "braw1.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


@run_task(prefix="s")
def shift(ndd):
    """Add one."""
    return ndd + 1


def clean(*names):
    """Leave the record of products, and nothing else."""
    for name in names:
        path = cleaned_path(Path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(DataFile(name).record))
        Path(name).unlink()


@pytest.fixture(autouse=True, params=[False, "auto"])
def _reprocess(request):
    """Run every test with products that are used again, and with stale ones made."""
    with config.using(reprocess=request.param):
        yield


@pytest.fixture
def rerun_night(reduce_night):
    """Reduce the night with two of its biases; the function reduces it again."""
    script = functools.partial(reduce_night, biases=(0, 1))
    script()
    return script


def there():
    return [name for name in PRODUCTS if Path(name).exists()]


def test_cleaned_products_are_current(rerun_night):
    clean("bias.fits", "braw1.fits", "braw2.fits")
    rerun_night()
    assert (summary.made, summary.reused, summary.differing) == ([], PRODUCTS, [])
    assert there() == PRODUCTS[3:]


def test_cleaned_everything_stays_so(rerun_night):
    clean(*PRODUCTS)
    result = rerun_night()
    assert (summary.made, there()) == ([], [])
    assert [str(df) for df in result] == PRODUCTS[3:]


def test_cleaned_product_keeps_its_record(rerun_night):
    before = DataFile("dbraw1.fits").record
    clean(*PRODUCTS)
    assert rerun_night()[0].record == before


def test_cleaned_product_is_made_when_somebody_looks(rerun_night, pixels):
    clean(*PRODUCTS)
    result = rerun_night()
    assert result[0][0].data[0, 0] == 2 * (10 - 0.5)
    assert sorted(summary.made) == ["bias.fits", "braw1.fits", "dbraw1.fits"]
    assert pixels("dbraw1.fits") == [19.0]


def test_cleaned_product_is_made_as_it_was(rerun_night):
    Path("before").mkdir()
    for name in PRODUCTS:
        Path("before", name).write_bytes(Path(name).read_bytes())
    clean(*PRODUCTS)
    for df in rerun_night():
        assert len(df) == 1
    for name in PRODUCTS:
        assert differences(name, f"before/{name}") == []
        records = [DataFile(path).record for path in (name, f"before/{name}")]
        keys = [[(e["key"], e["content"]) for e in record] for record in records]
        assert keys[0] == keys[1]


def test_cleaned_product_that_was_made_is_no_longer_cleaned(rerun_night):
    clean("dbraw1.fits")
    assert len(rerun_night()[0]) == 1
    assert not cleaned_path(Path("dbraw1.fits")).exists()


def test_cleaned_inputs_of_a_deleted_product_are_made_for_it(rerun_night):
    clean("bias.fits", "braw1.fits", "braw2.fits")
    Path("dbraw2.fits").unlink()
    rerun_night()
    assert sorted(summary.made) == ["bias.fits", "braw2.fits", "dbraw2.fits"]
    assert there() == ["bias.fits", "braw2.fits", "dbraw1.fits", "dbraw2.fits"]


def test_cleaned_inputs_are_made_for_a_step_that_is_new(rerun_night, pixels):
    clean(*PRODUCTS)
    double(rerun_night()[0])
    assert sorted(summary.made) == [
        "bias.fits", "braw1.fits", "dbraw1.fits", "ddbraw1.fits",
    ]  # fmt: skip
    assert pixels("ddbraw1.fits") == [38.0]


def test_cleaned_inputs_are_made_for_workers(rerun_night):
    clean(*PRODUCTS)
    double(rerun_night(), workers=2)
    assert len(summary.made) == 7


def test_cleaned_inputs_are_made_for_a_step_in_memory(rerun_night):
    clean(*PRODUCTS)
    assert double(rerun_night()[0], save=False)[0].data[0, 0] == 38


def test_cleaned_inputs_are_made_for_a_tool(rerun_night, fake):
    clean(*PRODUCTS)

    @run_task("fake:add", inputs="a", outputs="b", prefix="f")
    def add():
        """Add one."""

    assert add(rerun_night()[0])[0].data[0, 0] == 20


def test_cleaned_inputs_are_made_for_arithmetic(rerun_night):
    clean(*PRODUCTS)
    first, second = rerun_night()
    assert (second - first)[0].data[0, 0] == 20


def test_cleaned_product_by_name_is_made_where_needed(rerun_night):
    clean(*PRODUCTS)
    held = rerun_night()
    double("dbraw1.fits")
    assert "ddbraw1.fits" in summary.made
    assert len(held) == 2


def test_cleaned_several_outputs_are_made_together(make_raw):
    split(make_raw("x1.fits", (10.0,)))
    clean("x1_low.fits", "x1_high.fits")
    summary.clear()
    both = split("x1.fits")
    assert summary.made == []
    assert both["low"][0].data[0, 0] == 5
    assert both["high"][0].data[0, 0] == 20
    assert sorted(summary.made) == ["x1_high.fits", "x1_low.fits"]


def test_cleaned_product_of_another_parameter_is_made_anew(rerun_night, pixels):
    clean(*PRODUCTS)
    rerun_night(offset=1.0)
    assert sorted(summary.made) == sorted(PRODUCTS)
    assert pixels("dbraw1.fits") == [20.0]


def test_cleaned_product_of_a_changed_raw_is_made_anew(rerun_night):
    clean(*PRODUCTS)
    with fits.open("raw1.fits", mode="update") as hdus:
        hdus[1].data[:] = 11
    rerun_night()
    assert sorted(summary.made) == ["bias.fits", "braw1.fits", "dbraw1.fits"]


def test_cleaned_record_is_not_read_where_everything_is_made_again(rerun_night):
    clean(*PRODUCTS)
    with config.using(reprocess=True):
        rerun_night()
    assert sorted(summary.made) == sorted(PRODUCTS)


def test_cleaned_products_in_a_dry_run_stay_away(rerun_night):
    clean(*PRODUCTS)
    with config.using(dry_run=True):
        result = rerun_night()
        double(result)
    assert (summary.made, there()) == ([], [])


def test_cleaned_products_in_a_dry_run_are_not_made_by_looking(rerun_night):
    clean(*PRODUCTS)
    with config.using(dry_run=True):
        result = rerun_night()
        with pytest.raises(NotMadeError):
            len(result[0])
    assert there() == []


def test_cleaned_product_without_its_raw_is_still_current(rerun_night, folder):
    # The raw files are on tape, and their digests are remembered by nobody.
    clean("braw1.fits", "braw2.fits")
    double(["dbraw1.fits", "dbraw2.fits"])
    assert there() == ["bias.fits", *PRODUCTS[3:]]


def removable(keep="calibs"):
    return [c.path.name for c in find_removable(Path(), keep) if c.kept is None]


def test_product_of_a_chain_can_be_cleaned_and_made_again(make_raw, pixels):
    raws = [make_raw("raw1.fits", (10.0,))]

    def script(offset=0.0):
        summary.clear()
        return split(chain(double, shift)(raws, offset=offset))

    script()
    assert removable() == ["sdraw1.fits"]  # that it was made of was never on disk
    remove(Path("sdraw1.fits"))
    script()
    assert summary.made == []
    Path("raw1_low.fits").unlink(missing_ok=True)
    made = script()["high"][0]
    assert made[0].data[0, 0] == 2 * (2 * 10 + 1)


def test_chain_of_a_raw_file_that_is_gone_is_kept(make_raw):
    split(chain(double, shift)([make_raw("raw1.fits", (10.0,))]))
    Path("raw1.fits").unlink()
    assert removable() == []


@pytest.mark.parametrize("first", ["braw1.fits", "bias.fits"])
def test_clean_completes_what_was_interrupted(rerun_night, first):
    before = removable("final")
    assert before == ["bias.fits", "braw1.fits", "braw2.fits"]
    remove(Path(first))  # and then the power failed
    assert removable("final") == [name for name in before if name != first]


def test_side_record_left_by_an_interrupted_clean_goes(rerun_night):
    side = side_path(Path("braw1.fits"))
    side.parent.mkdir(parents=True, exist_ok=True)
    other = side_path(Path("dbraw1.fits"))
    clean("braw1.fits")
    for path in (side, other):
        path.write_text("[]")
    finish_removals(Path())
    assert (side.exists(), other.exists()) == (False, True)
