"""Flags: their names, in headers and in the configuration, and the mask."""

import functools
import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ndmapper import config
from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE, translated
from ndmapper.errors import ConfigError, FormatError, ShapeError
from ndmapper.instruments import flag_conventions, load_flags
from ndmapper.io.filemap import map_file
from ndmapper.lib.flagging import flags_with
from ndmapper.numerics.combine import combine
from ndmapper.testing import count_reads


def test_flag_bits_are_those_of_gemini():
    assert [flag.value for flag in Flag] == [1, 2, 4, 8, 16, 32, 64]


def test_flag_every_bit_fits_the_type_of_new_flags():
    assert max(flag.value for flag in Flag) <= np.iinfo(FLAGS_DTYPE).max


def test_flag_goes_into_an_array():
    flags = np.zeros(2, FLAGS_DTYPE)
    flags[0] |= Flag.COSMIC_RAY | Flag.SATURATED
    assert flags.tolist() == [12, 0]


GEMINI = {"TELESCOP": "Gemini-North"}
HST = {"TELESCOP": "HST", "INSTRUME": "ACS"}
MUSE = {"INSTRUME": "MUSE"}


def write_with_primary(path, primary, flags, **cards):
    header = fits.Header([("EXTNAME", "DQ"), ("EXTVER", 1), *cards.items()])
    fits.HDUList(
        [
            fits.PrimaryHDU(header=fits.Header(primary)),
            fits.ImageHDU(np.zeros(flags.shape, "f4"), name="SCI", ver=1),
            fits.ImageHDU(flags, header),
        ]
    ).writeto(path)
    return path


def table_of(path, **options):
    return DataFile(path, **options)[0].flag_table.name


@pytest.mark.parametrize(
    ("primary", "name"),
    [(GEMINI, "gemini"), (HST, "hst"), (MUSE, "euro3d"), ({}, "ndmapper")],
    ids=["gemini", "hst", "muse", "unknown"],
)
def test_flag_table_is_that_of_the_observatory(tmp_path, primary, name):
    assert (
        table_of(write_with_primary(tmp_path / "a.fits", primary, np.zeros(3, "i2")))
        == name
    )


def test_flag_table_is_found_without_reading_pixels(tmp_path):
    path = write_with_primary(tmp_path / "a.fits", HST, np.zeros(3, "i2"))
    with count_reads() as reads:
        DataFile(path)[0].flag_table  # noqa: B018
    assert reads.reads == 0


def test_flag_table_of_new_data_is_ndmappers_own():
    assert NDLater([1, 2]).flag_table.name == "ndmapper"


def test_flag_table_can_be_set_by_name_and_survives_section_copy_and_pickle():
    ndd = NDLater(np.zeros((2, 2)), flags=np.zeros((2, 2), "u4"))
    ndd.flag_table = "jwst"
    for other in (ndd[:1], ndd.copy(), pickle.loads(pickle.dumps(ndd)), ndd + 1):
        assert other.flag_table.name == "jwst"


def test_flag_table_stays_in_the_company_of_another_file(tmp_path):
    muse = DataFile(
        write_with_primary(tmp_path / "muse.fits", MUSE, np.full(3, 32, "u4"))
    )
    hst = DataFile(write_with_primary(tmp_path / "hst.fits", HST, np.zeros(3, "i2")))
    hst.append(muse[0])
    hst.append(NDLater(np.zeros(3), flags=np.array([1, 2, 4], "u2")))
    names = ["hst", "euro3d", "ndmapper"]
    assert [ndd.flag_table.name for ndd in hst] == names
    hst.save(tmp_path / "both.fits")
    assert [n.flag_table.name for n in DataFile(tmp_path / "both.fits")] == names


def test_bad_flags_take_names_of_the_files_own_convention(tmp_path):
    path = write_with_primary(
        tmp_path / "a.fits", HST, np.array([4, 16, 256, 8192], "i2")
    )
    with config.using(bad_flags="HOTPIX|SATURATED"):
        df = DataFile(path)
    assert df[0].bad_flags == 16 | 256 | 2048
    assert df[0].mask.tolist() == [False, True, True, False]


