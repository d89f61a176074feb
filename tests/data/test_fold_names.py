"""Names of many files in a short form."""

import sys

import pytest

from ndmapper.data.fold_names import fold_names, list_names

IFUS = [f"x-{i:02d}.fits" for i in range(1, 25)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (IFUS, ["x-{01..24}.fits"]),
        (IFUS[::-1], ["x-{01..24}.fits"]),
        ([n for n in IFUS if n != "x-07.fits"], ["x-{01..06,08..24}.fits"]),
        (["x1.fits", "x3.fits", "x4.fits"], ["x{1,3,4}.fits"]),
        ([f"x{i}.fits" for i in range(8, 12)], ["x{8..11}.fits"]),
        ([f"raw/x{i}_b.fits" for i in range(3)], ["raw/x{0..2}_b.fits"]),
        # Two are as short as they are.
        (["x1.fits", "x2.fits"], ["x1.fits", "x2.fits"]),
        (["x.fits", "y.fits", "z.fits"], ["x.fits", "y.fits", "z.fits"]),
        ([], []),
        (["x1.fits"] * 4, ["x1.fits"]),
        # Numbers of other width are other names where any is padded.
        (
            ["x1.f", "x02.f", "x03.f", "x04.f", "x10.f"],
            ["x1.f", "x{02..04,10}.f"],
        ),
        # Where the names that fold stand between others.
        (["b.fits", *IFUS, "a.fits"], ["b.fits", "x-{01..24}.fits", "a.fits"]),
        # Two numbers that differ: one after the other.
        (
            [f"p_{k}-{i:02d}.fits" for k in (1, 2, 3) for i in range(1, 25)],
            ["p_{1..3}-{01..24}.fits"],
        ),
        (
            [f"p_{k}-{i:02d}.fits" for k in (1, 2) for i in range(1, 25)],
            ["p_1-{01..24}.fits", "p_2-{01..24}.fits"],
        ),
        (
            ["T09:01:30.010.fits", "T09:01:30.110.fits", "T09:05:30.010.fits"],
            ["T09:01:30.010.fits", "T09:01:30.110.fits", "T09:05:30.010.fits"],
        ),
        # Many gaps: the ends.
        (
            [f"x{i:02d}.fits" for i in range(1, 48, 2)],
            ["x{01,03,05,07,09,11,...,47}.fits"],
        ),
        # What Python takes for digits, and more of them than it reads.
        (["x¹.fits", "x².fits", "x³.fits"], ["x¹.fits", "x².fits", "x³.fits"]),
        (["9" * 9000 + str(i) for i in range(3)], ["9" * 9000 + "{0..2}"]),
    ],
)  # fmt: skip
def test_fold_names(names, expected):
    assert fold_names(names) == expected


@pytest.mark.parametrize(
    ("names", "pattern", "expected"),
    [
        (["b-01.fits", "b-02.fits"], "b-{ifu:02d}.fits", ["b-{01,02}.fits"]),
        (["b-01.fits"], "b-{ifu:02d}.fits", ["b-01.fits"]),
        (["b-B.fits", "b-R.fits"], "b-{filter}.fits", ["b-{B,R}.fits"]),
        # A record names files without their folder.
        (["b-01.fits", "b-02.fits"], "masters/b-{ifu}.fits", ["b-{01,02}.fits"]),
        (["m/b-1.fits", "m/b-2.fits"], "m/b-{ifu}.fits", ["m/b-{1,2}.fits"]),
        (
            [f"x_{n}-{i}.fits" for n in (1, 2, 3) for i in (1, 2, 3)],
            "x_{n}-{ifu}.fits",
            ["x_{1..3}-{1..3}.fits"],
        ),
        (
            ["x_B-1.fits", "x_R-2.fits"],
            "x_{filter}-{ifu}.fits",
            ["x_{B-1,R-2}.fits"],
        ),
        # What does not look as its set says, and what is no pattern.
        (["a-01.fits", "b-02.fits"], "b-{ifu:02d}.fits", ["a-01.fits", "b-02.fits"]),
        (["b-01.fits", "b-02.fits"], "b.fits", ["b-01.fits", "b-02.fits"]),
    ],
)
def test_members_of_a_set_fold_however_few(names, pattern, expected):
    assert fold_names(names, dict.fromkeys(names, pattern)) == expected


def test_members_of_two_sets_stay_apart():
    sets = {f"{b}-{i}.fits": f"{b}-{{ifu}}.fits" for i in (1, 2) for b in "ab"}
    assert fold_names([*sets, "c.fits"], sets) == [
        "a-{1,2}.fits",
        "b-{1,2}.fits",
        "c.fits",
    ]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.fits"], "a.fits"),
        (["a.fits", "b.fits", "c.fits"], "a.fits, b.fits, c.fits"),
        (["a.fits", "b.fits", "c.fits", "d.fits"], "a.fits ... d.fits (4 files)"),
        ([*IFUS, "a.fits"], "x-{01..24}.fits, a.fits"),
        (
            [f"x{i:02d}.fits" for i in range(1, 48, 2)],
            "x{01,03,05,07,09,11,...,47}.fits (24 files)",
        ),
        ([], ""),
    ],
)
def test_list_names(names, expected):
    assert list_names(names) == expected


def calls_of(names):
    """Count the function calls, of Python and of C, that folding names takes."""
    count = 0

    def on_event(frame, event, argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(on_event)
    try:
        fold_names(names)
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize(
    "name",
    ["x-{0:05d}.fits", "p_{1}_{2:02d}-{3}.fits", "{4}a{5}.fits"],
    ids=["one number", "grid", "random"],
)
def test_work_is_linear(name):
    names = [
        name.format(k, k // 100, k % 100, k % 2, k * 7919 % 100003, k * 104729 % 99991)
        for k in range(10_000)
    ]
    # With the square it would be 100 times as many.
    assert calls_of(names) < 20 * calls_of(names[:1000])
