"""Files that several tests of this folder read."""

import pytest

from ndmapper.testing import make_mef


@pytest.fixture
def two_groups(folder):
    """Write a file of two groups (SCI, VAR, DQ) and a table into an empty folder."""
    return make_mef(folder / "a.fits", n_ext=2)


@pytest.fixture
def three_groups(folder):
    """Write a file of three groups (SCI, VAR, DQ) and a table into an empty folder."""
    return make_mef(folder / "a.fits", n_ext=3)


@pytest.fixture
def raw_folder(folder):
    """Write three files of two groups into raw/ of an empty folder."""
    (folder / "raw").mkdir()
    for name in "abc":
        make_mef(folder / "raw" / f"{name}.fits", n_ext=2)
    return folder
