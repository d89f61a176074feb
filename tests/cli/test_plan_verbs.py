"""What would be made, what was, and what may go: why, verify, clean."""

import textwrap
from pathlib import Path

import pytest

from ndmapper.testing import make_mef

SCRIPT = """
    import sys
    from ndmapper import run_task

    FACTOR = 3.0

    @run_task(prefix="a")
    def add(ndd, *, number: float = 1.0):
        return ndd + number

    @run_task(prefix="m")
    def multiply(ndd):
        return ndd * FACTOR

    @run_task(each="list", outputs="total", suffix="_sum")
    def total(files):
        return [files[0][0] + files[1][0]]

    NUMBER = 1.0
    total(multiply(add(["x1.fits", "x2.fits"], number=NUMBER)))
"""
PRODUCTS = ["ax1.fits", "ax2.fits", "max1.fits", "max2.fits", "max1_sum.fits"]


@pytest.fixture
def script(folder):
    for n in (1, 2):
        make_mef(f"x{n}.fits", n_ext=1, primary={"NUMBER": n})
    path = folder / "night.py"
    path.write_text(textwrap.dedent(SCRIPT))
    return path


def edit(script, old, new):
    text = script.read_text()
    assert old in text
    script.write_text(text.replace(old, new))


def test_why_of_a_script_says_what_is_new(command, script, folder):
    result = command("why", script, "--json")
    assert result.code == 3
    steps = [(s["step"], s["action"], s["products"]) for s in result.json["steps"]]
    assert steps == [
        ("add", "run", ["ax1.fits"]),
        ("add", "run", ["ax2.fits"]),
        ("multiply", "run", ["max1.fits"]),
        ("multiply", "run", ["max2.fits"]),
        ("total", "run", ["max1_sum.fits"]),
    ]
    assert sorted(p.name for p in folder.iterdir()) == [
        "night.py",
        "x1.fits",
        "x2.fits",
    ]


def test_why_of_a_script_that_was_run_is_nothing(command, script):
    assert command("run", script).code == 0
    result = command("why", script)
    assert (result.code, result.out) == (0, "0 to do, 5 current\n")


def test_why_names_the_reasons_before_a_run_does_just_that(command, script):
    command("run", script)
    edit(script, "NUMBER = 1.0", "NUMBER = 2.0")
    result = command("why", script)
    assert "add: x1.fits -> ax1.fits: made again: parameter number was 1, now 2" in (
        result.out
    )
    assert "5 to do, 0 current" in result.out
    assert command("run", script, "--json").json["made"] == PRODUCTS


def test_why_says_what_changed_code_makes_again_and_perhaps_makes_again(
    command, script
):
    command("run", script)
    edit(script, "FACTOR = 3.0", "FACTOR = 4.0")
    result = command("why", script)
    assert result.code == 3
    assert result.out.splitlines() == [
        *(
            f"multiply: a{x} -> ma{x}: made again: the code of multiply has changed"
            for x in ("x1.fits", "x2.fits")
        ),
        "total: max1.fits, max2.fits -> max1_sum.fits: perhaps made again: "
        "if any of max1.fits, max2.fits comes out otherwise",
        "2 to do, 2 current, 1 that nobody can tell",
    ]
    found = command("why", script, "--json").json["steps"]
    assert [one["action"] for one in found] == ["reuse"] * 2 + ["replace"] * 2 + [
        "perhaps"
    ]
    assert command("run", script, "--json").json["made"] == PRODUCTS[2:]


def test_why_with_the_setting_that_only_reports_code(command, script):
    edit(script, "FACTOR = 3.0", "FACTOR = 3.0\n" + REPORT)
    command("run", script)
    edit(script, "FACTOR = 3.0", "FACTOR = 4.0")
    result = command("why", script)
    assert result.code == 0
    kept = "multiply: ax1.fits -> max1.fits: kept: the code of multiply has changed"
    assert kept in result.out
    assert result.out.endswith("0 to do, 3 current, 2 kept\n")
    again = command("run", script, "--json")
    assert (again.json["made"], again.json["differing"]) == ([], PRODUCTS[2:4])


