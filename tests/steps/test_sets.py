"""Sets in steps: split by key, published and re-used member by member."""

import sys

import pytest
from shared_helpers import levels_of, write_levels

from ndmapper import chain, config, run_task
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.errors import (
    MissingCalibrationError,
    NotMadeError,
    PlanError,
    StepError,
)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Three members of a set and their biases, and one file with three extensions."""
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    for n in (1, 2, 3):
        write_levels(f"m-{n:02d}.fits", [n], CHIP=f"c{n}")
        write_levels(f"b-{n:02d}.fits", [10 * n])
    write_levels("whole.fits", [1, 2, 3])
    return FileSet("m-{ifu:02d}.fits")


@run_task(prefix="s", cals=["bias"])
def subtract(ndd, bias):
    """Subtract a bias."""
    return ndd - bias


@run_task(prefix="t")
def twice(ndd):
    """Double."""
    return ndd * 2


@run_task(suffix="_sum", each="file")
def total(files):
    """Add the members up."""
    first, *others = files.members if isinstance(files, FileSet) else [files]
    for df in others:
        first += df
    return first


@run_task(each="file", outputs={"part": "{base}_x-{CHIP}.fits"})
def parts(df, *, count: int = 3):
    """Give each extension as a file that says which chip it is of."""
    made = []
    for number, ndd in enumerate(df[:count]):
        one = DataFile(data=[ndd * 2])
        one.meta["CHIP"] = f"k{number}"
        made.append(one)
    return made


@run_task(each="file", by="ident", suffix="_e")
def extension(df):
    """Take one extension."""
    assert len(df) == 1
    return df


@run_task(each="file", by="ifu", suffix="_c")
def careful(df, *, limit: float = 100.0):
    """Refuse what is too bright."""
    if float(df[0].data[0, 0]) > limit:
        msg = "too bright"
        raise ValueError(msg)
    return df


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("save", [True, False])
def test_a_set_is_one_file_of_which_each_member_has_its_calibration(
    files, workers, save
):
    made = subtract(files, bias="b-{ifu:02d}.fits", workers=workers, save=save)
    assert isinstance(made, FileSet)
    assert str(made) == "sm-{ifu:02d}.fits"
    assert list(made) == [1, 2, 3]
    assert levels_of(made) == [-9, -18, -27]


def test_members_are_reused_one_by_one(files, made_by):
    subtract(files, bias="b-{ifu:02d}.fits")
    DataFile("sm-02.fits").filename.path.unlink()
    assert made_by(lambda: subtract(files, bias="b-{ifu:02d}.fits")) == ["sm-02.fits"]


@pytest.fixture
def made_by():
    """Name the files that a call makes, by the time of their change."""

    def find(call):
        import os

        before = {e.name: e.stat().st_mtime_ns for e in os.scandir() if e.is_file()}
        call()
        return sorted(
            e.name
            for e in os.scandir()
            if e.name.endswith(".fits") and before.get(e.name) != e.stat().st_mtime_ns
        )

    return find


def test_a_list_may_hold_sets_and_files(files):
    made = twice([files, "whole.fits"])
    assert isinstance(made, DataFileList)
    assert isinstance(made[0], FileSet)
    assert levels_of(made[0]) == [2, 4, 6]
    assert float(made[1][2].data[0, 0]) == 6


def test_a_step_on_files_sees_the_whole_set(files):
    made = total(files)
    assert str(made) == "m_sum.fits"
    assert float(made[0].data[0, 0]) == 6
    inputs = made.record[-1]["inputs"]
    assert [ref["set"] for ref in inputs] == ["m-{ifu:02d}.fits"] * 3


def test_calibrations_of_a_set_go_along(files):
    files.cals["bias"] = FileSet("b-{ifu:02d}.fits")
    again = twice(files)
    assert again.cals["bias"] is files.cals["bias"]
    assert levels_of(subtract(again)) == [-8, -16, -24]


def test_member_that_a_calibration_lacks_is_named(files):
    bias = FileSet({1: "b-01.fits", 3: "b-03.fits"}, by="ifu")
    with pytest.raises(MissingCalibrationError, match="ifu 2"):
        subtract(files, bias=bias)
    made = subtract(files, bias=bias, on_error="continue")
    assert list(made) == [1, 3]
    assert "ifu 2" in made.missing[2]


def test_what_fails_leaves_the_others_standing(files, made_by):
    with pytest.raises(StepError, match=r"1 of 3.*ifu 3.*too bright"):
        careful(files, limit=2.5)
    made = careful(files, limit=2.5, on_error="continue")
    assert list(made) == [1, 2]
    assert "too bright" in made.missing[3]
    write_levels("n-03.fits", [0])
    mended = FileSet({1: files[1], 2: files[2], 3: DataFile("n-03.fits")}, by="ifu",
                     filename="m-{ifu:02d}.fits")  # fmt: skip
    assert made_by(lambda: careful(mended, limit=2.5)) == ["m-03_c.fits"]


def test_extensions_are_units_of_their_own():
    made = extension("whole.fits", workers=2)
    assert str(made) == "whole_e-{ident:02d}.fits"
    assert levels_of(made) == [1, 2, 3]
    last = made[3].record[-1]
    assert last["unit"] == {"ident": 3}
    assert [ref["name"] for ref in last["inputs"]] == ["whole.fits"]
    assert "memory" not in last["inputs"][0]


def test_nothing_that_says_its_key_is_an_error():
    with pytest.raises(PlanError, match=r"ifu.*whole\.fits does not say"):
        careful("whole.fits")


def test_outputs_of_any_number_are_named_by_what_they_say(made_by):
    made = parts("whole.fits")
    assert str(made) == "whole_x-{CHIP}.fits"
    assert list(made) == ["k0", "k1", "k2"]
    assert made["k0"].record[-1]["members"] == [f"whole_x-k{n}.fits" for n in range(3)]
    assert made_by(lambda: parts("whole.fits")) == []
    made["k1"].filename.path.unlink()
    names = [f"whole_x-k{n}.fits" for n in range(3)]
    assert made_by(lambda: parts("whole.fits")) == names


def test_member_that_is_not_made_any_more_is_removed(tmp_path):
    parts("whole.fits")
    made = parts("whole.fits", count=2)
    assert list(made) == ["k0", "k1"]
    assert not (tmp_path / "whole_x-k2.fits").exists()


def test_two_products_of_one_key_are_refused(tmp_path):
    @run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
    def same(df):
        made = [DataFile(data=[df[0]]), DataFile(data=[df[1]])]
        for one in made:
            one.meta["CHIP"] = "a"
        return made

    with pytest.raises(StepError, match=r"two products.*CHIP a"):
        same("whole.fits")
    assert not list(tmp_path.glob("whole_y*"))


def test_product_without_key_is_refused():
    @run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
    def silent(df):
        return [df]

    with pytest.raises(StepError, match=r"CHIP.*none"):
        silent("whole.fits")


def test_none_where_one_is_wanted_is_an_error():
    @run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
    def nothing(df):
        return []

    with pytest.raises(StepError, match="part"):
        nothing("whole.fits")


def test_plan_says_what_it_cannot_know():
    made = parts("whole.fits", dry_run=True)
    assert "not made" in repr(made)
    with pytest.raises(NotMadeError, match=r"whole_x-\{CHIP\}"):
        list(made)
    parts("whole.fits")
    assert list(parts("whole.fits", dry_run=True)) == ["k0", "k1", "k2"]


@pytest.mark.parametrize("workers", [1, 2])
def test_chain_of_a_set(files, workers):
    both = chain(subtract, twice)
    made = both(files, bias="b-{ifu:02d}.fits", workers=workers)
    assert str(made) == "tsm-{ifu:02d}.fits"
    assert levels_of(made) == [-18, -36, -54]
    assert [row["step"] for row in made[2].record] == ["subtract", "twice"]


def test_program_is_called_for_each_key(files):
    @run_task(
        "command:cp", inputs="a", outputs="b", prefix="c", argv=["{a}", "{b}"], by="ifu"
    )
    def copy():
        """Copy."""

    made = copy(twice(files))
    assert str(made) == "ctm-{ifu:02d}.fits"
    assert levels_of(made) == [2, 4, 6]


def test_names_with_braces_of_a_file_itself_are_names():
    write_levels("odd{a}.fits", [1])
    assert str(twice("odd{a}.fits")) == "todd{a}.fits"


def test_call_says_whether_it_is_split(files):
    whole = total(files, by="ifu", out_names="each.fits")
    assert list(whole) == [1, 2, 3]
    assert str(whole) == "each-{ifu:02d}.fits"
    assert isinstance(extension("whole.fits", by="ident"), FileSet)
    with pytest.raises(StepError, match="AssertionError"):
        extension("whole.fits", by=None)


@pytest.mark.parametrize("workers", [1, 2])
def test_function_that_exits_fails_like_any_other(files, workers):
    @run_task(each="file", by="ifu", suffix="_q")
    def leave(df):
        if float(df[0].data[0, 0]) == 2:
            sys.exit(3)
        return df

    with pytest.raises(StepError, match=r"failed for 1 of 3: .*SystemExit: 3"):
        leave(files, workers=workers)
    assert len(FileSet("m-{ifu:02d}_q.fits")) == 2
