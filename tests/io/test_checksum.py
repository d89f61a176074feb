import warnings

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.io.checksum import with_checksums
from ndmapper.io.filemap import map_file
from ndmapper.io.write import write_hdus
from ndmapper.testing import make_mef


def verified(path, count):
    """Let astropy check the sums; a wrong one is a warning, and that is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(path, checksum=True, disable_image_compression=True) as hdus:
            assert len(hdus) == count
            for hdu in hdus:
                assert hdu.verify_checksum() == 1
                assert hdu.verify_datasum() == 1


@pytest.mark.parametrize("suffix", ["fits", "fits.gz", "fits.bz2", "fits.fz"])
def test_save_with_checksums_agrees_with_astropy(tmp_path, suffix):
    df = DataFile(make_mef(tmp_path / "a.fits", n_ext=2))
    count = len(map_file(tmp_path / "a.fits").hdus)
    df.save(tmp_path / f"b.{suffix}", checksum=True)
    verified(tmp_path / f"b.{suffix}", count)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits", f"b.{suffix}"]


def test_save_with_checksums_any_content(tmp_path):
    rng = np.random.default_rng(11)
    for seed in range(100):
        path = tmp_path / f"{seed}.fits"
        data = rng.integers(0, 256, rng.integers(0, 5000), dtype="u1")
        fits.PrimaryHDU(data, fits.Header({"SEED": seed})).writeto(path)
        write_hdus(tmp_path / f"sum{seed}.fits", with_checksums(map_file(path)))
        verified(tmp_path / f"sum{seed}.fits", 1)


def test_save_of_edited_file_drops_the_sums_that_are_wrong_now(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=2)
    df = DataFile(path, mode="overwrite", data=DataFile(path))
    df.save(checksum=True)
    df[0].data[0, 0] = 99
    df.save()
    with fits.open(path, checksum=True) as hdus:
        assert "CHECKSUM" not in hdus["SCI", 1].header
        assert hdus["SCI", 2].verify_checksum() == 1


def test_save_with_checksums_replaces_old_ones(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=1)
    df = DataFile(path, mode="update")
    df.save(checksum=True)
    before = path.read_bytes()
    df.save(checksum=True)
    assert path.read_bytes() == before


def test_save_under_a_compression_that_cannot_be_written_is_an_error(tmp_path):
    df = DataFile(make_mef(tmp_path / "a.fits"))
    with pytest.raises(OSError, match="cannot be written"):
        df.save(tmp_path / "a.fits.Z")
    assert [p.name for p in tmp_path.iterdir()] == ["a.fits"]
