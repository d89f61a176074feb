import pickle

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_helpers import open_descriptors

from ndmapper.errors import FileChangedError
from ndmapper.io.arrays import is_basic_index, section_of
from ndmapper.io.converted import open_array
from ndmapper.io.filemap import map_file
from ndmapper.testing import count_reads


def handle_of(path, index=0):
    return open_array(map_file(path).hdus[index])


@pytest.fixture(scope="module")
def cube(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays") / "cube.fits"
    fits.PrimaryHDU(np.arange(4 * 5 * 6, dtype="i4").reshape(4, 5, 6)).writeto(path)
    return path


index = st.one_of(
    st.integers(-4, 3),
    st.slices(6),
    st.just(Ellipsis),
)


@settings(max_examples=300, deadline=None)
@given(first=st.lists(index, max_size=4), second=st.lists(index, max_size=3))
def test_take_any_basic_index_twice_agrees_with_numpy(cube, first, second):
    handle, array = handle_of(cube), fits.getdata(cube)
    for item in (tuple(first), tuple(second)):
        try:
            expected = array[item]
        except IndexError:
            with pytest.raises(IndexError):
                handle.take(item)
            return
        handle, array = handle.take(item), expected
    assert handle.shape == array.shape
    np.testing.assert_array_equal(handle.read(), array)


SCALINGS = [
    ("i2", {}),
    ("u1", {}),
    ("f4", {}),
    ("f8", {}),
    ("i8", {}),
    ("i2", {"BZERO": 32768}),
    ("i2", {"BSCALE": 1, "BZERO": 32768.0}),
    ("i4", {"BZERO": 2147483648}),
    ("i8", {"BZERO": 9223372036854775808}),
    ("u1", {"BZERO": -128}),
    ("i2", {"BSCALE": 0.5}),
    ("i2", {"BSCALE": 0.1, "BZERO": 7.25}),
    ("i4", {"BSCALE": 0.1, "BZERO": 7.25}),
    ("i2", {"BZERO": 1000}),
    ("i2", {"BLANK": -32768}),
    ("i2", {"BLANK": 3, "BSCALE": 2.0}),
    ("i4", {"BLANK": 3}),
    ("f4", {"BSCALE": 2.0, "BZERO": 1.0}),
]


@pytest.mark.parametrize(("dtype", "cards"), SCALINGS, ids=str)
def test_read_scaled_pixels_agrees_with_astropy(tmp_path, dtype, cards):
    path = tmp_path / "a.fits"
    info = np.iinfo(dtype) if dtype[0] in "iu" else None
    ends = [info.min, info.max] if info else [-1e30, 1e30]
    stored = np.array([[0, 1, 2, 3], [*ends, 100, 7]], dtype)
    fits.PrimaryHDU(stored).writeto(path)
    # The cards are put into the file by hand: astropy would scale the pixels.
    content = path.read_bytes()
    header = fits.Header.fromstring(content[:2880])
    header.update(cards)
    path.write_bytes(header.tostring().encode() + content[2880:])
    expected = fits.getdata(path)
    handle = handle_of(path)
    found = handle.read()
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == expected.dtype.newbyteorder("=") == handle.dtype


def test_read_blank_of_zero_becomes_nan(tmp_path):
    # FITS standard 4.0, 4.4.2.5; astropy misses this one value.
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.array([0, 1], "i2"))
    hdu.header["BLANK"] = 0
    hdu.writeto(path)
    np.testing.assert_array_equal(handle_of(path).read(), [np.nan, 1])


def test_getitem_plain_file_reads_only_the_section(cube):
    with count_reads() as reads:
        handle_of(cube)[1, 1:3, 2]
    assert (reads.reads, reads.bytes) == (1, 2 * 4)


def test_getitem_returns_own_writable_native_memory(cube):
    array = handle_of(cube)[1:3]
    array[0, 0, 0] = 7
    assert handle_of(cube)[1, 0, 0] == 30
    assert array.dtype.isnative


def test_read_leaves_no_file_open(cube):
    before = open_descriptors()
    array = handle_of(cube)[1:3]
    assert open_descriptors() == before
    assert array.shape == (2, 5, 6)


def test_read_empty_section_reads_nothing(cube):
    with count_reads() as reads:
        assert handle_of(cube)[2:2].shape == (0, 5, 6)
    assert reads.reads == 0


def test_handle_pickled_is_small_and_reads_the_same(cube):
    handle = handle_of(cube).take(np.s_[1:3, ::2])
    text = pickle.dumps(handle)
    # 480 bytes of pixels stay behind, whatever their number.
    assert len(text) < 1500
    np.testing.assert_array_equal(pickle.loads(text).read(), handle.read())


def test_read_changed_file_is_noticed(tmp_path):
    path = tmp_path / "a.fits"
    fits.PrimaryHDU(np.zeros((10, 10))).writeto(path)
    handle = handle_of(path)
    fits.PrimaryHDU(np.ones((10, 10))).writeto(path, overwrite=True)
    with pytest.raises(FileChangedError):
        handle[2:4]