def test_bad_flags_names_of_one_script_fit_files_of_many_conventions(tmp_path):
    with config.using(bad_flags="COSMIC_RAY"):
        masks = [
            DataFile(
                write_with_primary(
                    tmp_path / f"{i}.fits", primary, np.array([0, bit], "u4")
                )
            )[0].mask
            for i, (primary, bit) in enumerate([(GEMINI, 8), (HST, 4096), (MUSE, 32)])
        ]
    assert [mask.tolist() for mask in masks] == [[False, True]] * 3


def test_bad_flags_names_are_fixed_at_creation(tmp_path):
    path = write_with_primary(tmp_path / "a.fits", GEMINI, np.array([1, 4], "i2"))
    with config.using(bad_flags="SATURATED"):
        df = DataFile(path)
    assert df[0].mask.tolist() == [False, True]
    assert pickle.loads(pickle.dumps(df))[0].mask.tolist() == [False, True]


def test_bad_flags_all_but_one(tmp_path):
    with config.using(bad_flags="-OVERLAP"):
        ndd = NDLater(np.zeros(3), flags=np.array([32, 64, 33], "u2"))
    assert ndd.mask.tolist() == [False, True, True]


def test_bad_flags_by_default_reach_the_highest_bit(tmp_path):
    # Missing data, and outside the data range: signed, as CPL writes them.
    flags = np.array([0, 1 << 30, -(1 << 31)], "i4")
    ndd = DataFile(write_with_primary(tmp_path / "a.fits", MUSE, flags))[0]
    assert ndd.mask.tolist() == [False, True, True]


def test_bad_flags_unknown_name_suggests_one():
    ndd = NDLater(np.zeros(3), flags=np.zeros(3, "u2"))
    with pytest.raises(ConfigError, match="did you mean 'SATURATED'"):
        ndd.bad_flags = "SATURATE"


def test_flagged_by_name_tells_the_pixels():
    ndd = NDLater(np.zeros(3), flags=np.array([1, 8, 12], "u2"))
    assert ndd.flagged(Flag.COSMIC_RAY).tolist() == [False, True, True]
    assert ndd.flagged(["BAD", "saturated"]).tolist() == [True, False, True]


def test_flagged_without_flags_is_none():
    assert NDLater(np.zeros(3)).flagged("BAD") is None


def test_mask_set_true_sets_the_conventions_own_bit(tmp_path):
    ndd = DataFile(write_with_primary(tmp_path / "a.fits", HST, np.zeros(2, "i2")))[0]
    ndd.mask = [True, False]
    assert ndd.flag_table.names(ndd.flags[0]) == ["DETECTORPROB"]


def test_mask_set_true_makes_room_for_a_high_bit(tmp_path):
    ndd = DataFile(
        write_with_primary(tmp_path / "a.fits", MUSE, np.array([0, 1, 1], "u1"))
    )[0]
    ndd.mask = [True, False, True]
    assert ndd.flags.dtype == np.uint16
    assert ndd.flags.tolist() == [1 << 14, 0, 1]


def test_steps_set_the_bit_of_the_conventions(tmp_path):
    ndd = DataFile(write_with_primary(tmp_path / "a.fits", MUSE, np.zeros(2, "i4")))[0]
    flags = flags_with(ndd, (np.array([True, False]), Flag.SATURATED))
    assert flags.tolist() == [1 << 12, 0]


def test_save_writes_names_of_new_flags_into_their_header(tmp_path):
    df = DataFile(tmp_path / "a.fits", data=NDLater([1.0, 2.0], flags=[0, 1]))
    df.save()
    header = fits.getheader(tmp_path / "a.fits", "DQ")
    assert header["FLAGCONV"] == "ndmapper"
    assert header["FLAG3"] == "COSMIC_RAY"
    assert header.comments["FLAG3"] == "hit by a cosmic ray"


