"""Side data that are no ordinary files: nobody waits for a writer of a pipe."""

import os

import pytest

from ndmapper import DataFile
from ndmapper.errors import RecordError
from ndmapper.io.sidedata import make_side_folder, read_side_data
from ndmapper.testing import make_mef


@pytest.fixture
def pipe(tmp_path):
    def make(name):
        path = tmp_path / ".ndmapper" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(path)
        return path

    return make


def test_pipe_is_not_read_as_side_data(pipe):
    with pytest.raises(OSError, match="no file"):
        read_side_data(pipe("digests.json"))


def test_pipe_is_not_written_to_as_side_data(pipe):
    with pytest.raises(OSError, match="no file"):
        make_side_folder(pipe("log.jsonl"))


def test_file_with_a_pipe_as_its_side_record_says_so(tmp_path, pipe):
    make_mef(tmp_path / "a.fits", n_ext=1)
    pipe("records/a.fits.json")
    with pytest.raises(RecordError, match="no file"):
        _ = DataFile(tmp_path / "a.fits").record
