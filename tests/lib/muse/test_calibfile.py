import pickle

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.data import DataFile, FileName, NDLater
from ndmapper.errors import (
    FormatError,
    IdentError,
    MissingFileError,
    ModeError,
    OutputExistsError,
    ShapeError,
)
from ndmapper.lib.muse import CalibFile
from ndmapper.testing import count_reads


@pytest.fixture
def bias(tmp_path, write_single):
    return CalibFile(write_single(tmp_path / "MASTER_BIAS-07.fits", 7))


def test_opening_and_describing_reads_no_pixels(tmp_path, write_single):
    path = write_single(tmp_path / "MASTER_BIAS-07.fits", 7)
    with count_reads() as reads:
        cal = CalibFile(path)
        cal.info()
        assert (cal.nx, cal.ny, cal.ifu) == (6, 5, 7)
        repr(cal.copy())
    assert reads.reads == 0


def test_each_array_is_read_on_its_own(bias, pixels):
    data, stat, dq = pixels(7)
    for method, expected in (("get_data", data), ("get_dq", dq), ("get_stat", stat)):
        with count_reads() as reads:
            found = getattr(bias, method)()
        assert reads.bytes == expected.nbytes
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype


def test_image_has_everything_of_one_ifu(bias, pixels, merged):
    image = bias.get_image()
    assert image is bias[0]
    np.testing.assert_array_equal(image.variance, pixels(bias.ifu)[1])
    ifu = next(iter(merged.idents))
    assert merged.get_image(ifu) is merged[ifu]
    with pytest.raises(IdentError, match="say which"):
        merged.get_image()


def test_file_is_a_datafile(bias):
    assert isinstance(bias, DataFile)
    assert bias[0].data is bias.get_data()


def test_primary_header_is_that_of_the_file(bias):
    assert bias.primary_header is bias.meta
    assert bias.primary_header["ESO PRO CATG"] == "MASTER_BIAS"


def test_primary_header_may_be_replaced(bias):
    bias.primary_header = {"OBJECT": "new"}
    assert bias.meta["OBJECT"] == "new"


def test_filename_is_the_name(bias, tmp_path):
    assert bias.filename == str(tmp_path / "MASTER_BIAS-07.fits")


def test_filename_behaves_as_a_text(bias, tmp_path):
    name = bias.filename
    assert isinstance(name, str)
    assert name.endswith("MASTER_BIAS-07.fits")
    assert name + ".bak" == f"{tmp_path}/MASTER_BIAS-07.fits.bak"
    assert name.split("/")[-1] == "MASTER_BIAS-07.fits"
    assert {str(name): 1}[name] == 1
    assert name == tmp_path / "MASTER_BIAS-07.fits"
    assert name != "other.fits"
    assert name != FileName("other.fits")
    assert (name.ext, FileName(name, prefix="b").name) == (
        "fits", "bMASTER_BIAS-07.fits",
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(bias)).filename == name
    bias.filename = "other.fits"
    assert bias.filename == "other.fits"


def test_write_replaces_the_file_it_was_read_from(bias, tmp_path):
    bias.get_data()[0, 0] = -1
    bias.write(bias.filename)
    assert CalibFile(tmp_path / "MASTER_BIAS-07.fits").get_data()[0, 0] == -1
    again = CalibFile(tmp_path / "MASTER_BIAS-07.fits")
    again.get_data()[0, 0] = -2
    again.write()
    assert CalibFile(tmp_path / "MASTER_BIAS-07.fits").get_data()[0, 0] == -2
    new = CalibFile(data=again)
    with pytest.raises(OutputExistsError):
        new.write(tmp_path / "MASTER_BIAS-07.fits")


def test_arrays_are_named_by_the_file_they_are_read_from(bias):
    assert bias.data == bias.dq == bias.stat == str(bias)


def test_arrays_in_no_file_have_no_name(bias):
    result = bias + bias
    assert (result.data, result.dq, result.stat) == (None, None, None)
    assert CalibFile(data=[NDLater(np.ones((2, 3)), variance=1)]).stat is None


def test_empty_object_has_no_pixels():
    cal = CalibFile()
    assert (cal.filename, cal.nx, cal.ny, cal.data) == (None, 0, 0, None)
    with pytest.raises(IdentError, match="no image"):
        cal.get_data()


def test_info_prints_what_it_returns(bias, capsys):
    text = bias.info()
    assert capsys.readouterr().out == f"{text}\n"
    assert "5 x 6" in text


