"""Arithmetic of folders of MUSE calibrations."""

import threading

import numpy as np
import pytest

from ndmapper.data import NDLater
from ndmapper.errors import (
    IdentError,
    ShapeError,
    UnitError,
)
from ndmapper.lib.muse import CalibDir, CalibFile
from ndmapper.parallel import threads
from ndmapper.testing import count_reads

KIND = "MASTER_BIAS"


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_operator_goes_ifu_by_ifu(biases, make_folder, name):
    other = CalibDir(KIND, make_folder("others", scale=2.0))
    result = getattr(biases, f"_{name}")(other)
    assert list(result) == [1, 2, 7]
    for ifu in result:
        expected = getattr(biases[ifu], f"_{name}")(other[ifu])
        for method in ("get_data", "get_stat", "get_dq"):
            np.testing.assert_array_equal(
                getattr(result[ifu], method)(), getattr(expected, method)()
            )


def test_difference_of_two_folders_is_not_zero(biases, make_folder, pixels):
    # What the old program gave, because it opened the first file twice.
    other = CalibDir(KIND, make_folder("others", scale=2.0))
    np.testing.assert_array_equal((biases - other)[7].get_data(), -pixels(7)[0])


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [
        (lambda c: c + 1, lambda d: d + 1),
        (lambda c: 1 - c, lambda d: 1 - d),
        (lambda c: 2 * c, lambda d: 2 * d),
        (lambda c: c / 2, lambda d: d / 2),
        (lambda c: (c + 1) * 2 - c, lambda d: (d + 1) * 2 - d),
        (
            lambda c: c - c[2],
            lambda d: d - np.float32(200) - np.arange(30).reshape(5, 6),
        ),
        (lambda c: np.full((5, 6), 3.0) * c, lambda d: 3 * d),
    ],
    ids=["add", "rsub", "rmul", "div", "chain", "one file", "array"],
)
def test_operand_may_be_one_for_all(biases, pixels, symbol, expected):
    np.testing.assert_array_equal(symbol(biases)[7].get_data(), expected(pixels(7)[0]))


def test_in_place_form_changes_the_object_and_none_of_its_operands(biases, pixels):
    cal, same = biases[1], biases
    biases -= 1
    assert biases is same
    assert (biases.type, biases.dirname, list(biases)) == (KIND, None, [1, 2, 7])
    np.testing.assert_array_equal(cal.get_data(), pixels(1)[0])
    np.testing.assert_array_equal(biases[1].get_data(), pixels(1)[0] - 1)


def test_folder_and_merged_file_are_combined(biases, tmp_path, write_merged):
    merged = CalibDir(KIND, write_merged(tmp_path / "m.fits", (1, 2, 7), scale=3.0))
    assert (merged - biases)[7].get_data()[0, 0] == 1400
    assert (biases - merged)[7].get_data()[0, 0] == -1400


def test_result_is_computed_when_looked_at_and_kept(biases, pixels):
    flat = np.full((5, 6), 2.0)
    biases[1].get_data()  # unchanged, so it is not kept twice
    biases[1].get_stat(), biases[1].get_dq()
    with count_reads() as reads:
        result = 1 - (biases * 2) / flat
        result[7].info()
    assert {path.name for path in reads.paths} <= {f"{KIND}-01.fits"}
    assert result[7].get_data() is result[7].get_data()
    np.testing.assert_array_equal(result[7].get_data(), 1 - pixels(7)[0])


def test_result_is_of_the_operands_as_they_were(biases, pixels):
    biases[7].get_data()[:] = 5
    flat = np.full((5, 6), 2.0)
    result = biases * flat
    biases[7].get_data()[:] = 0
    flat[:] = 0
    assert result[7].get_data().min() == 10
    np.testing.assert_array_equal(result[1].get_data(), 2 * pixels(1)[0])


def test_other_ifus_are_an_error_that_names_them(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", ifus=(1, 2, 8, 9)))
    with pytest.raises(IdentError, match=r"alone has 7 and .*alone has 8-9"):
        biases - other


def test_other_shape_is_an_error_that_names_the_ifu(biases):
    with pytest.raises(ShapeError, match="IFU 1 of MASTER_BIAS"):
        biases - NDLater(np.ones((2, 3)))


def test_other_unit_is_an_error_before_anything_is_read(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", unit="m"))
    with count_reads() as reads, pytest.raises(UnitError, match=r"IFU 1.*adu and m"):
        biases + other
    assert reads.reads == 0


def test_unit_of_a_result_is_checked_before_anything_is_read(biases, make_folder):
    other = CalibDir(KIND, make_folder("others", unit="m"))
    with count_reads() as reads, pytest.raises(UnitError, match="IFU 1"):
        biases * other + other
    assert reads.reads == 0


def test_operand_that_is_nothing_of_this_kind_is_a_type_error(biases):
    with pytest.raises(TypeError):
        biases + "one"


def test_comparison_is_not_pixel_by_pixel(biases):
    assert biases != biases.copy()


def test_folders_in_memory_are_computed_by_several_threads(
    make_folder, pixels, monkeypatch
):
    monkeypatch.setattr(threads, "count_threads", lambda: 2)
    names = set()
    both = threading.Event()
    operate = CalibFile._operate

    def noted(*args, **options):
        names.add(threading.current_thread().name)
        if len(names) == 2:
            both.set()
        both.wait(60)  # so that one thread cannot do all of it
        return operate(*args, **options)

    monkeypatch.setattr(CalibFile, "_operate", noted)
    left, right = (CalibDir(KIND, make_folder(name=name)) for name in ("x", "y"))
    for cal in (*left.files.values(), *right.files.values()):
        _ = cal[0].data, cal[0].variance, cal[0].flags
    result = left * right
    assert len(names) == 2
    for ifu in result:
        np.testing.assert_array_equal(result[ifu].get_data(), pixels(ifu)[0] ** 2)


def test_error_of_one_ifu_ends_the_work(biases):
    biases[7] = CalibFile(data=np.zeros((5, 5), "f4"))
    _ = biases[1].data
    with pytest.raises(ShapeError, match="IFU 7 of MASTER_BIAS"):
        biases - NDLater(np.ones(biases[1][0].shape, "f4"))


def test_result_has_no_single_name(biases):
    with pytest.raises(TypeError, match=r"write\(dirname\)"):
        biases.add(1, filename="x.fits")
