"""What a task made is taken only if it is there, and whole."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_image

from ndmapper.engines.iraf.calls import Call
from ndmapper.engines.iraf.failures import ProductError
from ndmapper.engines.iraf.products import open_product


def call_for(name: str) -> Call:
    return Call(ident=None, part="data", parameters={}, outputs={"output": name})


def test_whole_file(tmp_path: Path) -> None:
    write_image(tmp_path / "y.fits", np.ones((3, 2)))
    product = open_product(tmp_path, call_for("y.fits"), "output", [])
    assert product[0].shape == (3, 2)


def test_a_format_behind_the_name(tmp_path: Path) -> None:
    write_image(tmp_path / "y.ms.fits")
    assert len(open_product(tmp_path, call_for("y.fits"), "output", [])) == 1


def test_missing(tmp_path: Path) -> None:
    write_image(tmp_path / "x.fits")
    with pytest.raises(ProductError, match=r"did not make y\.fits .*'output'\)$"):
        open_product(tmp_path, call_for("y.fits"), "output", ["x.fits"])
    write_image(tmp_path / "z.fits")
    with pytest.raises(ProductError, match=r"it made z\.fits instead"):
        open_product(tmp_path, call_for("y.fits"), "output", ["x.fits"])


@pytest.mark.parametrize("size", [0, 100, 2880, 2880 + 5000])
def test_half_a_file(tmp_path: Path, size: int) -> None:
    path = write_image(tmp_path / "y.fits", np.ones((100, 100)))
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ProductError, match="broken"):
        open_product(tmp_path, call_for("y.fits"), "output", [])


def test_no_pixels(tmp_path: Path) -> None:
    fits.PrimaryHDU().writeto(tmp_path / "y.fits")
    with pytest.raises(ProductError, match="has no pixels"):
        open_product(tmp_path, call_for("y.fits"), "output", [])
