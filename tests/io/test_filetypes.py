import pytest
from hypothesis import given
from hypothesis import strategies as st

from ndmapper.io.filetypes import is_compressed, is_fits, plain_ext, split_ext


@pytest.mark.parametrize(
    ("name", "stem", "ext"),
    [
        ("b27.fits", "b27", "fits"),
        ("b27.fits.gz", "b27", "fits.gz"),
        ("b27.FIT", "b27", "FIT"),
        (
            "MUSE.2017-06-16T01:34:56.867.fits.fz",
            "MUSE.2017-06-16T01:34:56.867",
            "fits.fz",
        ),
        ("MUSE.2017-06-16T01:34:56.867", "MUSE.2017-06-16T01:34:56.867", None),
        ("testfile.fits.Z", "testfile", "fits.Z"),
        ("calibrations.json", "calibrations", "json"),
        (".fits", ".fits", None),
        ("noext", "noext", None),
        ("", "", None),
        ("a.fits.b", "a.fits.b", None),
    ],
)
def test_split_ext_known_names_takes_longest_type(name, stem, ext):
    assert split_ext(name) == (stem, ext)


@given(st.text(st.characters(exclude_characters="/\0"), max_size=30))
def test_split_ext_any_name_joins_back(name):
    stem, ext = split_ext(name)
    assert stem + ("" if ext is None else f".{ext}") == name


@pytest.mark.parametrize(
    ("ext", "plain"),
    [
        ("fits.gz", "fits"),
        ("fits", "fits"),
        (None, None),
        ("gz", "gz"),
        ("FITS.FZ", "FITS"),
    ],
)
def test_plain_ext_takes_compression_off(ext, plain):
    assert plain_ext(ext) == plain


@pytest.mark.parametrize(
    ("ext", "compressed", "fits"),
    [("fits.gz", True, True), ("fits", False, True), ("txt.gz", True, False),
     (None, False, False), ("FIT", False, True)],
)  # fmt: skip
def test_kinds_of_types(ext, compressed, fits):
    assert (is_compressed(ext), is_fits(ext)) == (compressed, fits)
