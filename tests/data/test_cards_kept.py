"""Cards that nobody touched, where another one is edited."""

from pathlib import Path

import astropy.io.fits
import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.io.filemap import map_file

SAMPLES = Path(astropy.io.fits.__file__).parent / "tests" / "data"
IDLE = ["BSCALE  = 1.0", "BZERO   = 0.0"]
OF_PRIMARY = ["PCOUNT  = 0", "GCOUNT  = 1", "GROUPS  = F"]


def cards(raw):
    found = [raw[i : i + 80] for i in range(0, len(raw), 80)]
    return found[: found.index(b"END".ljust(80))]


def make(path, dtype, primary, extension):
    """Write a primary image and an extension whose headers have these cards too."""
    for hdu, more in (
        (fits.PrimaryHDU(np.ones(3, dtype)), primary),
        (fits.ImageHDU(np.ones(3, dtype), name="SCI"), extension),
    ):
        raw = hdu.header.tostring(padding=False)[:-80]
        raw += "".join(card.ljust(80) for card in more) + "END".ljust(80)
        data = hdu.data.astype(np.dtype(dtype).newbyteorder(">")).tobytes()
        with path.open("ab") as out:
            for part, pad in ((raw.encode(), b" "), (data, b"\0")):
                out.write(part.ljust(-(-len(part) // 2880) * 2880, pad))
    return path


@pytest.mark.parametrize("dtype", ["i2", "f4"])
def test_cards_without_effect_stay_where_another_is_edited(tmp_path, dtype):
    blank = ["BLANK   = -7"] if dtype == "f4" else []
    path = make(
        tmp_path / "a.fits", dtype, IDLE + OF_PRIMARY + blank,
        [*IDLE, *blank, "EXTEND  = T", "GROUPS  = F"],
    )  # fmt: skip
    before = [cards(hdu.raw) for hdu in map_file(path).hdus]
    df = DataFile(path, mode="update")
    df.meta["OBJECT"] = df[0].meta["OBJECT"] = "x"
    df.save()
    after = [cards(hdu.raw) for hdu in map_file(path).hdus]
    assert [[c for c in x if b"OBJECT" not in c] for x in after] == before


def test_blank_goes_where_integers_become_floating_point(tmp_path):
    path = make(tmp_path / "a.fits", "i2", [], ["BLANK   = 9"])
    df = DataFile(path, mode="update")
    df[0].data = df[0].data + 0.5
    df.save()
    assert "BLANK" not in fits.getheader(path, 1)


@pytest.mark.parametrize("name", ["test0.fits", "fixed-1890.fits", "double_ext.fits"])
def test_sample_files_keep_all_cards_but_checksums(tmp_path, name):
    df = DataFile(SAMPLES / name)
    for header in [df.meta, *(ndd.meta for ndd in (*df, *df.extras.values()))]:
        header["EDITED"] = 1
    df.save(tmp_path / "b.fits")
    hdus = zip(
        map_file(SAMPLES / name).hdus, map_file(tmp_path / "b.fits").hdus, strict=True
    )
    for old, new in hdus:
        kept = [
            c for c in cards(old.image_raw) if c[:8] not in (b"CHECKSUM", b"DATASUM ")
        ]
        assert [c for c in cards(new.image_raw) if c[:6] != b"EDITED"] == kept
