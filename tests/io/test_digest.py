import json
import os
import time

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.errors import MissingFileError, TruncatedFileError
from ndmapper.io.digest import DigestCache, differences, digest
from ndmapper.testing import count_reads, make_mef


@pytest.fixture
def mef(tmp_path):
    path = make_mef(tmp_path / "a.fits")
    # As if it had been there for a while: what was written just now is not cached.
    old = time.time() - 60
    os.utime(path, (old, old))
    return path


def edit(path, index=0, **cards):
    with fits.open(path, mode="update") as hdus:
        hdus[index].header.update(cards)


def test_digest_compressed_is_that_of_the_content(tmp_path):
    plain, packed = make_mef(tmp_path / "a.fits"), make_mef(tmp_path / "a.fits.gz")
    assert digest(plain) == digest(packed)


@pytest.mark.parametrize("key", ["DATE", "CHECKSUM", "IRAF-TLM", "PIPEFILE"])
def test_digest_volatile_card_does_not_count(mef, key):
    before = digest(mef)
    edit(mef, 2, **{key: "2020-01-01"})
    assert digest(mef) == before


def test_digest_any_other_card_counts(mef):
    before = digest(mef)
    edit(mef, 2, OTHER=1)
    assert digest(mef) != before


def test_digest_one_pixel_counts(mef):
    before = digest(mef)
    with fits.open(mef, mode="update") as hdus:
        hdus[2].data[0, 0] += 1
    assert digest(mef) != before


def test_digest_record_does_not_count(mef):
    before = digest(mef)
    with fits.open(mef, mode="append") as hdus:
        columns = [fits.Column("A", "J", array=[1])]
        hdus.append(fits.BinTableHDU.from_columns(columns, name="NDM_RECORD"))
    assert digest(mef) == before


def test_digest_file_that_is_not_fits_is_of_its_bytes(tmp_path):
    one, two = tmp_path / "a.txt", tmp_path / "b.txt"
    one.write_text("hello")
    two.write_text("hello")
    assert digest(one) == digest(two)
    two.write_text("other")
    assert digest(one) != digest(two)


def test_digest_truncated_file_is_an_error(mef):
    mef.write_bytes(mef.read_bytes()[:-3000])
    with pytest.raises(TruncatedFileError):
        digest(mef)


def test_digest_missing_file_is_an_error(tmp_path):
    with pytest.raises(MissingFileError):
        digest(tmp_path / "a.fits", DigestCache(tmp_path))


def test_cache_second_time_reads_nothing(mef, tmp_path):
    cache = DigestCache(tmp_path / "side")
    first = digest(mef, cache)
    cache.save()
    with count_reads() as reads:
        assert digest(mef, DigestCache(tmp_path / "side")) == first
    assert reads.reads == 0


def test_cache_changed_file_is_read_again(mef, tmp_path):
    cache = DigestCache(tmp_path)
    first = digest(mef, cache)
    edit(mef, OTHER=1)
    assert digest(mef, cache) != first


def test_cache_file_written_just_now_is_not_remembered(mef, tmp_path):
    now = time.time()
    os.utime(mef, (now, now))
    cache = DigestCache(tmp_path)
    digest(mef, cache)
    with count_reads() as reads:
        digest(mef, cache)
    assert reads.reads > 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"version": 99}', "\0\1"])
def test_cache_damaged_file_does_no_harm(mef, tmp_path, text):
    (tmp_path / "digests.json").write_text(text)
    cache = DigestCache(tmp_path)
    assert digest(mef, cache) == digest(mef)
    cache.save()
    assert json.loads((tmp_path / "digests.json").read_text())["version"] == 1


def test_cache_file_of_equal_size_and_time_in_its_place(mef, tmp_path):
    cache = DigestCache(tmp_path)
    other = tmp_path / "other.fits"
    data = bytearray(mef.read_bytes())
    data[-2880] ^= 1
    other.write_bytes(data)
    os.utime(other, ns=(0, mef.stat().st_mtime_ns))
    before = digest(mef, cache)
    other.replace(mef)
    assert digest(mef, cache) == digest(mef) != before


def test_cache_folder_that_cannot_be_made_does_no_harm(mef, tmp_path):
    (tmp_path / "side").write_text("a file in the way")
    cache = DigestCache(tmp_path / "side")
    assert digest(mef, cache) == digest(mef)
    cache.save()
    assert (tmp_path / "side").read_text() == "a file in the way"


def test_cache_saves_of_two_are_joined(mef, tmp_path):
    other = tmp_path / "b.fits"
    other.write_bytes(mef.read_bytes())
    os.utime(other, (1e9, 1e9))
    caches = [DigestCache(tmp_path), DigestCache(tmp_path)]
    for path, cache in zip((mef, other), caches, strict=True):
        digest(path, cache)
    for cache in caches:
        cache.save()
    known = json.loads((tmp_path / "digests.json").read_text())["digests"]
    assert set(known) == {str(mef), str(other)}


def test_differences_identical_files_have_none(tmp_path):
    assert (
        differences(make_mef(tmp_path / "a.fits"), make_mef(tmp_path / "b.fits.gz"))
        == []
    )


def test_differences_say_what_and_where(mef, tmp_path):
    other = make_mef(tmp_path / "b.fits")
    edit(other, 2, OTHER=1)
    with fits.open(other, mode="update") as hdus:
        hdus[4].data[0, 0] += np.uint16(1)
        del hdus[-1]
    found = "\n".join(differences(mef, other))
    assert "8 HDUs and 7" in found
    assert "HDU 2 (SCI): only the second has 'OTHER" in found
    assert "HDU 4 (DQ): the data differ" in found


def test_digest_counts_a_primary_hdu_that_has_the_name_of_the_record(tmp_path):
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.arange(4.0))
    hdu.name = "NDM_RECORD"
    hdu.writeto(path)
    before = digest(path)
    hdu.data[0] = 7
    hdu.writeto(path, overwrite=True)
    assert digest(path) != before
