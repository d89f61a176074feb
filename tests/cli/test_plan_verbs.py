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


def test_why_reports_changed_code_that_forces_nothing(command, script):
    command("run", script)
    edit(script, "FACTOR = 3.0", "FACTOR = 4.0")
    result = command("why", script)
    assert result.code == 0
    assert (
        "multiply: ax1.fits -> max1.fits: kept: the code of multiply has changed"
        in (result.out)
    )
    assert "total" not in result.out


def test_why_ends_where_a_script_looks_at_pixels_that_are_not_made(command, script):
    edit(script, "total(multiply(", "print(add('x1.fits')[0].data); total(multiply(")
    result = command("why", script)
    assert result.code == 3
    assert "the plan ends here" in result.out
    assert "night.py, line 20: ax1.fits is not made yet" in result.out


def test_why_of_a_product_tells_what_its_inputs_are_now(command, script):
    command("run", script)
    assert command("why", "max1_sum.fits").code == 0
    Path("x1.fits").unlink()
    make_mef("x1.fits", n_ext=1, shape=(5, 8))
    result = command("why", "max1_sum.fits")
    assert (result.code, result.out) == (
        3,
        "max1_sum.fits: ax1.fits: input x1.fits has another content now\n",
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
        "ax1.fits: it was changed by hand or by another program\n"
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
    result = command("verify", script, "max1.fits")
    assert (result.code, result.out) == (
        3,
        "max1.fits: the code of multiply has changed\n",
    )


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
