"""Second engines of a step, and which of them a call takes."""

import pytest

from ndmapper.config import config
from ndmapper.errors import DeclarationError, ParameterError
from ndmapper.steps import run_task


@pytest.fixture
def prepare(fake):
    """Make a step of Python with a second engine."""

    @run_task(prefix="p", cals=["bias"])
    def prepare(ndd, bias=None, *, offset: float = 10.0):
        """Add a number."""
        return ndd + offset

    @prepare.engine("fake:gemini.prepare", inputs="a", outputs="b", speed="fast")
    def _(*, bias=None, offset: float = 10.0):
        return {"off": offset, "bias": bias}

    return prepare


def test_engines_are_listed_the_first_first(prepare):
    assert prepare.engines == ("python", "fake")


def test_engine_of_the_step_runs_where_nothing_is_said(prepare, make_raw, pixels, fake):
    prepare(make_raw("x1.fits", (1.0,)))
    assert (pixels("px1.fits"), fake.jobs) == ([11.0], [])


def test_engine_of_the_call_runs_under_the_same_name(prepare, make_raw, pixels, fake):
    product = prepare(make_raw("x1.fits", (1.0,)), engine="fake", offset=3)
    assert (str(product), pixels("px1.fits")) == ("px1.fits", [2.0])
    (job,) = fake.jobs
    assert (job.task.name, dict(job.parameters)) == ("gemini.prepare", {"off": 3.0})
    assert job.task.words["speed"] == "fast"
    (entry,) = product.record
    assert (entry["step"], entry["engine"]) == ("prepare", "fake")
    assert entry["parameters"] == {"offset": 3}
    assert entry["task"]["words"] == {"speed": "fast"}


def test_engine_by_the_start_of_its_tool(prepare, make_raw, fake):
    prepare(make_raw("x1.fits"), engine="gemini")
    assert len(fake.jobs) == 1


def test_engine_by_half_a_word_is_not_found(prepare, make_raw):
    with pytest.raises(ParameterError, match="prepare has no engine 'gem'"):
        prepare(make_raw("x1.fits"), engine="gem")


def test_engine_of_the_configuration_runs(prepare, make_raw, fake):
    with config.using(engine="fake"):
        prepare(make_raw("x1.fits"))
    assert len(fake.jobs) == 1


def test_engine_of_the_call_wins_over_the_configuration(prepare, make_raw, fake):
    with config.using(engine="fake"):
        prepare(make_raw("x1.fits"), engine="python")
    assert fake.jobs == []


def test_engine_of_the_configuration_that_a_step_lacks_is_no_error(make_raw, fake):
    @run_task(prefix="d")
    def double(ndd):
        return ndd * 2

    with config.using(engine="fake"):
        assert double(make_raw("x1.fits")).record[0]["engine"] == "python"


def test_engine_that_is_unknown_suggests(prepare, make_raw):
    with pytest.raises(ParameterError, match="did you mean 'fake'"):
        prepare(make_raw("x1.fits"), engine="fkae")


def test_engine_another_makes_the_product_again(prepare, make_raw, caplog, fake):
    prepare(make_raw("x1.fits"))
    with caplog.at_level("INFO"):
        prepare("x1.fits", engine="fake", reprocess="auto")
    assert len(fake.jobs) == 1
    assert "engine was python, now fake" in caplog.text


def test_engine_gets_the_calibrations(prepare, make_raw, fake):
    prepare(make_raw("x1.fits"), bias=make_raw("bias.fits"), engine="fake")
    assert str(fake.jobs[0].parameters["bias"]) == "bias.fits"


def test_engine_in_a_chain(prepare, make_raw, fake, pixels):
    from ndmapper.steps import chain

    @run_task(prefix="d")
    def double(ndd):
        return ndd * 2

    both = chain(prepare, double)
    product = both(make_raw("x1.fits", (1.0,)), engine="fake")
    assert pixels("dpx1.fits") == [4.0]
    assert [e["engine"] for e in product.record] == ["fake", "python"]
    assert both("x1.fits", engine="fake", save=False)[0].data[0, 0] == 4
    with pytest.raises(ParameterError, match=r"no step of .* has an engine 'fkae'"):
        both("x1.fits", engine="fkae")


def test_engine_wrong_parameter_is_refused_alike(prepare, make_raw, fake):
    for engine in ("python", "fake"):
        with pytest.raises(ParameterError, match="offset"):
            prepare(make_raw(f"{engine}.fits"), engine=engine, offset="much")
    assert fake.jobs == []


def test_engine_with_other_parameters_is_refused(prepare):
    with pytest.raises(DeclarationError, match="what differs: offset, other"):

        @prepare.engine("command:cp", inputs="a", outputs="b")
        def _(*, bias=None, other=1): ...


def test_engine_without_the_calibration_is_refused(prepare):
    with pytest.raises(DeclarationError, match="calibration 'bias'"):

        @prepare.engine("command:cp", inputs="a", outputs="b")
        def _(*, offset: float = 10.0): ...


def test_engine_twice_is_refused(prepare):
    with pytest.raises(DeclarationError, match="has the engine 'fake' already"):

        @prepare.engine("fake:other", inputs="a", outputs="b")
        def _(*, bias=None, offset: float = 10.0): ...


def test_engine_that_is_not_there_is_refused(prepare):
    with pytest.raises(DeclarationError, match="no engine 'faek'"):

        @prepare.engine("faek:other", inputs="a", outputs="b")
        def _(*, bias=None, offset: float = 10.0): ...
