"""Small raw files for the tests of steps."""

import numpy as np
import pytest
from astropy.io import fits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Work in an empty folder, as a script does."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_raw(folder):
    """Write a raw file of extensions with one value each; give its name."""

    def make(name, values=(10.0, 20.0), shape=(3, 4)):
        hdus = fits.HDUList([fits.PrimaryHDU()])
        hdus[0].header["OBJECT"] = "star"
        for extver, value in enumerate(values, 1):
            data = np.full(shape, value, dtype=np.float32)
            hdus.append(fits.ImageHDU(data, name="SCI", ver=extver))
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        hdus.writeto(path)
        return name

    return make


@pytest.fixture
def pixels():
    """Read the first pixel of every SCI extension with another reader."""

    def read(name):
        with fits.open(name) as hdus:
            return [float(h.data.flat[0]) for h in hdus if h.name == "SCI"]

    return read
