"""What a step says of the quality of its product."""

import numpy as np
import pytest
from astropy import units as u

from ndmapper.engines.quality import about, collect_findings, qc
from ndmapper.errors import ParameterError


def test_qc_outside_a_step_does_nothing():
    assert qc(rms=1.0) is None


def test_qc_is_collected_in_the_order_said():
    with collect_findings() as findings:
        qc(rms=1.0, lines=12)
        qc(good=True, name="ok")
    assert findings.numbers == {"rms": 1.0, "lines": 12, "good": True, "name": "ok"}


def test_qc_said_twice_keeps_the_last():
    with collect_findings() as findings:
        qc(rms=1.0)
        qc(rms=2.0)
    assert findings.numbers == {"rms": 2.0}


def test_qc_after_the_block_is_not_collected():
    with collect_findings() as findings:
        pass
    qc(rms=1.0)
    assert findings.numbers == {}


def test_qc_of_an_inner_block_stays_there():
    with collect_findings() as outer:
        with collect_findings() as inner:
            qc(rms=1.0)
        qc(rms=2.0)
    assert (inner.numbers, outer.numbers) == ({"rms": 1.0}, {"rms": 2.0})


def test_about_is_put_behind_names_while_it_lasts():
    with collect_findings() as findings:
        with about("[2]"):
            qc(rms=1.0)
        qc(rms=3.0)
    assert findings.numbers == {"rms[2]": 1.0, "rms": 3.0}


@pytest.mark.parametrize(
    "value",
    [1, 2.5, "text", True, np.float32(1), np.bool_(False), np.int16(3), 2 * u.nm],
)
def test_qc_takes_numbers_quantities_and_text(value):
    with collect_findings() as findings:
        qc(value=value)
    assert findings.numbers["value"] is value


@pytest.mark.parametrize(
    "value", [None, [1.0], np.ones(2), [1, 2] * u.nm, {"a": 1}, object()]
)
def test_qc_of_anything_else_says_what_it_takes(value):
    with pytest.raises(ParameterError, match=r"qc\(value=.*give a number, a quantity"):
        qc(value=value)


def test_qc_wrong_value_says_nothing_of_the_others():
    with collect_findings() as findings, pytest.raises(ParameterError):
        qc(rms=1.0, wrong=[1])
    assert findings.numbers == {}


def test_qc_figures_are_collected():
    figure = object()
    with collect_findings() as findings:
        qc(figure=figure)
    assert (findings.figures, findings.numbers) == ([figure], {})
