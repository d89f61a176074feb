"""Outputs of any number: which files are theirs, and which are never touched."""

import pytest
from shared_helpers import levels_of, write_levels

from ndmapper import chain, config, run_task
from ndmapper.data import DataFile, FileSet
from ndmapper.errors import OutputExistsError, PartialOutputError, PlanError, StepError


@pytest.fixture(autouse=True)
def _files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    write_levels("a.fits", [1, 2, 3])
    write_levels("a-b.fits", [4, 5, 6])


def _value(name):
    return float(DataFile(name)[0].data[0, 0])


@run_task(each="file", outputs={"part": "{base}-{CHIP}.fits"})
def parts(df, *, count: int = 3):
    """Give each extension as a file that says which chip it is of."""
    made = []
    for number, ndd in enumerate(df[:count]):
        one = DataFile(data=[ndd * 2])
        one.meta["CHIP"] = f"k{number}"
        made.append(one)
    return made


def _names(tmp_path):
    return sorted(path.name for path in tmp_path.glob("a*-k*.fits"))


def test_set_of_another_input_is_left_alone(tmp_path):
    # a-{CHIP}.fits fits the names of the other set as well.
    parts("a-b.fits")
    assert levels_of(parts("a.fits")) == [2, 4, 6]
    assert len(_names(tmp_path)) == 6
    assert levels_of(parts("a-b.fits")) == [8, 10, 12]


@pytest.mark.parametrize("reprocess", ["error", False, True, "auto"])
def test_file_that_no_step_made_is_never_replaced(reprocess):
    write_levels("a-k1.fits", [77])
    with pytest.raises(OutputExistsError, match=r"a-k1\.fits, which no step made|exis"):
        parts("a.fits", reprocess=reprocess)
    assert _value("a-k1.fits") == 77


def test_input_is_never_replaced():
    write_levels("in-k1.fits", [1, 2])
    with pytest.raises(PlanError, match="its input"):
        parts("in-k1.fits", out_names="in-{CHIP}.fits")
    assert _value("in-k1.fits") == 1


def test_two_inputs_of_one_pattern_are_refused():
    @run_task(each="file", outputs={"part": "x-{CHIP}.fits"})
    def alike(df):
        return parts.func(df)

    with pytest.raises(PlanError, match="twice"):
        alike(["a.fits", "a-b.fits"])


def test_damaged_member_is_made_again(tmp_path):
    parts("a.fits")
    with (tmp_path / "a-k1.fits").open("r+b") as stream:
        stream.truncate(100)
    assert levels_of(parts("a.fits")) == [2, 4, 6]


@pytest.mark.parametrize("reprocess", [False, True, "auto"])
def test_half_a_set_is_made_again(tmp_path, reprocess):
    parts("a.fits")
    (tmp_path / "a-k1.fits").unlink()
    assert levels_of(parts("a.fits", reprocess=reprocess)) == [2, 4, 6]


def test_half_a_set_is_an_error_unless_told():
    parts("a.fits")
    DataFile("a-k1.fits").filename.path.unlink()
    with pytest.raises(PartialOutputError, match=r"a-k0\.fits and a-k1\.fits"):
        parts("a.fits", reprocess="error")


def _edit(name):
    df = DataFile(name, mode="update")
    df[0].data[:] = 5
    df.save()


def test_edited_member_is_kept_with_its_set(tmp_path):
    parts("a.fits")
    _edit("a-k2.fits")
    assert levels_of(parts("a.fits", count=2)) == [2, 4, 5]
    assert levels_of(parts("a.fits", count=2, reprocess=True)) == [2, 4]
    assert _names(tmp_path) == ["a-k0.fits", "a-k1.fits"]


def test_removed_member_that_is_made_no_more_is_forgotten(tmp_path):
    from ndmapper.io.record import cleaned_path, read_records, side_text

    made = parts("a.fits")
    path = made["k2"].filename.path
    left = cleaned_path(path)
    left.parent.mkdir(parents=True)
    left.write_text(side_text(read_records(path)))
    path.unlink()
    assert levels_of(parts("a.fits", count=2)) == [2, 4]
    stamp = (tmp_path / "a-k0.fits").stat().st_mtime_ns
    assert levels_of(parts("a.fits", count=2)) == [2, 4]
    assert (tmp_path / "a-k0.fits").stat().st_mtime_ns == stamp


def test_side_record_goes_with_the_member(tmp_path):
    config["record"] = "both"
    parts("a.fits")
    parts("a.fits", count=2)
    assert not list(tmp_path.rglob("a-k2*"))


@run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
def dark_only(df):
    """Refuse what is bright."""
    if float(df[0].data[0, 0]) > 3:
        msg = "too bright"
        raise ValueError(msg)
    return parts.func(df)


def test_input_that_fails_is_none_of_the_results():
    made = dark_only(["a.fits", "a-b.fits"], on_error="continue")
    assert [str(files) for files in made] == ["a_y-{CHIP}.fits"]
    with pytest.raises(StepError, match="too bright"):
        dark_only("a-b.fits", on_error="continue")


KEYS = ["7", "07", "a b", "c[d]", "e#2", "{f}", "x]y[", "-1"]


def test_keys_of_any_text(tmp_path):
    @run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
    def odd(df):
        return {key: DataFile(data=[df[0]]) for key in KEYS}

    made = odd("a.fits")
    assert set(made) == set(KEYS)
    assert set(odd("a.fits")) == set(KEYS)
    assert (tmp_path / "a_y-{f}.fits").exists()


