"""How records refer to files: as they were when the step read them."""

import shutil
from pathlib import Path

import pytest

from ndmapper.data import DataFile
from ndmapper.errors import MissingFileError, StepError
from ndmapper.io.digest import digest
from ndmapper.steps import run_task
from ndmapper.steps.record.summary import summary

pytestmark = pytest.mark.usefixtures("reprocess_auto")


@pytest.fixture
def replacing(make_raw):
    """Make a step in the middle of which its input is replaced by another file."""
    make_raw("x1.fits", (1.0,))
    make_raw("x2.fits", (2.0,))

    def replace(by):
        shutil.copy(by, "copy.fits")
        Path("copy.fits").replace("x1.fits")

    def make(by, prefix):
        @run_task(prefix=prefix)
        def slow(ndd):
            result = ndd * 10
            assert result.data.flat[0] == 10  # it was read before
            replace(by)
            return result

        return slow

    return make


@pytest.mark.parametrize("save", [True, False])
def test_an_input_that_changes_while_the_step_works_makes_nothing(replacing, save):
    slow = replacing("x2.fits", "s")
    with pytest.raises(StepError, match=r"x1\.fits was changed while the step worked"):
        slow("x1.fits", save=save)
    assert not Path("sx1.fits").exists()


def test_an_input_that_is_replaced_by_the_same_content_is_the_same(replacing):
    before = digest("x1.fits")
    made = replacing("x1.fits", "s")("x1.fits")
    assert made.record[-1]["inputs"][0]["digest"] == before


@run_task(prefix="l")
def with_files(ndd, *, files: object = None):
    """Copy, after a look at some files."""
    return ndd * 1


@pytest.mark.parametrize(
    "form",
    [list, tuple, set, lambda paths: {"first": paths}],
    ids=["list", "tuple", "set", "mapping"],
)
def test_the_content_of_files_in_a_parameter_counts(make_raw, form):
    make_raw("x1.fits")
    Path("a.txt").write_text("1")
    files = form([Path("a.txt")])
    (reference,) = with_files("x1.fits", files=files).record[-1]["references"]["files"]
    assert reference == {"name": "a.txt", "digest": digest("a.txt")}
    with_files("x1.fits", files=files)
    assert len(summary.made) == 1
    Path("a.txt").write_text("2")
    with_files("x1.fits", files=files)
    assert len(summary.made) == 2


def test_files_in_a_list_of_products_are_ancestors(make_raw):
    make_raw("x1.fits")
    make_raw("x2.fits")
    other = with_files("x2.fits")
    made = with_files("x1.fits", files=[other, DataFile("x2.fits")])
    assert [row["product"] for row in made.record] == ["lx2.fits", "lx1.fits"]
    references = made.record[-1]["references"]["files"]
    assert references[0] == {"name": "lx2.fits", "key": other.record[-1]["key"]}
    assert references[1] == {"name": "x2.fits", "digest": digest("x2.fits")}


def test_a_file_in_a_list_must_be_there(make_raw):
    make_raw("x1.fits")
    with pytest.raises(MissingFileError, match=r"no\.txt"):
        with_files("x1.fits", files=[Path("no.txt")])