def test_repr_names_class_and_file(bias):
    assert repr(bias) == f"CalibFile {str(bias)!r} (len 1)"


def test_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(MissingFileError):
        CalibFile(tmp_path / "nothing.fits")


@pytest.mark.parametrize("part", ["DQ", "STAT"])
def test_one_axis_that_differs_is_a_format_error(tmp_path, write_single, part, caplog):
    path = write_single(tmp_path / "a.fits", 7)
    with fits.open(path) as hdus:
        hdus[part].data = hdus[part].data[:, :-1].copy()
        hdus.writeto(path, overwrite=True)
    with pytest.raises(FormatError, match=rf"{part} has the shape \(5, 5\)"):
        CalibFile(path)


def test_file_without_images_is_a_format_error(tmp_path):
    path = tmp_path / "TRACE_TABLE-07.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=[1])])
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path)
    with pytest.raises(FormatError, match="open it as a DataFile"):
        CalibFile(path)


def test_array_that_is_not_there_is_none(tmp_path, write_single):
    path = write_single(tmp_path / "a.fits", 7)
    with fits.open(path) as hdus:
        del hdus["DQ"], hdus["STAT"]
        hdus.writeto(path, overwrite=True)
    cal = CalibFile(path)
    assert cal.get_dq() is None
    assert cal.get_stat() is None


def test_images_of_two_shapes_have_no_nx():
    cal = CalibFile(data=[NDLater(np.zeros((2, 3))), NDLater(np.zeros((3, 3)))])
    with pytest.raises(ShapeError, match="one shape"):
        _ = cal.nx


def test_copy_is_a_calibfile_that_is_independent(bias):
    copy = bias.copy()
    copy.get_data()[:] = 0
    copy.primary_header["OBJECT"] = "copy"
    assert isinstance(copy, CalibFile)
    assert bias.get_data().min() == 700
    assert "OBJECT" not in bias.primary_header


# ---- writing


def test_file_from_disk_is_written_byte_for_byte(bias, tmp_path):
    before = (tmp_path / "MASTER_BIAS-07.fits").read_bytes()
    bias.write(tmp_path / "other.fits")
    assert (tmp_path / "other.fits").read_bytes() == before
    assert bias.filename == tmp_path / "other.fits"


def test_changed_pixels_are_written_and_headers_kept(bias, tmp_path):
    bias.get_data()[0, 0] = -1
    bias.write(tmp_path / "other.fits")
    with fits.open(tmp_path / "other.fits") as hdus:
        assert [hdu.name for hdu in hdus[1:]] == ["DATA", "DQ", "STAT"]
        assert hdus["DATA"].data[0, 0] == -1
        assert hdus["DATA"].header["BUNIT"] == "adu"
        assert hdus[0].header["EXTNAME"] == "CHAN07"


def test_write_does_not_replace_what_is_there(bias, tmp_path):
    (tmp_path / "other.fits").write_text("precious")
    with pytest.raises(OutputExistsError):
        bias.write(tmp_path / "other.fits")
    assert (tmp_path / "other.fits").read_text() == "precious"
    bias.write(tmp_path / "other.fits", overwrite=True)
    assert CalibFile(tmp_path / "other.fits").nx == 6


def test_write_without_a_name_says_so():
    with pytest.raises(ModeError, match="no name"):
        CalibFile().write()


def test_object_made_in_memory_has_the_names_of_muse(tmp_path, pixels):
    data, stat, dq = pixels(3)
    cal = CalibFile(data=[NDLater(data, variance=stat, flags=dq)])
    cal.write(tmp_path / "new.fits")
    with fits.open(tmp_path / "new.fits") as hdus:
        assert {hdu.name for hdu in hdus[1:]} == {"DATA", "STAT", "DQ"}
        np.testing.assert_array_equal(hdus["DQ"].data, dq)


# ---- arithmetic


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_operator_of_two_files_propagates_variance_and_joins_bits(
    tmp_path, write_single, name, pixels
):
    one = CalibFile(write_single(tmp_path / "one.fits", 1))
    two = CalibFile(write_single(tmp_path / "two.fits", 2))
    (a, va, fa), (b, vb, fb) = (
        [x.astype("float64") if x.dtype.kind == "f" else x for x in pixels(ifu)]
        for ifu in (1, 2)
    )
    data, variance = {
        "add": (a + b, va + vb),
        "sub": (a - b, va + vb),
        "mul": (a * b, va * b**2 + vb * a**2),
        "div": (a / b, va / b**2 + vb * a**2 / b**4),
    }[name]
    result = getattr(one, f"_{name}")(two)
    assert isinstance(result, CalibFile)
    # Single precision keeps 24 bits, and a few operations lose three of them.
    np.testing.assert_allclose(result.get_data(), data, rtol=1e-6)
    np.testing.assert_allclose(result.get_stat(), variance, rtol=1e-6)
    np.testing.assert_array_equal(result.get_dq(), fa | fb)
    assert result.get_data().dtype == np.float32
    assert set(np.unique(result.get_dq())) == {0, 2 | 4}


