"""Small pieces of files, plain and compressed."""

import bz2
import gzip

import pytest

from ndmapper.errors import (
    FileChangedError,
    FormatError,
    MissingFileError,
    TruncatedFileError,
)
from ndmapper.io.source import PositionedReader, find_source
from ndmapper.testing import count_reads

CONTENT = bytes(range(256)) * 40
PACK = {"x.fits": bytes, "x.fits.gz": gzip.compress, "x.fits.bz2": bz2.compress}


@pytest.fixture(params=PACK)
def source(tmp_path, request):
    path = tmp_path / request.param
    path.write_bytes(PACK[request.param](CONTENT))
    return find_source(path)


def test_pieces_are_those_of_the_content_and_are_counted(source):
    with count_reads() as reads, PositionedReader(source) as pieces:
        assert pieces.read(5000, 300) == CONTENT[5000:5300]
        assert pieces.read(10, 3) == CONTENT[10:13]
    assert (reads.reads, reads.bytes) == (2, 303)


def test_piece_beyond_the_end_is_an_error(source):
    with (
        PositionedReader(source) as pieces,
        pytest.raises(TruncatedFileError, match="truncated"),
    ):
        pieces.read(len(CONTENT) - 2, 3)


def test_file_that_is_gone_or_another_one_is_an_error(source):
    source.path.write_bytes(b"something else")
    with pytest.raises(FileChangedError), PositionedReader(source):
        pass
    source.path.unlink()
    with (
        pytest.raises(MissingFileError, match="does not exist"),
        PositionedReader(source),
    ):
        pass


def test_error_of_the_system_is_translated_and_others_are_not(source):
    with pytest.raises(FormatError, match="may be damaged"), PositionedReader(source):
        raise OSError(5, "Input/output error")
    with pytest.raises(ZeroDivisionError), PositionedReader(source):
        _ = 1 / 0