@pytest.mark.parametrize("name", flag_conventions())
def test_save_writes_every_convention_without_a_warning(tmp_path, name):
    ndd = NDLater([1.0, 2.0], flags=[0, 1])
    ndd.flag_table = name
    DataFile(tmp_path / "a.fits", data=ndd).save()
    header = fits.getheader(tmp_path / "a.fits", "DQ")
    bits = load_flags(name).bits
    assert {f"FLAG{b.bit}": b.name for b in bits} == {
        k: v for k, v in header.items() if k.startswith("FLAG") and k != "FLAGCONV"
    }
    assert all(header.comments[f"FLAG{b.bit}"] == b.means for b in bits)
    assert table_of(tmp_path / "a.fits") == name


def test_save_of_changed_flags_names_them(tmp_path):
    path = write_with_primary(tmp_path / "a.fits", HST, np.zeros(2, "i2"))
    df = DataFile(path, mode="update")
    df[0].flags[0] = 16
    df.save()
    assert fits.getheader(path, "DQ")["FLAG4"] == "HOTPIX"


def test_save_of_other_changes_leaves_the_header_of_flags_alone(tmp_path):
    path = write_with_primary(tmp_path / "a.fits", HST, np.zeros(2, "i2"))
    before = str(fits.getheader(path, "DQ"))
    df = DataFile(path, mode="update")
    df[0].data[0] = 1
    df.save()
    assert str(fits.getheader(path, "DQ")) == before


def test_save_twice_changes_nothing(tmp_path):
    df = DataFile(tmp_path / "a.fits", data=NDLater([1.0, 2.0], flags=[0, 1]))
    df.save()
    first = (tmp_path / "a.fits").read_bytes()
    assert df.unloaded
    df.save()
    assert (tmp_path / "a.fits").read_bytes() == first


def test_header_names_win_over_the_telescope(tmp_path):
    cards = {"FLAGCONV": "mine", "FLAG3": "WRONG", "FLAG5": "SATURATED"}
    path = write_with_primary(
        tmp_path / "a.fits", HST, np.array([8, 32, 0], "i2"), **cards
    )
    ndd = DataFile(path)[0]
    assert ndd.flag_table.names(8) == ["WRONG"]
    assert ndd.flagged("SATURATED").tolist() == [False, True, False]
    # What is known by nothing but a name counts as bad.
    assert ndd.flagged("BAD").tolist() == [True, False, False]


def test_header_never_makes_a_path_be_read(tmp_path):
    other = tmp_path / "other.toml"
    path = write_with_primary(
        tmp_path / "a.fits", {}, np.zeros(1, "i2"), FLAGCONV=str(other)
    )
    assert DataFile(path)[0].flag_table.bits == ()


def test_translate_flags_turns_bits_names_and_bad_flags(tmp_path):
    path = write_with_primary(
        tmp_path / "a.fits", MUSE, np.array([0, 32, 1 << 30, 2], "u4")
    )
    with config.using(bad_flags="COSMIC_RAY"):
        ndd = DataFile(path)[0].translate_flags("gemini")
    assert ndd.flags.tolist() == [0, 8, 16, 0]
    assert ndd.flags.dtype == np.uint16
    assert ndd.bad_flags == 8
    assert ndd.flag_table.name == "gemini"


def test_translate_flags_joins_bits_and_widens(tmp_path):
    ndd = NDLater(np.zeros(2), flags=np.array([1 | 16, 4 | 8], "i2"))
    turned = ndd.translate_flags("euro3d")
    assert turned.flags.tolist() == [1 << 14 | 1 << 30, 1 << 12 | 1 << 5]
    assert turned.translate_flags("ndmapper").flags.tolist() == [17, 12]
    assert ndd.flags.tolist() == [17, 12]


def test_translate_flags_keeps_all_bad_flags_all():
    ndd = NDLater(np.zeros(2), flags=[0, 1])
    assert ndd.translate_flags("hst").bad_flags == ndd.bad_flags


