"""Files that several tests of this folder read."""

import pytest

from ndmapper.testing import make_mef


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    for name in "abc":
        make_mef(tmp_path / "raw" / f"{name}.fits", n_ext=2)
    return tmp_path