@pytest.mark.parametrize(
    ("symbol", "data", "factor"),
    [
        (lambda x: x + 2, lambda d: d + 2, 1),
        (lambda x: x - 2, lambda d: d - 2, 1),
        (lambda x: x * 2, lambda d: d * 2, 4),
        (lambda x: x / 2, lambda d: d / 2, 0.25),
        (lambda x: 2 - x, lambda d: 2 - d, 1),
        (lambda x: 2 * x, lambda d: 2 * d, 4),
        (lambda x: -x, lambda d: -d, 1),
    ],
    ids=["add", "sub", "mul", "div", "rsub", "rmul", "neg"],
)
def test_operator_with_a_number_scales_the_variance(bias, symbol, data, factor, pixels):
    result = symbol(bias)
    assert isinstance(result, CalibFile)
    np.testing.assert_array_equal(result.get_data(), data(pixels(7)[0]))
    np.testing.assert_array_equal(result.get_stat(), factor * pixels(7)[1])
    np.testing.assert_array_equal(result.get_dq(), pixels(7)[2])


def test_reflected_division_propagates_variance(bias, pixels):
    data, stat, _ = (x.astype("float64") for x in pixels(7))
    np.testing.assert_allclose((2 / bias).get_stat(), 4 * stat / data**4, rtol=1e-6)


def test_in_place_form_changes_variance_too(bias, pixels):
    same = bias
    bias *= 2
    assert bias is same
    np.testing.assert_array_equal(bias.get_stat(), 4 * pixels(7)[1])
    assert isinstance(bias, CalibFile)


def test_result_keeps_the_header_and_takes_a_name(bias, tmp_path):
    result = bias.subtract(1.0, filename=tmp_path / "result.fits")
    result.write()
    with fits.open(tmp_path / "result.fits") as hdus:
        assert hdus[0].header["EXTNAME"] == "CHAN07"
        assert hdus["DATA"].data[0, 0] == 699


def test_slice_is_a_calibfile(bias):
    assert isinstance(bias[:1], CalibFile)


# ---- a merged file


@pytest.fixture
def merged(tmp_path, write_merged):
    return CalibFile(write_merged(tmp_path / "MASTER_BIAS.fits", range(1, 25)))


@pytest.mark.parametrize("name", [7, "CHAN07", "chan07"])
def test_merged_file_gives_one_ifu(merged, name, pixels):
    with count_reads() as reads:
        np.testing.assert_array_equal(merged.get_data(name), pixels(7)[0])
    assert reads.bytes == pixels(7)[0].nbytes


def test_merged_file_has_one_size_and_no_ifu(merged):
    assert (len(merged), merged.nx, merged.ny, merged.ifu) == (24, 6, 5, None)


def test_merged_file_asks_which_ifu(merged):
    with pytest.raises(IdentError, match="say which"):
        merged.get_stat()


def test_ifu_that_is_not_there_is_named(tmp_path, write_merged):
    cal = CalibFile(write_merged(tmp_path / "MASTER_BIAS.fits", (1, 2, 3, 7)))
    with pytest.raises(IdentError, match="IFU 9; it has: 1-3, 7"):
        cal.get_dq(9)


def test_single_file_takes_its_own_ifu_alone(bias, pixels):
    np.testing.assert_array_equal(bias.get_data(7), pixels(7)[0])
    with pytest.raises(IdentError, match="IFU 8; it has: 7"):
        bias.get_data(8)


def test_real_product_is_read_with_muse_names(real_data):
    cal = CalibFile(real_data / "muse" / "IMAGE-HDFS-1.34.fits")
    with fits.open(real_data / "muse" / "IMAGE-HDFS-1.34.fits") as hdus:
        np.testing.assert_array_equal(cal.get_data(), hdus["DATA"].data)
        np.testing.assert_array_equal(cal.get_stat(), hdus["STAT"].data)
        np.testing.assert_array_equal(cal.get_dq(), hdus["DQ"].data)
    assert (cal.nx, cal.ny) == (326, 331)
