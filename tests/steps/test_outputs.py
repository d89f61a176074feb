"""Steps with several outputs: made together, kept together."""

import json
from pathlib import Path

import pytest
from astropy.io import fits

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.errors import OutputExistsError
from ndmapper.steps import run_task
from ndmapper.steps.clean import remove
from ndmapper.steps.record.summary import summary


@run_task(prefix={"low": "l", "high": "h"}, outputs=("low", "high"))
def split(ndd, *, factor: float = 2.0):
    """Give two products."""
    return {"low": ndd / factor, "high": ndd * factor}


@run_task(prefix="n")
def follow(ndd, *, extra: float = 0.0):
    """Add something."""
    return ndd + extra


@pytest.fixture(autouse=True)
def both(make_raw):
    """Make the two products of a raw file, and what is made of one."""
    make_raw("x1.fits")
    with config.using(reprocess="auto"):
        rerun()
        summary.clear()
        yield
    summary.clear()


def rerun(factor=2.0, extra=0.0):
    return follow(split("x1.fits", factor=factor)["low"], extra=extra)


def edit_image(name):
    with fits.open(name, mode="update") as hdus:
        hdus["SCI", 1].data[:] = 77.0


def test_one_that_was_removed_beside_another_is_as_good_as_there():
    remove(Path("lx1.fits"))
    rerun()
    assert summary.made == []
    assert not Path("lx1.fits").exists()


def test_one_that_was_removed_is_made_where_it_is_needed_beside_an_edited_one(pixels):
    edit_image("hx1.fits")
    remove(Path("lx1.fits"))
    rerun(extra=1.0)
    assert pixels("lx1.fits") == [5.0, 10.0]
    assert pixels("hx1.fits")[0] == 77.0
    assert pixels("nlx1.fits") == [6.0, 11.0]


@pytest.mark.parametrize("reprocess", ["auto", False])
def test_both_are_made_again_where_one_was_removed_and_would_be_another(
    reprocess, pixels
):
    remove(Path("lx1.fits"))
    with config.using(reprocess=reprocess):
        split("x1.fits", factor=5.0)
    assert summary.made == ["lx1.fits", "hx1.fits"]
    assert pixels("lx1.fits") == [2.0, 4.0]
    assert pixels("hx1.fits") == [50.0, 100.0]


def test_an_edited_product_is_kept_where_its_sibling_differs(pixels, caplog):
    edit_image("hx1.fits")
    rerun(factor=5.0)
    assert summary.made == []
    assert pixels("hx1.fits")[0] == 77.0
    assert "parameter factor was 2, now 5; hx1.fits was changed by hand" in caplog.text
    assert summary.kept == ["hx1.fits"]


def test_a_product_edited_in_python_is_kept_where_its_sibling_differs(pixels):
    df = DataFile("hx1.fits", mode="update")
    df[0].data = df[0].data * 0 + 77
    df.save()
    rerun(factor=5.0)
    assert pixels("hx1.fits")[0] == 77.0


@pytest.mark.parametrize("reprocess", ["auto", False])
@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"SIM")])
def test_an_edited_product_is_not_replaced_as_its_sibling_is_lost(
    pixels, reprocess, damage
):
    edit_image("hx1.fits")
    damage(Path("lx1.fits"))
    with pytest.raises(OutputExistsError, match=r"hx1\.fits was edited; move it away"):
        split("x1.fits", reprocess=reprocess)
    assert pixels("hx1.fits")[0] == 77.0
    split("x1.fits", reprocess=True)
    assert pixels("hx1.fits")[0] == 20.0


def test_what_was_removed_is_forgotten_before_it_is_made_again(monkeypatch):
    # A kill right after the rename must not leave both: who deletes the product then
    # wants it made again.
    from ndmapper.steps.run import publish

    remove(Path("nlx1.fits"))

    def killed(temporary, target):
        temporary.replace(target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publish, "publish", killed)
        with pytest.raises(KeyboardInterrupt):
            follow("lx1.fits", extra=3.0)
    Path("nlx1.fits").unlink()
    follow("lx1.fits")
    assert summary.made == ["nlx1.fits"]


def test_a_side_record_of_what_another_run_made_first_does_not_wait(make_raw):
    @run_task(prefix="r")
    def overtaken(ndd):
        if not Path("rx1.fits").exists():
            Path("rx1.fits").write_bytes(Path("hx1.fits").read_bytes())
        return ndd * 1

    with config.using(record="side"):
        with pytest.raises(OutputExistsError, match=r"rx1\.fits was made or changed"):
            overtaken("x1.fits")
        assert list(Path(".ndmapper/records").iterdir()) == []
    assert json.dumps(DataFile("rx1.fits").record) == json.dumps(
        DataFile("hx1.fits").record
    )
