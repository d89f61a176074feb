"""Keys of sets in steps: what belongs to which unit, and what is told, not dropped."""

import pytest
from shared_helpers import levels_of, write_levels

from ndmapper import chain, config, run_task
from ndmapper.data import DataFile, FileSet
from ndmapper.errors import (
    MissingCalibrationError,
    ParameterError,
    PlanError,
    StepError,
)


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Two sets of three members, their biases, and one file with three extensions."""
    monkeypatch.chdir(tmp_path)
    config["reprocess"] = "auto"
    for n in (1, 2, 3):
        write_levels(f"m-{n:02d}.fits", [n], CHIP=f"c{n}")
        write_levels(f"n-{n:02d}.fits", [n + 100], CHIP=f"c{n}")
        write_levels(f"b-{n:02d}.fits", [10 * n], CHIP=f"c{n}")
    write_levels("whole.fits", [1, 2, 3])
    return FileSet("m-{ifu:02d}.fits")


def _value(df):
    return float(df[0].data[0, 0])


@run_task(prefix="s", cals=["bias"])
def subtract(ndd, bias):
    """Subtract a bias."""
    return ndd - bias


@run_task(prefix="t")
def twice(ndd):
    """Double."""
    return ndd * 2


@run_task(each="file", by="ident", suffix="_e")
def extension(df):
    """Take one extension."""
    return df


@run_task(each="list", by="ifu", outputs="sum")
def add_ifus(files):
    """Add up what is of one IFU."""
    return sum(files[1:], files[0])


@run_task(each="list", by="CHIP", outputs="sum", cals=["bias"])
def add_chips(files, bias):
    """Subtract a bias from each file, and add up what is of one chip."""
    assert not isinstance(bias, list) or len(bias) == len(files)
    if isinstance(bias, list):
        files = [df - cal for df, cal in zip(files, bias, strict=True)]
    return sum(files[1:], files[0])


# ---- inputs


def test_merged_file_is_split_as_a_set_and_named_after_the_file():
    made = twice(FileSet("whole.fits", by="ident"))
    assert str(made) == "twhole-{ident:02d}.fits"
    assert levels_of(made) == [2, 4, 6]
    assert made[2].record[-1]["inputs"][0]["name"] == "whole.fits"


def test_names_write_the_key_as_the_input_does():
    for n in (1, 2):
        write_levels(f"arc-{n}.fits", [n])
    arcs = FileSet("arc-{n:d}.fits")
    assert str(twice(arcs)) == "tarc-{n:d}.fits"

    @run_task(by="n", outputs={"out": "{base}_x.fits"})
    def copy(df):
        return df

    assert [str(df) for df in copy(arcs).members] == ["arc_x-1.fits", "arc_x-2.fits"]


def test_keys_stay_what_they_are_whatever_the_name_says():
    made = extension("whole.fits", out_names="x-{ident}.fits")
    assert list(made) == [1, 2, 3]
    assert [str(df) for df in made.members] == [f"x-{n}.fits" for n in (1, 2, 3)]


def test_name_with_the_key_is_taken_as_it_is(files):
    assert str(twice(files, out_names="q_{ifu}.fits")) == "q_{ifu}.fits"
    assert str(twice(files, out_names="r.fits")) == "r-{ifu:02d}.fits"


def test_key_of_two_fields_goes_along():
    for chip in "ab":
        for number in (1, 2):
            write_levels(f"p-{chip}-{number:02d}.fits", [number])
    made = twice("p-{chip}-{n:02d}.fits")
    assert str(made) == "tp-{chip}-{n:02d}.fits"
    assert list(made) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert made["b", 1].record[-1]["unit"] == {"chip": "b", "n": 1}
    turned = twice(made, out_names="q-{n}-{chip}.fits")
    assert list(turned) == [(1, "a"), (1, "b"), (2, "a"), (2, "b")]
    assert str(turned[2, "a"]) == "q-2-a.fits"


def test_set_that_lacks_what_another_has_is_named(files):
    other = FileSet(
        {1: "n-01.fits", 2: "n-02.fits"}, filename="n-{ifu:02d}.fits", keys=[1, 2, 3]
    )
    for inputs in ([files, other], [other, files]):
        with pytest.raises(PlanError, match=r"n-\{ifu:02d\}\.fits has no .*ifu 3 \(th"):
            add_ifus(inputs, sum="s-{ifu:02d}.fits")
    made = add_ifus([other, files], sum="s-{ifu:02d}.fits", on_error="continue")
    assert levels_of(made) == [102, 104]
    assert "n-{ifu:02d}.fits" in made.missing[3]


def test_file_that_lacks_an_extension_of_another_is_named():
    write_levels("two.fits", [1, 2])

    @run_task(each="list", by="ident", outputs="sum")
    def add(files):
        return sum(files[1:], files[0])

    with pytest.raises(PlanError, match=r"two\.fits .*nothing of ident 3"):
        add(["whole.fits", "two.fits"], sum="s.fits")


def test_plain_files_are_grouped_by_a_keyword_and_their_calibrations_with_them():
    names = ["m-01.fits", "m-02.fits", "n-01.fits", "n-02.fits"]
    frames = [DataFile(name) for name in names]
    for df in frames:
        df.cals["bias"] = DataFile(f"b-{str(df)[2:4]}.fits")
    made = add_chips(frames, sum="s-{CHIP}.fits")
    assert list(made) == ["c1", "c2"]
    assert levels_of(made) == [1 - 10 + 101 - 10, 2 - 20 + 102 - 20]


@pytest.mark.parametrize("goes_on", [False, True])
def test_key_that_cannot_be_in_a_name_is_told(goes_on):
    write_levels("f1.fits", [1], FILTER="Cousins R")
    write_levels("f2.fits", [2], FILTER="a/b")
    field = FileSet(["f1.fits", "f2.fits"], by="FILTER", filename="f-{FILTER}.fits")
    if not goes_on:
        with pytest.raises(PlanError, match=r"twice: FILTER a/b of .*name"):
            twice(field)
        return
    made = twice(field, on_error="continue")
    assert [str(df) for df in made.members] == ["tf-Cousins R.fits"]
    assert "a/b" in made.missing["a/b"]


def test_set_without_a_name_is_given_one():
    with pytest.raises(PlanError, match="out_names"):
        twice(FileSet({1: "m-01.fits", 2: "n-02.fits"}, by="ifu"))
    made = twice(FileSet({1: "m-01.fits", 2: "n-02.fits"}), out_names="q.fits")
    assert [str(df) for df in made.members] == ["q-01.fits", "q-02.fits"]


def test_folder_with_braces_is_refused_for_sets(files, tmp_path):
    (tmp_path / "o{a}").mkdir()
    with pytest.raises(PlanError, match=r"o\{a\}.*outdir"):
        twice(files, outdir="o{a}")
    assert str(twice("whole.fits", outdir="o{a}")) == "o{a}/twhole.fits"


def test_split_in_a_chain():
    made = chain(extension, twice)("whole.fits")
    assert str(made) == "twhole_e-{ident:02d}.fits"
    assert levels_of(made) == [2, 4, 6]


def test_parameter_that_the_key_is_given_for_is_not_given_twice():
    @run_task(each="file", by={"ident": "number"}, suffix="_n")
    def times(df, *, number: int = 0):
        return df * number

    assert levels_of(times("whole.fits")) == [1, 4, 9]
    with pytest.raises(ParameterError, match=r"number=7.*keys=\[7\]"):
        times("whole.fits", number=7)


def test_tool_that_takes_one_file_is_called_for_each_member(files):
    @run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{a}", "{b}"])
    def copy():
        """Copy."""

    made = copy(twice(files))
    assert str(made) == "ctm-{ifu:02d}.fits"
    assert levels_of(made) == [2, 4, 6]


def test_set_given_as_a_parameter_is_in_the_record(files):
    @run_task(each="file", prefix="p")
    def add(df, *, more=None):
        for other in more.members:
            df = df + other
        return df

    made = add("m-01.fits", more=FileSet("b-{ifu:02d}.fits"))
    assert _value(made) == 61
    given = made.record[-1]["references"]["more"]
    assert {ref["set"] for ref in given} == {"b-{ifu:02d}.fits"}
    DataFile("n-02.fits").save("b-02.fits", overwrite=True)
    again = add("m-01.fits", more=FileSet("b-{ifu:02d}.fits"))
    assert _value(again) == 1 + 10 + 102 + 30


# ---- calibrations


def test_member_alone_takes_its_member_of_the_calibration(files):
    files.cals["bias"] = FileSet("b-{ifu:02d}.fits")
    made = twice(files)
    assert str(made[2].cals["bias"]) == "b-02.fits"
    assert _value(subtract(made[2])) == -16


def test_members_in_a_list_take_theirs_by_what_they_say(files):
    made = subtract(twice(files).members, bias="b-{ifu:02d}.fits")
    assert [_value(df) for df in made] == [-8, -16, -24]


def test_file_that_does_not_say_its_key_needs_the_member_itself():
    with pytest.raises(MissingCalibrationError, match=r"whole\.fits does not say.*ifu"):
        subtract("whole.fits", bias="b-{ifu:02d}.fits")


def test_calibrations_of_members_are_those_of_the_set(files):
    for key in files:
        files[key].cals["bias"] = DataFile(f"b-{key:02d}.fits")
    assert levels_of(subtract(files)) == [-9, -18, -27]
    del files[2].cals["bias"]
    with pytest.raises(MissingCalibrationError, match=r"ifu 2 \(m-02\.fits has none"):
        subtract(files)


def test_calibration_of_another_key_is_refused():
    @run_task(each="file", by="CHIP", suffix="_b", cals=["bias"])
    def by_chip(df, bias):
        return df - bias

    chips = FileSet(["m-01.fits", "m-02.fits"], by="CHIP", filename="m-{CHIP}.fits")
    with pytest.raises(MissingCalibrationError, match=r"b-01\.fits is of CHIP c1, not"):
        by_chip(chips, bias="b-01.fits")
    assert _value(by_chip("m-01.fits", bias="b-01.fits")["c1"]) == -9


def test_aligned_list_of_calibrations_lacks_nothing_without_a_word(files):
    @run_task(each="list", by="ifu", cals=["bias"], outputs="sum")
    def add(files, bias):
        return files[0] - bias[0] + files[1] - bias[1]

    biases = [FileSet("b-{ifu:02d}.fits"), FileSet({1: "b-01.fits"}, by="ifu")]
    inputs = [files, FileSet("n-{ifu:02d}.fits")]
    with pytest.raises(MissingCalibrationError, match="ifu 2"):
        add(inputs, bias=biases, sum="s-{ifu:02d}.fits")


def test_error_of_many_units_names_some_of_them():
    @run_task(each="file", by="ifu", suffix="_x")
    def fails(df):
        msg = "no"
        raise ValueError(msg)

    nine = dict.fromkeys(range(1, 10), "whole.fits")
    many = FileSet(nine, filename="w-{ifu:02d}.fits")
    with pytest.raises(StepError, match=r"failed for 9 of 9: ifu 1 of .*and 5 more"):
        fails(many)
    with pytest.raises(StepError, match="Nothing is kept in memory"):
        fails(many, save=False)


def test_one_image_of_another_input_is_for_all_images():
    @run_task(
        "command:cp", inputs=("a", "more"), outputs="b", prefix="c",
        argv=["{a}", "{b}"], by="ident",
    )  # fmt: skip
    def copy():
        """Copy."""

    made = copy("whole.fits", more="m-01.fits")
    assert levels_of(made) == [1, 2, 3]
    assert [ref["name"] for ref in made[3].record[-1]["inputs"]] == [
        "whole.fits",
        "m-01.fits",
    ]


def test_one_image_among_files_of_several_is_told():
    @run_task(each="list", by="ident", outputs="sum")
    def add(files):
        return sum(files[1:], files[0])

    with pytest.raises(PlanError, match=r"m-01\.fits .*nothing of ident 2"):
        add(["whole.fits", "m-01.fits"], sum="s.fits")


def test_texts_are_members_like_others(tmp_path):
    @run_task(
        "command:cp", inputs="a", outputs={"b": "c{base}.txt"}, argv=["{a}", "{b}"]
    )
    def copy():
        """Copy."""

    for n in (1, 2):
        (tmp_path / f"t-{n:02d}.txt").write_text(f"{n}\n")
    made = copy("t-{ifu:02d}.txt")
    assert str(made) == "ct-{ifu:02d}.txt"
    assert [df.read_bytes() for df in made.members] == [b"1\n", b"2\n"]


def test_key_that_changes_is_told(files):
    extension("whole.fits", out_names="x-{ident}.fits")
    DataFile("x-1.fits").filename.path.rename("x-2.fits")
    plan = extension.plan("whole.fits", out_names="x-{ident}.fits")
    reasons = [item.reason for item in plan.items]
    assert reasons[1] == "it was made of ident 1, now of ident 2"


def test_key_of_a_function_may_be_any_word():
    pair = FileSet(["m-01.fits", "n-02.fits"], by=lambda df: str(df[0].data[0, 0]))
    made = twice(pair, out_names="q.fits")
    assert [str(df) for df in made.members] == ["q-1.0.fits", "q-102.0.fits"]
    assert made["1.0"].record[-1]["unit"] == {"key": "1.0"}
    assert made.record == twice(pair, out_names="q.fits").record
    both = FileSet(["m-01.fits", "n-02.fits"], by=lambda df: (df.meta["CHIP"], 1))
    with pytest.raises(PlanError, match=r"key c1, 1 .*name"):
        twice(both, out_names="q.fits")


def test_key_of_another_name_than_that_of_the_set_is_told(files):
    with pytest.raises(PlanError, match=r"a set by ifu: use by='ifu', or a list"):
        add_chips([files], bias=None)


def test_plan_follows_a_set_through_many_steps(files):
    planned = files
    for _ in range(3):
        planned = twice(planned, dry_run=True)
    assert planned.names == ["tttm-01.fits", "tttm-02.fits", "tttm-03.fits"]
    assert len(extension(planned, by="ifu", dry_run=True)) == 3


def test_set_of_calibrations_by_another_key_is_told(files):
    with pytest.raises(StepError, match=r"not FileSet .*where its key has the name"):
        subtract(files, bias=FileSet({"a": "b-01.fits"}))


def test_some_members_of_one_file_are_made_of_that_file():
    merged = FileSet("whole.fits", by="ident")
    some = FileSet(FileSet(merged, keys=[2, 3]), keys=[3])
    assert some.whole is None
    made = twice(some)
    assert levels_of(made) == [6]
    (used,) = made[3].record[-1]["inputs"]
    assert used["name"] == "whole.fits"
    assert levels_of(subtract(merged, bias=merged, out_names="x.fits")) == [0, 0, 0]
    some[3][0].data[:] = 5
    assert some.source is None
    assert levels_of(twice(some, out_names="y.fits")) == [10]


@run_task(each="list", by="IFU", outputs="sum")
def add_all(files):
    """Add up what is of one number."""
    return sum(files[1:], files[0])


def test_number_and_the_same_text_are_one_unit():
    write_levels("p1.fits", [1], IFU=2)
    write_levels("p2.fits", [10], IFU="2")
    made = add_all(["p1.fits", "p2.fits"], sum="s-{IFU:02d}.fits")
    assert levels_of(made) == [11]
    assert made.names == ["s-02.fits"]


def test_text_is_named_as_the_number_it_is():
    write_levels("p2.fits", [10], IFU="2")
    assert add_all(["p2.fits"], sum="s-{IFU:02d}.fits").names == ["s-02.fits"]
    assert levels_of(FileSet("s-{IFU:02d}.fits")) == [10]


def test_part_of_a_calibration_is_found_by_number_or_text():
    write_levels("p.fits", [1], CHIP=2)
    write_levels("w.fits", [10, 20])
    whole = DataFile("w.fits", mode="update")
    for ndd, key in zip(whole, ("1", "2"), strict=True):
        ndd.meta["CHIP"] = key
    whole.save()

    @run_task(each="file", by="CHIP", cals=["bias"], reprocess=True)
    def subtract_chip(df, bias):
        return df - bias

    for bias in (FileSet("w.fits", by="CHIP"), "w.fits"):
        assert levels_of(subtract_chip("p.fits", bias=bias)) == [-19]


@pytest.mark.parametrize("others", [["m-02.fits"], [{2: "m-02.fits"}]])
def test_member_that_is_given_twice_is_refused(files, others):
    items = [FileSet(o, by="ifu") if isinstance(o, dict) else o for o in others]
    with pytest.raises(PlanError, match=r"m-02\.fits twice"):
        add_ifus([files, *items], sum="s-{ifu:02d}.fits")


@run_task(each="file", suffix="_w", cals=["bias"])
def weigh(files, bias=None):
    """Add members up, each times its key, less the bias of that key."""
    own = files if bias is None else files - bias
    return sum(own[key] * key for key in own)


@pytest.mark.parametrize(
    ("before", "after"), [((1, 2), (2, 1)), ((1, 2), (10, 20)), ((1, 2), (1, 3))]
)
def test_keys_that_only_the_set_knows_count(before, after, reprocess_auto):
    def make(keys):
        names = dict(zip(keys, ("m-01.fits", "m-02.fits"), strict=True))
        return _value(weigh(FileSet(names, by="ifu"), out_names="w.fits"))

    assert make(before) == 1 * before[0] + 2 * before[1]
    assert make(after) == 1 * after[0] + 2 * after[1]
    made_at = DataFile("w.fits").record[-1]["run"]["started"]
    make(after)
    assert DataFile("w.fits").record[-1]["run"]["started"] == made_at


def test_members_of_a_calibration_that_are_exchanged_count(files, reprocess_auto):
    two = FileSet(files, keys=[1, 2])
    for first, second in (("01", "02"), ("02", "01")):
        # The order of the files stays.
        names = {first: 1, second: 2}
        biases = {names[n]: f"b-{n}.fits" for n in ("01", "02")}
        made = weigh(two, bias=FileSet(biases, by="ifu"), out_names="w.fits")
        assert _value(made) == sum(
            key * (key - 10 * int(name)) for name, key in names.items()
        )


def test_keys_that_names_or_headers_say_are_not_written_twice(files):
    for given in (files, FileSet(["m-01.fits", "m-02.fits"], by="CHIP")):
        assert "keys" not in total(given, out_names="w.fits", reprocess=True).record[-1]


@run_task(each="file")
def total(files):
    """Add members up."""
    return sum(files.members)


@pytest.mark.parametrize("keys", [(), (8, 9)])
def test_set_without_files_is_refused(files, keys):
    nothing = FileSet({key: f"m-{key:02d}.fits" for key in keys}, by="ifu")
    with pytest.raises(PlanError, match="which has no files"):
        total(nothing, out_names="w.fits")
    with pytest.raises(PlanError, match="which has no files"):
        add_ifus([files, nothing], sum="s.fits")
    with pytest.raises(MissingCalibrationError, match=r"bias is .*which has no files"):
        weigh(files, bias=nothing, out_names="w.fits")
    files.cals["bias"] = nothing
    with pytest.raises(MissingCalibrationError, match=r"bias is .*which has no files"):
        weigh(files, out_names="w.fits")


@pytest.mark.parametrize("role", ["input", "calibration"])
def test_member_whose_header_says_another_key_is_refused(role):
    for n in (7, 8):
        cards = {"INSTRUME": "MUSE", "EXTNAME": f"CHAN{n:02d}"}
        write_levels(f"p-{n:02d}.fits", [n], **cards)
        said = cards if n == 7 else cards | {"EXTNAME": "CHAN09"}
        write_levels(f"q-{n:02d}.fits", [n], **said)

    @run_task(each="file", by="ifu", cals=["bias"], suffix="_x")
    def subtract_ifu(df, bias):
        return df - bias

    sets = [FileSet("p-{ifu:02d}.fits"), FileSet("q-{ifu:02d}.fits")]
    first, second = sets if role == "calibration" else sets[::-1]
    with pytest.raises(StepError, match=r"q-08\.fits was .* ifu 8, but .* says 9"):
        subtract_ifu(first, bias=second)
    made = subtract_ifu(first, bias=second, on_error="continue")
    assert levels_of(made) == [0]
    with pytest.raises(StepError, match=r"q-08\.fits was .* ifu 8, but .* says 9"):
        weigh(first, bias=second, out_names="w.fits")


def test_set_without_a_name_is_told_by_its_files(caplog):
    caplog.set_level("INFO")
    weigh(FileSet({1: "m-01.fits", 3: "m-03.fits"}, by="ifu"), out_names="w.fits")
    assert "weigh: m-01.fits, m-03.fits -> w.fits: made" in caplog.text
    bias = FileSet({1: "b-01.fits"}, by="ifu")
    with pytest.raises(MissingCalibrationError, match=r"len 1: 1\) has no .*2"):
        subtract("m-{ifu:02d}.fits", bias=bias)


@run_task(each="file", suffix="_z", cals=["bias"])
def subtract_file(df, bias):
    """Subtract a bias from a file."""
    return df - bias


@pytest.mark.parametrize("save", [True, False])
def test_part_goes_through_where_no_calibration_is_applied(files, save):
    made = subtract_file("whole.fits", bias=None, by="ident", save=save)
    assert [[float(ndd.data[0, 0]) for ndd in made[n]] for n in made] == [[1], [2], [3]]
    assert levels_of(subtract_file(files, bias=None, by="ifu", save=save)) == [1, 2, 3]
    with pytest.raises(ParameterError, match=r"one file of m-\{ifu"):
        subtract_file(files, bias=None, save=save)


def test_part_of_a_file_whose_key_has_another_name():
    whole = DataFile("whole.fits", mode="update")
    for n, ndd in enumerate(whole, 1):
        ndd.meta["HIERARCH ESO DET CHIP"] = n
    whole.save()
    bias = FileSet("whole.fits", by="ESO DET CHIP")
    files = FileSet({2: "m-02.fits", 3: "m-03.fits"}, by="ESO_DET_CHIP")
    made = subtract_file(files, bias=bias, by="ESO_DET_CHIP", out_names="z.fits")
    assert levels_of(made) == [0, 0]


def test_by_that_names_no_parameter_is_refused(files):
    with pytest.raises(ParameterError, match="no parameter 'detector'"):
        subtract_file(files, bias=None, by={"ifu": "detector"})
