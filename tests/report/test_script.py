"""The script that a record gives makes the same products again."""

import ast
import functools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from shared_helpers import first_pixel, run_as_user

from ndmapper.cli import main
from ndmapper.data import DataFile
from ndmapper.io.digest import differences, digest
from ndmapper.io.record import read_records
from ndmapper.lib import simulate
from ndmapper.report.compare import compare
from ndmapper.report.script import write_script
from ndmapper.steps import run_task

USER_SCRIPT = '''
"""A script as users write them: its own steps, helpers and constants."""
import sys
from pathlib import Path

import numpy as np
from ndmapper import DataFileList, config, run_task

RAW = Path(sys.argv[1])
FACTOR = 3.0
WEIGHTS = {"first": np.arange(3.0), "second": 2}
config["reprocess"] = False


class Model:
    """A class of the script."""

    def __init__(self, level):
        self.level = level

    def __call__(self, data):
        return data - np.sum(WEIGHTS["first"]) * self.level


def helper(data):
    """Use a constant and a class of the script."""
    return Model(FACTOR)(data)


def smooth(data, width):
    return np.round(data / width) * width


@run_task(prefix="b", cals=["bias"])
def subtract(ndd, bias, *, scale: float = 1.0):
    """Subtract a scaled bias."""
    return ndd - bias * scale


@run_task(each="list", outputs=("mean", "spread"))
def combine(files):
    """Give two products."""
    stack = np.array([df[0].data for df in files])
    return {
        "mean": files[0][0].replace(data=stack.mean(axis=0)),
        "spread": files[0][0].replace(data=stack.std(axis=0)),
    }


@run_task(prefix="p")
def process(ndd, *, kernel=None, table: Path | None = None, weights=None):
    data = kernel(helper(ndd.data), 0.5) + len(Path(table).read_text())
    return ndd.replace(data=data * weights.sum())


raws = DataFileList(["r1.fits", "r2.fits"], dirname=RAW)
bias = combine(DataFileList(["z1.fits", "z2.fits"], dirname=RAW), mean="bias.fits")
products = process(
    subtract(raws, bias=bias["mean"], scale=2),
    kernel=smooth, table=RAW / "table.txt", weights=np.array([1.0, 2.0]),
)
'''


@pytest.fixture
def user_folder(folder, make_raw):
    """Raw files for the script above."""
    for name, values in {
        "r1.fits": (10.0,), "r2.fits": (20.0,), "z1.fits": (1.0,), "z2.fits": (2.0,),
    }.items():  # fmt: skip
        make_raw(f"raw/{name}", values)
    (folder / "raw" / "table.txt").write_text("12 nm\n")
    (folder / "user.py").write_text(USER_SCRIPT)
    return folder


@pytest.fixture
def remake(folder, monkeypatch):
    """Make products again in an empty folder, by the script of their record."""

    def remake(*names, raw="raw"):
        words = ["script", "-o", "again.py", *(str(folder / n) for n in names)]
        assert main(words) == 0
        empty = folder / "empty"
        empty.mkdir()
        with monkeypatch.context() as patch:
            patch.chdir(empty)
            assert main(["run", str(folder / "again.py"), str(folder / raw)]) == 0
        return empty

    return remake


def test_script_with_steps_of_a_user_makes_identical_products(user_folder):
    run_as_user("user.py", "raw", folder=user_folder)
    assert main(["script", "-o", "again.py", "pbr1.fits", "pbr2.fits"]) == 0
    empty = user_folder / "empty"
    empty.mkdir()
    run_as_user(user_folder / "again.py", user_folder / "raw", folder=empty)
    made = sorted(path.name for path in empty.glob("*.fits"))
    assert made == [
        "bias.fits", "br1.fits", "br2.fits", "pbr1.fits", "pbr2.fits",
        "z1_spread.fits",
    ]  # fmt: skip
    assert [differences(user_folder / name, empty / name) for name in made] == [[]] * 6
    keys = [read_records(f / "pbr1.fits")[-1]["key"] for f in (user_folder, empty)]
    assert keys[0] == keys[1]


def test_script_makes_only_what_the_product_needs(user_folder, remake):
    assert main(["run", "user.py", "raw"]) == 0
    empty = remake("pbr1.fits")
    assert differences(user_folder / "pbr1.fits", empty / "pbr1.fits") == []
    assert not (empty / "pbr2.fits").exists()


def test_script_run_twice_does_nothing_the_second_time(
    user_folder, remake, monkeypatch, capsys
):
    main(["run", "user.py", "raw"])
    monkeypatch.chdir(remake("pbr1.fits"))
    capsys.readouterr()
    assert (
        main(["--json", "run", str(user_folder / "again.py"), str(user_folder / "raw")])
        == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["made"], len(found["reused"])) == ([], 4)


def test_script_refuses_raw_files_with_another_content(user_folder, capsys):
    main(["run", "user.py", "raw"])
    main(["script", "-o", "again.py", "pbr1.fits"])
    shutil.copy(user_folder / "raw" / "z1.fits", user_folder / "raw" / "r1.fits")
    assert main(["run", "again.py", "raw"]) == 1
    assert "r1.fits is not the file that was used" in capsys.readouterr().err


