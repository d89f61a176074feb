"""A fake IRAF: reductions of Gemini without Gemini's tasks, and tasks that fail."""

import numpy as np
import pytest

from ndmapper import config, run_task
from ndmapper.errors import StepError, TimeLimitError, UnknownParameterError
from ndmapper.testing import FakeTask, fake_iraf, make_mef

TASKS = {
    "gemini.gmos.gprepare": FakeTask(
        inputs=["inimages"],
        outputs=["outimages"],
        parameters={"fl_addmdf": False, "order": 3},
    )
}


@run_task(
    "gemini.gmos.gprepare", inputs="inimages", outputs="outimages", prefix="g",
    MEF_ext=False,
)  # fmt: skip
def prepare(*, order: int = 3):
    """Prepare a frame."""
    return {"order": order, "fl_addmdf": True}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    def make(**words):
        made = fake_iraf(tmp_path / "iraf", TASKS, **words)
        monkeypatch.setenv("iraf", str(made.path.parent))
        monkeypatch.chdir(tmp_path)
        make_mef("S20120827S0066.fits")
        stack.enter_context(config.using(**made.settings))
        return made

    import contextlib

    with contextlib.ExitStack() as stack:
        yield make


def test_fake_iraf_runs_a_step_and_notes_it(fake):
    made = fake(prints="GPREPARE exit status: good.")
    df = prepare("S20120827S0066.fits", order=5)
    assert str(df) == "gS20120827S0066.fits"
    np.testing.assert_array_equal(df[1].data.flat[:2], [2000, 2001])
    (call,) = made.calls
    assert call.argv[0] == "gemini.gmos.gprepare"
    assert {"order=5", "fl_addmdf=True"} <= set(call.argv)
    assert df.record[-1]["tool"]["version"] == "1.0 (PyRAF 0.0.fake)"
    assert "good" in df.record[-1]["run"]["log"]


def test_fake_iraf_knows_its_parameters(fake):
    fake()
    with pytest.raises(UnknownParameterError, match="did you mean 'order'"):
        run_task(
            "gemini.gmos.gprepare", inputs={"inimages": "S20120827S0066.fits"},
            outputs={"outimages": "x.fits"}, MEF_ext=False, ordr=2,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "told to fail"),
        ("signal", "ended by signal 9"),
        ("no product", "gS20120827S0066"),
        ("half a product", "gS20120827S0066"),
    ],
)
def test_fake_iraf_that_fails_is_an_error_and_leaves_no_product(
    fake, tmp_path, fault, words
):
    fake(fault=fault)
    with pytest.raises(StepError, match=words):
        prepare("S20120827S0066.fits")
    assert not (tmp_path / "gS20120827S0066.fits").exists()


@pytest.mark.parametrize("fault", ["huge output", "bad UTF-8"])
def test_fake_iraf_may_print_what_it_likes(fake, fault):
    fake(fault=fault)
    assert len(prepare("S20120827S0066.fits")) == 2


def test_fake_iraf_that_hangs_is_ended(fake):
    fake(fault="hang")
    with pytest.raises(TimeLimitError, match="longer than 2 s"):
        prepare("S20120827S0066.fits", timeout=2)
