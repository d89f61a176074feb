"""Images compressed in tiles, with astropy as the judge."""

import pickle

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.errors import FormatError
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import map_file
from ndmapper.io.tile_header import image_header, table_header
from ndmapper.testing import count_reads

SECTIONS = [
    np.s_[...],
    np.s_[10:30, 5:9],
    np.s_[::-3, 4],
    np.s_[60, ::7],
    np.s_[5:5],
    np.s_[-1:2:-4, 40:3:-5],
    np.s_[::25, ::33],
    np.s_[0, 0],
]


def compressed(path, data, **options):
    hdu = fits.CompImageHDU(data, **options)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    return path


def handle_of(path):
    return open_array(map_file(path).hdus[-1])


def pixels(dtype, shape=(61, 50)):
    values = np.random.default_rng(20).normal(100, 10, shape)
    return values.astype(dtype)


def same_as_astropy(path):
    with fits.open(path) as hdus:
        wanted = hdus[1].data.copy()
    handle = handle_of(path)
    assert handle.dtype == wanted.dtype.newbyteorder("=")
    assert handle.shape == wanted.shape
    for section in SECTIONS:
        np.testing.assert_array_equal(handle[section], wanted[section])


@pytest.mark.parametrize("tile", [None, (20, 16)], ids=["rows", "tiles"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "GZIP_2", "NOCOMPRESS"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4"])
def test_read_compressed_integers_agree_with_astropy(tmp_path, dtype, algorithm, tile):
    path = tmp_path / "a.fits"
    same_as_astropy(
        compressed(path, pixels(dtype), compression_type=algorithm, tile_shape=tile)
    )


@pytest.mark.parametrize("dither", [-1, 1, 2], ids=["none", "one", "two"])
@pytest.mark.parametrize("algorithm", ["RICE_1", "GZIP_1", "HCOMPRESS_1"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_read_quantised_agrees_with_astropy(tmp_path, dtype, algorithm, dither):
    data = pixels(dtype, (64, 64))
    data[3, 4], data[5, 5] = np.nan, 0
    same_as_astropy(
        compressed(
            tmp_path / "a.fits", data, compression_type=algorithm,
            quantize_method=dither, tile_shape=(20, 16),
        )
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["f4", "f8", "i8"])
def test_read_lossless_is_what_was_written(tmp_path, dtype):
    data = pixels(dtype)
    path = compressed(
        tmp_path / "a.fits", data, compression_type="GZIP_2", quantize_level=0.0
    )
    np.testing.assert_array_equal(handle_of(path).read(), data)


def test_read_plio_mask(tmp_path):
    same_as_astropy(
        compressed(tmp_path / "a.fits", pixels("i4"), compression_type="PLIO_1")
    )


@pytest.mark.parametrize("shape", [(7,), (5, 6, 7), (2, 3, 4, 5)], ids=str)
def test_read_other_numbers_of_axes(tmp_path, shape):
    data = pixels("i4", shape)
    path = compressed(tmp_path / "a.fits", data)
    np.testing.assert_array_equal(handle_of(path).read(), data)
    np.testing.assert_array_equal(handle_of(path)[..., 1:3], data[..., 1:3])


def test_read_flat_tiles_that_do_not_quantise(tmp_path):
    # A tile without noise is stored unquantised, in the other column.
    data = pixels("f4")
    data[:20] = 1.25
    same_as_astropy(compressed(tmp_path / "a.fits", data))


def test_section_reads_only_its_tiles(tmp_path):
    data = pixels("i4", (400, 500))
    path = compressed(tmp_path / "a.fits", data, tile_shape=(100, 100))
    handle = handle_of(path)
    with count_reads() as whole:
        handle.read()
    with count_reads() as section:
        handle[150:160, 220:230]
    assert 0 < section.bytes < whole.bytes / 15


def test_map_and_form_read_no_pixels(tmp_path):
    path = compressed(tmp_path / "a.fits", pixels("u2"))
    with count_reads() as reads:
        hdu = map_file(path).hdus[-1]
        assert (hdu.is_image, hdu.is_table, hdu.shape) == (True, False, (61, 50))
        assert hdu.header["BITPIX"] == 16
        handle = open_array(hdu)
        pickle.dumps(handle)
        assert handle.dtype == np.uint16
    assert reads.reads == 0


def test_pickled_handle_reads_the_same(tmp_path):
    handle = handle_of(compressed(tmp_path / "a.fits", pixels("i2")))
    again = pickle.loads(pickle.dumps(handle))
    np.testing.assert_array_equal(again[3:5], handle[3:5])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"'RICE_1  '", b"'RICE_9  '"),
        (b"ZTILE1  =                   50", b"ZTILE1  =                    0"),
        (b"ZTILE1  =                   50", b"ZTILE1  =                    1"),
        (b"'COMPRESSED_DATA'", b"'COMPRESSED_DATB'"),
        (b"TFORM1  = '1PB", b"TFORM1  = '1QB"),
    ],
    ids=["algorithm", "no tile", "more tiles", "column", "form"],
)
def test_read_damaged_table_is_a_format_error(tmp_path, old, new):
    path = compressed(tmp_path / "a.fits", pixels("i4"))
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(FormatError, match="damaged"):
        handle_of(path).read()


def test_read_damaged_tile_is_a_format_error(tmp_path):
    path = compressed(tmp_path / "a.fits", pixels("i4"), compression_type="GZIP_1")
    content = bytearray(path.read_bytes())
    offset = map_file(path).hdus[-1].data_offset + 8 * 61
    content[offset : offset + 4] = b"abcd"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=r"a\.fits is damaged"):
        handle_of(path).read()