REUSE = """
    from ndmapper import config
    config["reprocess"] = {}
"""
REPORT = textwrap.dedent(REUSE).replace("reprocess", "code").format("'report'")


def test_why_answers_for_the_script_s_own_settings(command, script, caplog):
    """Where the script re-uses what exists, a run makes nothing, and says why."""
    edit(script, "NUMBER = 1.0", "NUMBER = 1.0\n" + REUSE.format(False))
    text = textwrap.dedent(script.read_text().replace("\n    from", "\nfrom"))
    script.write_text(text.replace("\n    config", "\nconfig"))
    command("run", script)
    edit(script, "NUMBER = 1.0", "NUMBER = 2.0")
    stale = "5 products are stale since number of add was 1, now 2; "
    result = command("why", script)
    assert (result.code, result.out.splitlines()) == (
        0,
        [f"{stale}--reprocess auto makes them again", "0 to do, 0 current, 5 stale"],
    )
    caplog.clear()
    assert command("run", script, "--json").json["made"] == []
    lines = [r.getMessage() for r in caplog.records if "stale since" in r.getMessage()]
    assert lines == [f"{stale}--reprocess auto makes them again"]
    # The reason is said once more where it was found, and of no other product.
    shown = [
        r.getMessage()
        for r in caplog.records
        if "from what would be" in r.getMessage() and not hasattr(r, "file_only")
    ]
    assert [line.split(":")[0] for line in shown] == ["add"]
    assert command("why", script, "--reprocess", "auto").out.endswith(
        "5 to do, 0 current\n"
    )
    assert command("run", script, "--reprocess", "auto", "--json").json["made"] == (
        PRODUCTS
    )


@pytest.mark.parametrize(("value", "done"), [(True, 5), (None, 0)])
def test_why_where_the_script_makes_all_again_or_stops(command, script, value, done):
    edit(script, "FACTOR = 3.0", f"config['reprocess'] = {value}; FACTOR = 3.0")
    edit(script, "import sys", "from ndmapper import config")
    command("run", script)
    result = command("why", script)
    if done:
        assert (result.code, "5 to do, 0 current" in result.out) == (3, True)
    else:
        assert result.code == 1
        assert "ax1.fits already exists" in result.out
        assert f"cannot tell beyond line 20 of {script}" in result.out
    assert len(command("run", script, "--json").json["made"]) == done


def test_why_says_many_units_of_one_reason_in_a_line(command, script):
    for n in range(3, 8):
        make_mef(f"x{n}.fits", n_ext=1)
    names = str([f"x{n}.fits" for n in range(1, 8)])
    edit(script, '["x1.fits", "x2.fits"]', names)
    out = command("why", script).out.splitlines()
    assert out == [
        "add: x{1..7}.fits -> ax{1..7}.fits (7): made: new",
        "multiply: ax{1..7}.fits -> max{1..7}.fits (7): made: new",
        "total: max{1..7}.fits -> max1_sum.fits: made: new",
        "15 to do, 0 current",
    ]
    each = command("why", script, "--all").out.splitlines()
    assert len(each) == 16
    assert "add: x3.fits -> ax3.fits: made: new" in each
    command("run", script)
    edit(script, "NUMBER = 1.0", "NUMBER = 2.0")
    out = command("why", script).out.splitlines()
    assert out[0].endswith("(7): made again: parameter number was 1, now 2")
    assert out[1].endswith("(7): made again: as what they are made of differs")
    # The content of the others is that of the last.
    assert out[2].endswith("made again: inputs max{1,2,7}.fits differ")
    steps = command("why", script, "--json").json["steps"]
    assert len(steps) == 15
    assert "input max7.fits differs" in steps[-1]["reasons"][0]
    products = [f"max{n}.fits" for n in range(1, 8)]
    lines = command("verify", script, "max1_sum.fits", *products).out.splitlines()
    assert lines == [
        "max1_sum.fits: inputs max{1,2,7}.fits differ",
        *(f"max{n}.fits: input ax{n}.fits differs" for n in range(1, 8)),
    ]
    edit(script, "NUMBER = 2.0", "NUMBER = 1.0")
    lines = command("verify", script, *products).out.splitlines()
    assert lines == ["max{1..7}.fits: as the script makes it"]
    assert len(command("verify", script, "--all", *products).out.splitlines()) == 7