def test_script_with_steps_of_the_library_makes_identical_products(
    folder, remake, monkeypatch
):
    pytest.importorskip("astroscrappy", reason="the extra ccd is not installed")
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    small = {"biases": 3, "flats": 2, "science": 1, "shape": (64, 64), "rays": 10}
    monkeypatch.setattr(simulate, "Night", functools.partial(simulate.Night, **small))
    assert main(["demo", "night"]) == 0
    finals = [path.name for path in folder.glob("night/x*.fits")]
    empty = remake(*(f"night/{name}" for name in finals), raw="night/raw")
    # The script saves what a chain hands on in memory, too.
    before = {path.name for path in folder.glob("night/*.fits")}
    made = before & {path.name for path in empty.glob("*.fits")}
    assert len(made) > 15
    assert set(finals) < made
    found = {name: differences(empty / name, folder / "night" / name) for name in made}
    assert [name for name, lines in found.items() if lines] == []


SOURCES = {
    "one": "def change(x):\n    return x * 2\n",
    "two": "def change(x):\n    return x + 100\n",
}


def test_script_keeps_apart_what_two_scripts_mean_by_a_name(folder, make_raw, remake):
    make_raw("raw/x.fits")
    step = (
        "import sys\nfrom ndmapper import run_task\n{helper}"
        "@run_task(prefix='{prefix}')\ndef step(ndd):\n"
        "    return ndd.replace(data=change(ndd.data))\nstep(sys.argv[1])\n"
    )
    given = "raw/x.fits"
    for prefix, helper in SOURCES.items():
        (folder / f"{prefix}.py").write_text(step.format(prefix=prefix, helper=helper))
        assert main(["run", f"{prefix}.py", given]) == 0
        given = f"{prefix}x.fits" if prefix == "one" else given
    empty = remake("twoonex.fits")
    assert differences(folder / "twoonex.fits", empty / "twoonex.fits") == []


def test_script_places_files_of_one_name_apart(folder, make_raw, monkeypatch):
    for night, value in (("a", 1.0), ("b", 2.0)):
        make_raw(f"{night}/x.fits", (value,))
    (folder / "user.py").write_text(
        "from ndmapper import run_task\n"
        "@run_task(each='list', outputs='out')\n"
        "def join(files):\n    return files[0][0] - files[1][0] * 3\n"
        "join(['a/x.fits', 'b/x.fits'], out='x.fits')\n"
    )
    assert main(["run", "user.py"]) == 0
    script = write_script({"x.fits": read_records(folder / "x.fits")})
    assert len(script.raws) == 2
    nights = {digest(f"{night}/x.fits"): night for night in "ab"}
    for place, content in script.raws.items():
        (folder / "raw" / place).parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(folder / nights[content] / "x.fits", folder / "raw" / place)
    (folder / "again.py").write_text(script.text)
    (folder / "empty").mkdir()
    monkeypatch.chdir(folder / "empty")
    assert main(["run", "../again.py", "../raw"]) == 0
    (made,) = (folder / "empty").glob("*/x.fits")
    assert differences(folder / "x.fits", made) == []


@run_task(prefix="d")
def double(ndd):
    """Double."""
    return ndd * 2


def test_script_of_an_edited_product_says_so_and_stops(folder, make_raw, capsys):
    product = double(make_raw("x.fits"))
    edited = DataFile(str(product), mode="update")
    edited[0].data[0, 0] = 7
    edited.save()
    double("dx.fits")
    assert main(["script", "-o", "again.py", "ddx.fits"]) == 3
    text = (folder / "again.py").read_text()
    assert "# This cannot be made again: dx.fits was edited in Python" in text
    capsys.readouterr()
    assert main(["run", "again.py"]) == 1
    assert "dx.fits was edited in Python" in capsys.readouterr().err


def test_script_of_what_was_in_memory_says_so_and_stops(folder, make_raw, capsys):
    df = DataFile(make_raw("x.fits"))
    df[0].data[:] = 7
    double(df)
    assert main(["script", "-o", "again.py", "dx.fits"]) == 3
    capsys.readouterr()
    assert main(["run", "again.py"]) == 1
    assert "made of x.fits as it was in memory" in capsys.readouterr().err


def test_script_of_a_step_without_text_says_so(folder, make_raw, capsys):
    names = {"run_task": run_task}
    exec("@run_task(prefix='t')\ndef typed(ndd):\n    return ndd", names)
    names["typed"](make_raw("x.fits"))
    assert main(["script", "tx.fits"]) == 3
    assert "typed at a prompt" in capsys.readouterr().err


def test_script_of_a_large_array_as_parameter_says_so(folder, make_raw, capsys):
    @run_task(prefix="w")
    def weigh(ndd, *, weights: np.ndarray):
        return ndd * weights.mean()

    weigh(make_raw("x.fits"), weights=np.ones(5000))
    assert main(["script", "wx.fits"]) == 3
    assert "uses weights, but its value is a ndarray" in capsys.readouterr().err