# ---- headers


def test_image_header_is_that_of_astropy(tmp_path):
    header = fits.Header({"OBJECT": "x", "EXTNAME": "SCI", "EXTVER": 3})
    header["HIERARCH ESO DET CHIP"] = 4
    header["LONG"] = "y" * 90
    header.add_comment("text")
    path = compressed(tmp_path / "a.fits", pixels("u2"), header=header)
    with fits.open(path) as hdus:
        wanted = {(c.keyword, c.value) for c in hdus[1].header.cards}
    found = {(c.keyword, c.value) for c in map_file(path).hdus[-1].header.cards}
    assert found == wanted


def test_table_header_of_unchanged_image_is_the_stored_one(tmp_path):
    raw = map_file(compressed(tmp_path / "a.fits", pixels("f4"))).hdus[-1].raw
    assert table_header(image_header(raw), raw) == raw


def test_table_header_of_changed_image_has_the_new_cards(tmp_path):
    raw = map_file(compressed(tmp_path / "a.fits", pixels("f4"))).hdus[-1].raw
    header = fits.Header.fromstring(image_header(raw))
    header["OBJECT"] = "new"
    changed = header.tostring().encode()
    made = table_header(changed, raw)
    assert fits.Header.fromstring(made)["ZTILE1"] == 50
    assert fits.Header.fromstring(image_header(made))["OBJECT"] == "new"
    assert image_header(made) == changed


def with_cards(path, **cards):
    """Put cards into the header of the table, before END."""
    raw = path.read_bytes()
    at = raw.rindex(b"END".ljust(80))
    made = b"".join(fits.Card(*card).image.encode() for card in cards.items())
    assert not raw[at + 80 : at + 80 + len(made)].strip()
    path.write_bytes(raw[:at] + made + b"END".ljust(80) + raw[at + 80 + len(made) :])
    return path


@pytest.mark.parametrize("keyword", ["ZBLANK", "BLANK"])
def test_undefined_pixels_of_integers_agree_with_astropy(tmp_path, keyword):
    path = compressed(tmp_path / "a.fits", pixels("i4"), compression_type="RICE_1")
    same_as_astropy(with_cards(path, **{keyword: 100}))
    assert np.isnan(handle_of(path).read()).any()


@pytest.mark.parametrize("name", ["ZSCALE", "ZZERO"])
@pytest.mark.parametrize("keyword", ["TSCAL", "TZERO"])
def test_scaled_scales_are_refused(tmp_path, name, keyword):
    path = compressed(tmp_path / "a.fits", pixels("f4"), quantize_method=1)
    with fits.open(path, disable_image_compression=True) as hdus:
        number = hdus[1].columns.names.index(name) + 1
    with_cards(path, **{f"{keyword}{number}": 3.0})
    with pytest.raises(FormatError, match=f"{name}, column {number}"):
        handle_of(path).read()
