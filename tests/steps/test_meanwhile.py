"""Two runs in one folder, which give one name to products that are not the same."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ndmapper import run_task
from ndmapper.data import DataFile
from ndmapper.errors import OutputExistsError, StepError
from ndmapper.steps.record.summary import summary
from ndmapper.steps.run import publish as publishing


@run_task(prefix="s")
def shift(ndd, *, by: float = 1.0):
    return ndd + by


@run_task(prefix="s", outputs=("low", "high"))
def both(ndd, *, by: float = 1.0):
    return {"low": ndd - by, "high": ndd + by}


@pytest.fixture
def overtaken(monkeypatch):
    """Let another run do something right before products are compared."""

    def set_up(other):
        first = publishing._publishing

        def late(folders):
            monkeypatch.setattr(publishing, "_publishing", first)
            other()
            return first(folders)

        monkeypatch.setattr(publishing, "_publishing", late)

    return set_up


@pytest.mark.parametrize("reprocess", [None, False, "auto", True])
def test_same_product_of_another_run_is_kept(make_raw, overtaken, reprocess):
    make_raw("x1.fits")
    overtaken(lambda: shift("x1.fits"))
    if reprocess is None:
        made = shift("x1.fits")
    else:
        made = shift("x1.fits", reprocess=reprocess)
    assert made[0].data[0, 0] == 11.0
    assert made.record[-1]["parameters"] == {"by": 1.0}


@pytest.mark.parametrize("reprocess", [False, "auto", True])
@pytest.mark.parametrize("there", [False, True])
def test_other_product_of_another_run_is_kept_and_an_error(
    make_raw, overtaken, pixels, reprocess, there
):
    make_raw("x1.fits")
    if there:  # and both runs want to replace it
        shift("x1.fits", by=5.0)
    overtaken(lambda: shift("x1.fits", by=2.0, reprocess="auto"))
    words = r"shift worked, .* \(parameter by was 2(\.0)?, now 1(\.0)?\); it is kept"
    keywords = {"reprocess": reprocess}
    if there and reprocess is False:
        keywords = {"reprocess": "auto"}
    with pytest.raises(OutputExistsError, match=words):
        shift("x1.fits", **keywords)
    assert pixels("sx1.fits")[0] == 12.0
    assert not list(Path().glob(".ndm-*"))


def test_none_of_several_outputs_is_published_beside_those_of_others(
    make_raw, overtaken
):
    make_raw("x1.fits")
    overtaken(lambda: shift("x1.fits", out_names="sx1_high.fits"))
    with pytest.raises(OutputExistsError, match=r"sx1_high\.fits was made"):
        both("x1.fits", reprocess="auto")
    assert not Path("sx1_low.fits").exists()


def test_product_that_is_replaced_at_once_is_not_used(make_raw, monkeypatch):
    make_raw("x1.fits")
    first = publishing.publish

    def publish(temporary, target):
        first(temporary, target)
        monkeypatch.setattr(publishing, "publish", first)
        Path("sx1.fits").unlink()
        shift("x1.fits", by=2.0)

    monkeypatch.setattr(publishing, "publish", publish)
    monkeypatch.setattr(publishing, "_PATIENCE", 0.01)
    with pytest.raises(StepError, match=r"sx1\.fits was replaced by another run"):
        shift("x1.fits")


def test_where_nothing_can_be_locked_products_are_compared(make_raw, overtaken):
    make_raw("x1.fits")
    Path(".ndmapper/publish.lock").mkdir(parents=True)
    shift("x1.fits")
    overtaken(lambda: shift("x1.fits", by=2.0, reprocess="auto"))
    with pytest.raises(OutputExistsError, match="it is kept"):
        shift("x1.fits", reprocess=True)


def test_two_scripts_at_once_never_use_the_product_of_the_other(make_raw, folder):
    """Whichever way they meet: the right numbers, or an error."""
    names = [make_raw(f"x{n}.fits") for n in range(6)]
    for by in (1, 2):
        Path(f"by{by}.py").write_text(
            textwrap.dedent(f"""
            from ndmapper import run_task

            @run_task(prefix="s")
            def shift(ndd, *, by: float = 1.0):
                return ndd + by

            @run_task(prefix="t")
            def same(ndd):
                return ndd * 1

            for df in same(shift({names}, by={by})):
                print("value", df[0].data[0, 0] - 10)
            """)
        )
    words = [sys.executable, "-m", "ndmapper", "run"]
    runs = {
        by: subprocess.Popen(
            [*words, f"by{by}.py"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for by in (1, 2)
    }
    for by, run in runs.items():
        out, err = run.communicate(timeout=300)
        values = {float(line.split()[1]) for line in out.splitlines()}
        assert values <= {by}
        if run.returncode:
            assert (
                "by another run" in err
                or "by somebody else" in err
                or ("replaced on disk" in err)
            )
        else:
            assert out.count("value") == len(names)
    for path in Path().glob("s*.fits"):
        df = DataFile(path)
        assert df[0].data[0, 0] == 10 + df.record[-1]["parameters"]["by"]
    summary.clear()
