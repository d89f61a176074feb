from pathlib import Path

import numpy as np
import pytest
from astropy.nddata import NDData

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import (
    IdentError,
    ShapeError,
)
from ndmapper.testing import make_mef

# ---- the list


def test_iteration_nested_is_independent(three_groups):
    df = DataFile(three_groups)
    assert [(a.ident, b.ident) for a in df for b in df] == [
        (a, b) for a in (1, 2, 3) for b in (1, 2, 3)
    ]


def test_iteration_while_deleting_sees_all(three_groups):
    df = DataFile(three_groups)
    seen = []
    for ndd in df:
        seen.append(ndd.ident)
        del df[0]
    assert seen == [1, 2, 3]


def test_getitem_position_and_slice(three_groups):
    df = DataFile(three_groups)
    assert (df[-1].ident, df[np.int64(1)].ident) == (3, 2)
    part = df[::-2]
    assert isinstance(part, DataFile)
    assert (part.idents, part.filename, part.mode) == ([3, 1], None, "new")
    assert list(part.tables) == ["MDF"]


def test_getitem_slice_is_independent_of_the_file(three_groups):
    df = DataFile(three_groups)
    part = df[:1]
    part[0].data[0, 0] = -1
    part.meta["OBJECT"] = "part"
    assert (df[0].data[0, 0], df.meta["OBJECT"]) == (1000, "test")


def test_getitem_ident_by_name():
    df = DataFile(data=[NDLater([1], ident="CHAN07"), NDLater([2], ident="CHAN08")])
    assert df["CHAN08"].data.tolist() == [2]
    with pytest.raises(IdentError, match="CHAN07"):
        df["CHAN09"]


@pytest.mark.parametrize(
    ("item", "error"),
    [(3, IndexError), (-4, IndexError), (1.5, TypeError), (True, TypeError)],
)
def test_getitem_impossible_is_an_error(three_groups, item, error):
    with pytest.raises(error):
        DataFile(three_groups)[item]


def test_append_gives_the_next_ident_and_a_view():
    df = DataFile()
    ndd = NDLater(np.arange(3.0))
    df.append(ndd)
    df.append(NDLater([1.0], ident=7))
    df.append(NDData([1.0]))
    df.append(NDLater([1.0], ident=7))
    assert df.idents == [1, 7, 8, 9]
    assert df[0] is not ndd
    assert df[0].data is ndd.data
    assert ndd.ident is None
    assert df[0].primary_meta is df.meta


def test_append_of_another_files_image_shares_nothing(three_groups):
    df, other = DataFile(three_groups), DataFile()
    _ = df[0].data
    other.append(df[0])
    other[0].data[...] = 0
    other[0].meta["NEW"] = 1
    assert df[0].data[0, 1] == 1001
    assert "NEW" not in df[0].meta


def test_extend_with_one_wrong_item_takes_none():
    df = DataFile()
    with pytest.raises(TypeError):
        df.extend([NDData([1]), "x"])
    with pytest.raises(TypeError):
        df.append("x")
    assert len(df) == 0


def test_setitem_keeps_the_ident_of_the_place(three_groups):
    df = DataFile(three_groups)
    df[1] = NDData([1, 2])
    assert df.idents == [1, 2, 3]
    df[1:] = [NDData([1])]
    assert df.idents == [1, 2]


def test_delete_insert_reverse_renumber(three_groups):
    df = DataFile(three_groups)
    del df[0]
    df.insert(0, NDData([1]))
    df.reverse()
    assert df.idents == [3, 2, 4]
    df.renumber()
    assert df.idents == [1, 2, 3]
    del df[:]
    assert len(df) == 0


# ---- arithmetic


def test_arithmetic_pairs_by_ident_not_by_order(three_groups):
    df = DataFile(three_groups)
    difference = df - df[::-1]
    assert [float(ndd.data.max()) for ndd in difference] == [0, 0, 0]
    assert [ndd.variance[0, 0] for ndd in difference] == [2, 2, 2]
    assert (difference.filename, difference.mode, difference.idents) == (
        None,
        "new",
        [1, 2, 3],
    )
    assert list(difference.tables) == ["MDF"]


@pytest.mark.parametrize("swapped", [False, True])
def test_arithmetic_single_extension_goes_with_each(three_groups, swapped):
    df, one = DataFile(three_groups), DataFile(data=NDLater(np.ones((6, 8))))
    result = one + df if swapped else df + one
    assert [ndd.data[0, 0] for ndd in result] == [1001, 2001, 3001]
    assert result.idents == [1, 2, 3]


def test_arithmetic_numbers_and_images(three_groups):
    df = DataFile(three_groups)
    assert (2 * df)[1].data[0, 0] == 4000
    assert (df - df[0])[2].data[0, 5] == 2000
    assert (1 / df)[0].data[0, 0] == np.float32(1e-3)


def test_arithmetic_other_idents_are_an_error(three_groups):
    df = DataFile(three_groups)
    with pytest.raises(IdentError, match=r"\[1, 2\]"):
        df - df[:2]
    other = df[:]
    other.renumber(5)
    with pytest.raises(IdentError, match="5, 6, 7"):
        df - other


def test_arithmetic_other_shapes_are_an_error(three_groups, tmp_path):
    other = DataFile(make_mef(tmp_path / "b.fits", n_ext=3, shape=(6, 7)))
    with pytest.raises(ShapeError):
        DataFile(three_groups) - other


def test_arithmetic_methods_take_a_name(three_groups):
    df = DataFile(three_groups)
    result = df.subtract(df, filename="diff.fits")
    assert (str(result), Path("diff.fits").exists()) == ("diff.fits", False)
    result.save()
    assert DataFile("diff.fits")[1].variance[0, 1] == 4
    with pytest.raises(TypeError):
        df + "x"


def test_comparison_is_identity(three_groups):
    df = DataFile(three_groups)
    assert df != DataFile(three_groups)
    assert df in [df]


def test_two_images_of_one_ident_are_not_saved(three_groups, tmp_path):
    df = DataFile(three_groups, mode="update")
    df[0].ident = 3
    with pytest.raises(IdentError, match=r"two extensions 3.*renumber"):
        df.save()
    df.renumber()
    df.save()
    assert DataFile(three_groups).idents == [1, 2, 3]
