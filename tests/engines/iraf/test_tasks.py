"""Tasks of IRAF on files with data, variance and flags, compared with numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.engines import Outcome
from ndmapper.testing import make_mef

RunTask = Callable[..., Outcome]

pytestmark = pytest.mark.iraf


def test_imarith_on_extensions(run_iraf: RunTask, tmp_path: Path) -> None:
    one, two = make_mef(tmp_path / "one.fits"), make_mef(tmp_path / "two.fits")
    outcome = run_iraf(
        "images.imutil.imarith",
        {"operand1": one, "operand2": two},
        {"result": "sum.fits"},
        op="+",
    )
    product = outcome.products["result"]
    assert product.idents == [1, 2]
    for made, ndd in zip(product, DataFile(one), strict=True):
        np.testing.assert_array_equal(made.data, 2 * ndd.data)
        np.testing.assert_array_equal(made.variance, 2 * ndd.variance)
        np.testing.assert_array_equal(made.flags, ndd.flags)
        assert made.flags.dtype == np.uint16
    assert list(product.tables) == ["MDF"]