@pytest.mark.parametrize(
    ("item", "basic"),
    [(3, True), (np.s_[1:2, ...], True), (np.int64(2), True), ([1, 2], False),
     (True, False), (np.array([True]), False), (None, False), ((1, None), False)],
    ids=str,
)  # fmt: skip
def test_is_basic_index_tells_what_can_wait(item, basic):
    assert is_basic_index(item) is basic


def test_read_real_files_agrees_with_astropy(real_data):
    paths = [p for p in real_data.rglob("*.fit*") if p.suffix != ".Z"]
    assert len(paths) > 20
    import warnings

    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about their headers
            with fits.open(path) as hdus:
                for mapped, hdu in zip(map_file(path).hdus, hdus, strict=True):
                    if mapped.is_image:
                        handle = open_array(mapped)
                        np.testing.assert_array_equal(handle[...], hdu.data)
                        np.testing.assert_array_equal(
                            handle[..., 9:2:-3], hdu.data[..., 9:2:-3]
                        )


def test_section_outside_says_where():
    with pytest.raises(IndexError, match="no pixel 10 on axis 1, which has 4"):
        section_of((range(3), range(4)), (0, 10))
    with pytest.raises(IndexError, match="no pixel -5 on axis 0, which has 4"):
        section_of((2, range(4)), -5)


@pytest.mark.parametrize("card", ["BZERO   = 32768,0", "BSCALE  = '0.5'", "BZERO   ="])
def test_scaling_that_cannot_be_read_is_said(tmp_path, caplog, card):
    path = tmp_path / "scaled.fits"
    hdu = fits.PrimaryHDU(np.arange(6, dtype="i2").reshape(2, 3))
    hdu.header["SCALING"] = 1
    hdu.writeto(path)
    place = f"{'SCALING':8}= ".encode()
    content = path.read_bytes()
    at = content.index(place)
    path.write_bytes(content[:at] + card.encode().ljust(80) + content[at + 80 :])
    open_array(map_file(path).hdus[0])
    open_array(map_file(path).hdus[0])
    (record,) = caplog.records  # once for each file
    assert card[:6].strip() in record.getMessage()
    assert str(path) in record.getMessage()


@pytest.mark.parametrize(
    ("keyword", "cards"),
    [
        ("BZERO", [("BZERO", 32768), ("BZERO", 0)]),
        ("BSCALE", [("BSCALE", 2), ("BSCALE", 1)]),
        ("BLANK", [("BLANK", 3), ("BLANK", 4)]),
        ("BITPIX", [("BITPIX", 8)]),
        ("NAXIS1", [("NAXIS1", 2)]),
    ],
)
def test_cards_that_contradict_one_another_are_told(tmp_path, keyword, cards, caplog):
    path = tmp_path / "a.fits"
    header = fits.Header()
    for number in range(len(cards)):
        header[f"PLACE{number}"] = 0
    header["PLACE"] = 0
    fits.PrimaryHDU(np.arange(12, dtype="i2").reshape(3, 4), header).writeto(path)
    raw = path.read_bytes()
    for card in cards:
        at = raw.index(b"PLACE")
        raw = raw[:at] + fits.Card(*card).image.encode() + raw[at + 80 :]
    path.write_bytes(raw)
    for _ in range(2):
        handle_of(path).read()
    (said,) = (record.getMessage() for record in caplog.records)
    assert f"{path}: HDU 0 has cards of {keyword} that say different things" in said


def test_cards_that_say_the_same_twice_are_not_worth_a_word(tmp_path, caplog):
    path = tmp_path / "a.fits"
    header = fits.Header({"PLACE": 0})
    fits.PrimaryHDU(np.arange(12, dtype="u2").reshape(3, 4), header).writeto(path)
    card = fits.Card("BZERO", 32768).image.encode()
    raw = path.read_bytes()
    at = raw.index(b"PLACE")
    path.write_bytes(raw[:at] + card + raw[at + 80 :])
    np.testing.assert_array_equal(handle_of(path).read(), fits.getdata(path))
    assert not caplog.records


@pytest.mark.parametrize("keyword", ["BZERO", "BSCALE", "BLANK", "NAXIS1", "BITPIX"])
def test_keyword_in_lower_case_counts_as_for_astropy(tmp_path, keyword):
    path = tmp_path / "a.fits"
    header = fits.Header({"BLANK": 3, "BSCALE": 0.5, "BZERO": 2.0})
    fits.PrimaryHDU(np.zeros((3, 4), "i2")).writeto(path)
    with fits.open(path, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[0].header.update(header)
        hdus[0].data[...] = np.arange(12).reshape(3, 4)
    raw = path.read_bytes()
    card = keyword.encode().ljust(8)
    assert raw.count(card) == 1
    path.write_bytes(raw.replace(card, card.lower()))
    np.testing.assert_array_equal(handle_of(path).read(), fits.getdata(path))