def test_why_and_run_say_what_was_cleaned(command, script, caplog):
    command("run", script)
    command("clean")
    result = command("why", script)
    assert (result.code, result.out) == (0, "0 to do, 1 current, 4 cleaned\n")
    caplog.clear()
    found = command("run", script, "--json").json
    assert sorted(found["cleaned"]) == sorted(PRODUCTS[:4])
    words = "nothing to do: 1 of 5 products exist, 4 removed by clean and not needed"
    assert words in caplog.text


def test_why_ends_where_a_script_looks_at_pixels_that_are_not_made(command, script):
    edit(script, "total(multiply(", "print(add('x1.fits')[0].data); total(multiply(")
    result = command("why", script)
    assert result.code == 3
    assert result.out.splitlines()[-2:] == [
        "before that: 1 to do, 0 current",
        f"cannot tell beyond line 20 of {script}: ax1.fits is not made yet, and what "
        "is in it is not known",
    ]
    (product,) = command("why", script, "--json").json["steps"]
    assert product["products"] == ["ax1.fits"]


def test_why_ends_there_also_where_the_script_goes_on(command, script):
    """What a script does with an error of a plan is not what a run would do."""
    look = """
    try:
        first = add('x1.fits')[0].data[0, 0]
    except Exception:
        first = 0
    total(multiply("""
    edit(script, "total(multiply(", textwrap.dedent(look))
    for words in (("why", script), ("verify", script, "max1_sum.fits")):
        result = command(*words)
        assert result.code == 3
        assert f"cannot tell beyond line 22 of {script}" in result.out
    assert "1 to do" in command("why", script).out
    assert len(command("why", script, "--json").json["steps"]) == 1


def test_why_of_a_script_with_an_error_tells_the_line(command, script):
    edit(script, "NUMBER = 1.0", "NUMBER = 1 / 0")
    result = command("why", script)
    assert result.code == 1
    assert f"cannot tell beyond line 19 of {script}: ZeroDivisionError" in result.out
    assert "0 to do" in result.out


NOT_LOOKED_AT = (
    "(by its record alone; the script was not looked at: 'ndmapper why SCRIPT')"
)


def test_why_of_a_product_tells_what_its_inputs_are_now(command, script):
    command("run", script)
    assert command("why", "max1_sum.fits").code == 0
    Path("x1.fits").unlink()
    make_mef("x1.fits", n_ext=1, shape=(5, 8))
    result = command("why", "max1_sum.fits")
    assert (result.code, result.out) == (
        3,
        "max1_sum.fits: ax1.fits: input x1.fits has another content now\n"
        f"{NOT_LOOKED_AT}\n",
    )
    Path("x2.fits").unlink()
    assert "input x2.fits is not here any more" in command("why", "ax2.fits").out


def test_why_of_a_product_that_was_edited(command, script):
    command("run", script)
    content = bytearray(Path("ax1.fits").read_bytes())
    at = content.index(b"OBJECT  = 'test")
    content[at + 11 : at + 15] = b"TEST"
    Path("ax1.fits").write_bytes(content)
    assert command("why", "ax1.fits").out == (
        f"ax1.fits: it was changed by hand or by another program\n{NOT_LOOKED_AT}\n"
    )
    assert command("why", "x1.fits").code == 1