def test_translate_flags_is_saved_with_its_names(tmp_path):
    path = write_with_primary(tmp_path / "a.fits", MUSE, np.array([32], "u4"))
    df = DataFile(path).translate_flags("gemini")
    df.save(tmp_path / "b.fits")
    header = fits.getheader(tmp_path / "b.fits", "DQ")
    assert (header["FLAGCONV"], header["FLAG3"]) == ("gemini", "cosmic_ray")
    assert "FLAG30" not in header
    assert DataFile(tmp_path / "b.fits")[0].flags.tolist() == [8]


def test_arithmetic_joins_flags_of_two_conventions_in_that_of_the_first(tmp_path):
    muse = DataFile(
        write_with_primary(tmp_path / "muse.fits", MUSE, np.array([1 << 30, 0], "u4"))
    )
    hst = DataFile(
        write_with_primary(tmp_path / "hst.fits", HST, np.array([256, 4096], "i2"))
    )
    joined = muse[0] - hst[0]
    assert joined.flag_table.name == "euro3d"
    assert joined.flags.tolist() == [1 << 30 | 1 << 12, 1 << 5]
    assert (hst[0] - muse[0]).flags.tolist() == [2 | 256, 4096]


@pytest.mark.parametrize("other", [NDLater, NDData])
def test_arithmetic_mask_of_new_data_is_bad_in_the_convention_of_a_file(
    tmp_path, other
):
    muse = DataFile(write_with_primary(tmp_path / "muse.fits", MUSE, np.zeros(2, "u4")))
    joined = muse[0] + other(np.zeros(2), mask=np.array([True, False]))
    assert muse[0].flag_table.names(joined.flags[0]) == ["BADOTHER"]
    assert joined.flags[1] == 0


def test_arithmetic_of_one_convention_turns_no_flags_and_reads_nothing(tmp_path):
    for name in "ab":
        write_with_primary(tmp_path / f"{name}.fits", HST, np.array([1 << 14], "i2"))
    files = [DataFile(tmp_path / f"{name}.fits") for name in "ab"]
    with count_reads() as reads:
        result = files[0] + files[1]
    assert reads.reads == 0
    assert result[0].flags.tolist() == [1 << 14]


@given(
    flags=arrays("u4", 20, elements=st.integers(0, 2**32 - 1)),
    source=st.sampled_from(flag_conventions()),
    to=st.sampled_from(flag_conventions()),
)
def test_translated_is_what_each_bit_becomes(flags, source, to):
    source, to = load_flags(source), load_flags(to)
    table = source.translation(to)
    expected = [
        functools.reduce(
            lambda a, b: a | b, (v for b, v in table.items() if int(f) & b), 0
        )
        for f in flags
    ]
    assert translated(flags, source, to).tolist() == expected


# ---- flags that files hold as floating point, with BLANK, or with many bits


def write_flags(path, flags, *, tiled=False, **cards):
    """Write SCI and DQ, with the numbers of DQ as they are stored."""
    flags = np.asarray(flags)
    dq = (fits.CompImageHDU if tiled else fits.ImageHDU)(flags, name="DQ")
    sci = fits.ImageHDU(np.zeros(flags.shape, "f4"), name="SCI")
    fits.HDUList([fits.PrimaryHDU(), sci, dq]).writeto(path)
    for key, value in cards.items():
        fits.setval(path, key, value=value, ext=2)
    return path


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("stored", ["f4", "f8"])
def test_flags_of_floating_point_are_integers(tmp_path, stored, tiled):
    numbers = np.array([[0, 1], [5, 65536]], stored)
    df = DataFile(write_flags(tmp_path / "a.fits", numbers, tiled=tiled))
    with count_reads() as reads:
        dtype = df[0].content.arrays["flags"].dtype
    assert reads.reads == 0
    ndd = df[0]
    assert ndd.flags.dtype == dtype == np.uint32
    assert ndd.flags.tolist() == [[0, 1], [5, 65536]]
    assert ndd.mask.tolist() == [[False, True], [True, True]]
    assert ndd.flagged("SATURATED").tolist() == [[False, False], [True, False]]
    assert ndd.translate_flags("hst").mask.tolist() == ndd.mask.tolist()
    assert pickle.loads(pickle.dumps(df[0][1])).flags.tolist() == [5, 65536]


