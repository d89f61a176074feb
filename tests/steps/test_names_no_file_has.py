"""Names that no file can have, and records of removed products that are damaged."""

import logging

import pytest

from ndmapper.data import DataFile
from ndmapper.errors import FileAccessError
from ndmapper.steps import run_task
from ndmapper.testing import make_mef


@run_task(prefix="p")
def plain(ndd):
    """Change nothing."""
    return ndd.copy()


@pytest.fixture
def raw(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_mef("x.fits", n_ext=1)
    return "x.fits"


@pytest.mark.parametrize("name", ["a\0b.fits", "a" * 300 + ".fits"])
@pytest.mark.parametrize("reprocess", [None, True, False, "auto"])
def test_product_that_no_file_can_be_called_is_refused(raw, name, reprocess):
    with pytest.raises(FileAccessError, match="name"):
        plain(raw, out_names=name, reprocess=reprocess)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "[{}]"])
def test_damaged_record_of_a_removed_product_is_told_and_made_anew(
    raw, tmp_path, caplog, text
):
    left = tmp_path / ".ndmapper" / "cleaned" / "px.fits.json"
    left.parent.mkdir(parents=True)
    left.write_text(text)
    with caplog.at_level(logging.WARNING):
        made = plain(raw, reprocess="auto")
    assert "px.fits.json cannot be read" in caplog.text
    assert DataFile(str(made)).record[-1]["step"] == "plain"
    assert not left.exists()