def test_verify_says_if_a_script_makes_a_file(command, script):
    command("run", script)
    assert command("verify", script, *PRODUCTS).code == 0
    edit(script, "NUMBER = 1.0", "NUMBER = 2.0")
    result = command("verify", script, "max1_sum.fits", "x1.fits", "--json")
    assert result.code == 3
    assert result.json["files"] == {
        "max1_sum.fits": ["input max1.fits differs", "input max2.fits differs"],
        "x1.fits": [f"{script} makes no such file"],
    }


def test_verify_reports_code_of_the_script(command, script):
    command("run", script)
    edit(script, "FACTOR = 3.0", "FACTOR = 4.0")
    result = command("verify", script, "ax1.fits", "max1.fits", "max1_sum.fits")
    assert (result.code, result.out.splitlines()) == (
        3,
        [
            "ax1.fits: as the script makes it",
            "max1.fits: the code of multiply has changed",
            "max1_sum.fits: cannot tell: it is made again if any of max1.fits, "
            "max2.fits comes out otherwise",
        ],
    )


@pytest.mark.parametrize("value", [False, True, None])
def test_verify_judges_whatever_the_script_says_of_re_use(command, script, value):
    edit(script, "FACTOR = 3.0", f"config['reprocess'] = {value}; FACTOR = 3.0")
    edit(script, "import sys", "from ndmapper import config")
    command("run", script)
    assert command("verify", script, *PRODUCTS).code == 0
    edit(script, "NUMBER = 1.0", "NUMBER = 2.0")
    assert "parameter number was 1, now 2" in command("verify", script, "ax1.fits").out


def test_clean_leaves_what_nothing_else_is_made_of(command, script, folder):
    command("run", script)
    dry = command("clean", "--dry-run", "--json").json
    assert dry["removed"] == sorted(PRODUCTS[:4])
    assert all(Path(name).exists() for name in PRODUCTS)
    assert command("clean", "--json").json["removed"] == dry["removed"]
    assert [p.name for p in folder.glob("*.fits")].count("max1_sum.fits") == 1
    assert not any(Path(name).exists() for name in PRODUCTS[:4])


def test_clean_products_count_as_current_and_come_back_when_read(command, script):
    command("run", script)
    command("clean")
    again = command("run", script, "--json").json
    assert (again["made"], sorted(again["reused"])) == ([], sorted(PRODUCTS))
    assert not Path("ax1.fits").exists()
    edit(script, "files[1][0]]", "files[1][0] * 2]")
    edit(script, 'suffix="_sum"', 'suffix="_SUM"')
    made = command("run", script, "--json").json["made"]
    assert made == ["ax1.fits", "max1.fits", "ax2.fits", "max2.fits", "max1_SUM.fits"]


def test_clean_keeps_what_could_not_be_made_again(command, script):
    command("run", script)
    Path("x1.fits").unlink()
    kept = command("clean", "--json").json["kept"]
    assert kept["ax1.fits"] == "it could not be made again, for x1.fits is missing"
    assert not Path("ax2.fits").exists()


def test_clean_keeps_calibrations_unless_told_otherwise(command, script):
    edit(script, "def multiply(ndd):", "def multiply(ndd, cal):")
    edit(script, '@run_task(prefix="m")', '@run_task(prefix="m", cals=["cal"])')
    edit(
        script,
        "number=NUMBER)))",
        "number=NUMBER), cal=add('x1.fits', out_names='c')))",
    )
    command("run", script)
    assert "c.fits" in command("clean", "--dry-run", "--json").json["kept"]
    assert "c.fits" in command("clean", "--keep", "final", "--json").json["removed"]


def test_clean_of_a_folder_that_is_not_there(command):
    result = command("clean", "nowhere")
    assert result.code == 1
    assert "nowhere is no folder" in result.err