def test_keys_of_two_fields():
    keys = [("a", 1), ("a", 2), ("b", 1)]

    @run_task(each="file", outputs={"part": "{base}_y-{chip}-{n:02d}.fits"})
    def pairs(df):
        return {key: DataFile(data=[df[0]]) for key in keys}

    made = pairs("a.fits")
    assert list(made) == list(pairs("a.fits")) == keys
    assert made["a", 2].record[-1]["output"] == "part[a, 2]"


@pytest.mark.parametrize("key", ["a/b", "..", ""])
def test_key_that_cannot_be_in_a_name_saves_nothing(tmp_path, key):
    @run_task(each="file", outputs={"part": "{base}_y-{CHIP}.fits"})
    def odd(df):
        return {"fine": DataFile(data=[df[0]]), key: DataFile(data=[df[1]])}

    with pytest.raises(StepError, match=r"odd: a product of a\.fits cannot be named"):
        odd("a.fits")
    assert not list(tmp_path.glob("a_y*"))


def test_key_that_is_no_number_is_told():
    @run_task(each="file", outputs={"part": "{base}_y-{n:02d}.fits"})
    def odd(df):
        return {"white": DataFile(data=[df[0]])}

    with pytest.raises(StepError, match="'white' is no number"):
        odd("a.fits")


def test_chain_ends_with_it():
    @run_task(prefix="t")
    def twice(ndd):
        return ndd * 2

    with pytest.raises(PlanError, match="last step of a chain"):
        chain(parts, twice)("a.fits")
    assert levels_of(chain(twice, parts)("a.fits")) == [4, 8, 12]


def test_set_is_read_back_by_its_pattern():
    made = parts("a.fits")
    assert list(FileSet(str(made))) == ["b", *made]  # a-b.fits fits, too


@run_task(
    each="file", outputs={"sum": "{base}_sum.fits", "part?": "{base}-{CHIP}.fits"}
)
def perhaps(df, *, count: int = 0):
    """Give a file, and as many parts as are wanted."""
    made = parts.func(df, count=count)
    return {"sum": df, "part": made} if made else {"sum": df}


def test_output_without_a_product_is_marked():
    @run_task(each="file", outputs={"sum": "{base}_s.fits", "part": "{base}-{n}.fits"})
    def lacking(df):
        return {"sum": df}

    with pytest.raises(StepError, match=r"gave no \['part'\]; mark .* 'part\?'"):
        lacking("a.fits")


def test_marked_output_may_have_no_product(caplog, tmp_path):
    caplog.set_level("INFO")
    for words in ("made", "re-used"):
        none = perhaps("a.fits")["part"]
        assert (len(none), list(none), none.is_made) == (0, [], True)
        assert f"perhaps: a.fits -> a_sum.fits: {words}" in caplog.text
    (unknown,) = perhaps.plan("a.fits", count=2).items
    assert unknown.action == "replace"
    assert len(perhaps("a.fits", count=2)["part"]) == 2
    assert len(perhaps("a.fits")["part"]) == 0
    assert not _names(tmp_path)


def test_plan_knows_that_there_was_no_product():
    perhaps("a.fits")
    assert len(perhaps("a.fits", dry_run=True)["part"]) == 0
    assert not perhaps("a.fits", dry_run=True, count=1)["part"].is_made


def test_mark_is_refused_where_the_name_is_known():
    @run_task(each="file", outputs={"sum": "{base}_sum.fits", "part?": "{base}_p.fits"})
    def marked(df):
        return perhaps.func(df)

    with pytest.raises(PlanError, match=r"'part\?' is marked .* a_p\.fits is the name"):
        marked("a.fits")


@run_task(each="file", outputs={"part?": "{base}-{CHIP:02d}.fits"})
def some(df, *, keys: tuple = ()):
    """Give files of keys."""
    made = []
    for key in keys:
        one = DataFile(data=df)
        one.meta["CHIP"] = key
        made.append(one)
    return made


@run_task(each="file", outputs={"part": "{base}-{CHIP}.fits"})
def mapped(df):
    """Give files of two keys that are one."""
    return {1: DataFile(data=df), "1": DataFile(data=df)}


@pytest.mark.parametrize("save", [True, False])
def test_none_at_all_may_be_made_where_it_is_marked(tmp_path, save):
    for keys in ((), (1, 2), ()):
        made = some("a.fits", keys=keys, save=save)
        assert list(made) == [*keys]
        assert len([*tmp_path.glob("a-0*.fits")]) == len(keys) * save


@pytest.mark.parametrize("call", [lambda: some("a.fits", keys=(1, "1")),
                                  lambda: mapped("a.fits")])  # fmt: skip
def test_number_and_the_same_text_are_one_key(tmp_path, call):
    with pytest.raises(StepError, match=r"two .* 1|one key"):
        call()
    assert not [*tmp_path.glob("a-0*.fits"), *tmp_path.glob("a-1.fits")]


def test_text_in_the_place_of_a_number(tmp_path):
    made = some("a.fits", keys=("2", "3"))
    assert made.names == ["a-02.fits", "a-03.fits"]
    assert list(made) == [2, 3]


def test_copy_of_a_member_is_left_alone(tmp_path):
    parts("a.fits")
    (tmp_path / "a-mine.fits").write_bytes((tmp_path / "a-k1.fits").read_bytes())
    assert list(parts("a.fits")) == ["k0", "k1", "k2"]
    assert list(parts("a.fits", count=1)) == ["k0"]
    assert _names(tmp_path) == ["a-k0.fits"]
    assert _value("a-mine.fits") == 4