@pytest.mark.parametrize("cards", [{"BLANK": 1}, {"BLANK": 1, "BSCALE": 1.0}])
def test_flags_that_blank_stands_for_are_the_stored_ones(tmp_path, cards):
    ndd = DataFile(
        write_flags(tmp_path / "a.fits", np.array([0, 1, 4], "i2"), **cards)
    )[0]
    assert ndd.flags.dtype == np.int16
    assert ndd.flags.tolist() == [0, 1, 4]
    assert ndd[1:].mask.tolist() == [True, True]


def test_flags_with_a_scale_are_integers(tmp_path):
    path = write_flags(
        tmp_path / "a.fits", np.array([0, 1, 4], "i2"), BSCALE=2, BZERO=1
    )
    assert DataFile(path)[0].flags.tolist() == [1, 3, 9]


@pytest.mark.parametrize("wrong", [np.nan, 0.5, -1, 2**32])
def test_flags_that_are_no_bits_are_a_clear_error(tmp_path, wrong):
    df = DataFile(write_flags(tmp_path / "a.fits", np.array([0, wrong, 1], "f8")))
    with pytest.raises(FormatError, match=r"HDU 2 \(DQ\) of .*a.fits"):
        _ = df[0].mask
    with pytest.raises(ShapeError, match="integers"):
        df[0].flags = [0.0, wrong, 1.0]
    df[0].flags = [0, 2, 1]
    df.save(tmp_path / "b.fits")
    assert DataFile(tmp_path / "b.fits")[0].flags.tolist() == [0, 2, 1]


def test_flags_set_to_large_floating_point_keep_their_bits():
    ndd = NDLater(np.zeros(2), flags=[65536.0, 1.0])
    assert ndd.flags.tolist() == [65536, 1]


def test_flags_of_other_form_are_copied_byte_for_byte(tmp_path):
    path = write_flags(tmp_path / "a.fits", np.array([0, np.nan], "f4"))
    before = map_file(path).hdus[2].read_bytes()
    df = DataFile(path, mode="update")
    df[0].data[0] = 3
    df.save()
    assert map_file(path).hdus[2].read_bytes() == before


def test_flags_of_other_form_can_be_changed_and_saved(tmp_path):
    path = write_flags(tmp_path / "a.fits", np.array([0, 4], "f4"))
    df = DataFile(path, mode="update")
    df[0].flags[0] |= 8
    df.save()
    assert df[0].flags.tolist() == [8, 4]
    assert DataFile(path)[0].flags.tolist() == [8, 4]
    assert fits.getheader(path, 2)["BITPIX"] == 32


def test_flags_of_other_form_are_joined(tmp_path):
    one = DataFile(write_flags(tmp_path / "a.fits", np.array([[0, 4]] * 2, "f4")))
    two = DataFile(
        write_flags(tmp_path / "b.fits", np.array([[1, 0]] * 2, "i2"), BLANK=1)
    )
    assert (one + two)[0].flags.tolist() == [[1, 4]] * 2


@pytest.mark.parametrize("bad_flags", [None, "ALL", "-OVERLAP"])
@pytest.mark.parametrize("bit", [32, 40, 63])
def test_flags_above_those_that_have_names_count(bit, bad_flags):
    flags = np.array([0, 1 << bit, 4], "u8").view("i8")
    ndd = NDLater(np.zeros(3), flags=flags, bad_flags=bad_flags)
    assert ndd.mask.tolist() == [False, True, True]
    assert ndd.flag_table.names(1 << bit) == [f"bit {bit}"]
    turned = ndd.translate_flags("gemini")
    assert turned.flags.view("u8").tolist() == [0, 1 << bit, 4]
    assert turned.mask.tolist() == [False, True, True]
    assert ndd.translate_flags("hst").mask.tolist() == [False, True, True]


def test_combining_leaves_out_what_has_a_flag_above_those_with_names():
    flags = [np.array([[1 << 40]], "i8"), np.array([[0]], "i8")]
    made = combine([np.array([[9.0]]), np.array([[1.0]])], flags=flags)
    assert made.data.item() == 1