def test_script_hands_in_files_that_are_parameters(folder, make_raw, remake):
    (folder / "user.py").write_text(
        "from pathlib import Path\nfrom ndmapper import DataFile, run_task\n"
        "@run_task(prefix='s')\n"
        "def step(ndd, *, other: DataFile, table: Path):\n"
        "    return ndd + other[0].data * len(table.read_text())\n"
        "step('raw/x.fits', other='raw/y.fits', table='raw/t.txt')\n"
    )
    make_raw("raw/x.fits")
    make_raw("raw/y.fits", (3.0, 4.0))
    (folder / "raw" / "t.txt").write_text("12")
    assert main(["run", "user.py"]) == 0
    assert differences(folder / "sx.fits", remake("sx.fits") / "sx.fits") == []


def test_script_names_files_that_must_lie_beside_it(folder, make_raw, capsys):
    (folder / "my_helpers.py").write_text("def twice(x):\n    return x * 2\n")
    (folder / "user.py").write_text(
        "import my_helpers\nfrom ndmapper import run_task\n"
        "@run_task(prefix='t')\ndef step(ndd):\n    return my_helpers.twice(ndd)\n"
        "step('x.fits')\n"
    )
    make_raw("x.fits")
    assert main(["run", "user.py"]) == 0
    sys.modules.pop("my_helpers")
    capsys.readouterr()
    assert main(["script", "tx.fits"]) == 0
    text = capsys.readouterr().out
    assert "# It imports my_helpers, a file of your own: put that beside it." in text


def test_script_of_a_raw_file_is_an_error(folder, make_raw, capsys):
    assert main(["script", make_raw("x.fits")]) == 1
    assert "x.fits has no record" in capsys.readouterr().err


def test_script_never_replaces_a_file(folder, make_raw, capsys):
    double(make_raw("x.fits"))
    (folder / "again.py").write_text("mine")
    assert main(["script", "-o", "again.py", "dx.fits"]) == 1
    assert (folder / "again.py").read_text() == "mine"


def test_script_json_has_text_raw_files_and_problems(folder, make_raw, capsys):
    double(make_raw("x.fits"))
    capsys.readouterr()
    main(["script", "--json", "dx.fits"])
    found = json.loads(capsys.readouterr().out)
    assert (list(found["raw"]), found["problems"]) == (["x.fits"], [])
    ast.parse(found["script"])


# ---- ndmapper script where files are named by parameters and sets of frames


SCRIPT = """
from pathlib import Path
from ndmapper import run_task

@run_task(prefix="l")
def add_tables(ndd, *, tables: object = None):
    for table in {names}:
        ndd = ndd + float(table.read_text())
    return ndd

add_tables("x1.fits", tables={given})
"""


def written(product, folder):
    """Write the script of a product; run it in a folder of its own."""
    script = subprocess.run(
        [sys.executable, "-m", "ndmapper", "script", product],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    folder.mkdir()
    (folder / "again.py").write_text(script.stdout)
    ran = subprocess.run(
        [sys.executable, "again.py", str(Path.cwd())],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return script, ran


def test_script_gives_lists_of_files(make_raw, folder):
    make_raw("x1.fits", (10.0,))
    for number in (1, 2):
        Path(f"t{number}.txt").write_text(f"{number}")
    given = "[Path('t1.txt'), Path('t2.txt')]"
    Path("s.py").write_text(SCRIPT.format(given=given, names="tables"))
    subprocess.run([sys.executable, "s.py"], check=True)
    script, ran = written("lx1.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (0, 0), ran.stderr
    assert first_pixel("again/lx1.fits") == first_pixel("lx1.fits") == 13.0


def test_script_says_what_it_cannot_give(make_raw, folder):
    make_raw("x1.fits", (10.0,))
    Path("t1.txt").write_text("1")
    given = "{'first': [Path('t1.txt'), 3.0]}"
    Path("s.py").write_text(SCRIPT.format(given=given, names="tables['first'][:1]"))
    subprocess.run([sys.executable, "s.py"], check=True)
    script, ran = written("lx1.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (3, 1)
    assert "only a part are files" in script.stdout


@pytest.mark.esorex
def test_script_names_the_frames_of_a_set_that_was_edited(folder):
    from ndmapper.lib.simulate import simulate_hawki_darks

    simulate_hawki_darks(".", number=4, size=128)
    darks = sorted(str(path) for path in Path().glob("*DARK*.fits"))
    words = {
        "inputs": {"DARK": darks[:3]}, "outputs": {"MASTER_DARK": "m.fits"},
        "sof": "d.sof", "reprocess": "auto",
    }  # fmt: skip
    run_task("esorex:hawki_dark_combine", **words)
    with Path("d.sof").open("a") as stream:
        stream.write(f"{Path(darks[3]).absolute()} DARK\n")
    made = run_task("esorex:hawki_dark_combine", create_sof=False, **words)
    rows = made["MASTER_DARK"][0].record[-1]["references"]["sof"]
    assert [row["name"] for row in rows] == darks
    script, ran = written("m.fits", folder / "again")
    assert (script.returncode, ran.returncode) == (0, 0), ran.stderr
    assert compare(Path("m.fits"), Path("again/m.fits")).verdict == "identical"
