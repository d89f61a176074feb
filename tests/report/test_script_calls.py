"""The calls that a script makes of the records of external tools."""

import ast
import sys

import pytest

from ndmapper.report.script import write_script


def calls(text, name="run_task"):
    """Read the calls of a script: arguments and keywords, paths by their name."""
    return [
        (
            [_value(argument) for argument in node.args],
            {word.arg: _value(word.value) for word in node.keywords},
        )
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]


def _value(node):
    if isinstance(node, ast.BinOp):
        return f"{node.left.id}/{node.right.value}"
    if isinstance(node, ast.List):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs}
    return ast.literal_eval(node)


def test_script_calls_an_iraf_task_at_once(entry, raw):
    row = entry(
        "a.fits",
        [raw("x.fits", role="operand1"), raw("y.fits", "sha256:bb", role="operand2")],
        engine="iraf", module=None, step="imarith", output="result", script=None,
        task={"name": "images.imutil.imarith", "parameters": {"op": "+"},
              "words": {"MEF_ext": False}},
    )  # fmt: skip
    assert calls(write_script({"a.fits": [row]}).text) == [
        (
            ["images.imutil.imarith"],
            {
                "inputs": {"operand1": ["RAW/x.fits"], "operand2": ["RAW/y.fits"]},
                "outputs": {"result": ["a.fits"]},
                "options": {"MEF_ext": False},
                "params": {"op": "+"},
            },
        )
    ]


def test_script_gives_all_products_of_a_recipe_in_order(entry, raw, product):
    task = {"name": "muse_bias", "parameters": {"nifu": 1}, "words": {}}
    rows = [
        entry(
            f"b{n}.fits", [raw("x.fits", role="BIAS")], engine="esorex", module=None,
            output=tag, task=task, step="muse_bias", script=None,
        )
        for n, tag in ((2, "MASTER_BIAS#2"), (1, "MASTER_BIAS"))
    ]  # fmt: skip
    last = entry("end.fits", [product(row) for row in rows], script={
        "each": "list", "outputs": [None]})  # fmt: skip
    text = write_script({"end.fits": [*rows, last]}).text
    ((args, words),) = calls(text)
    assert args == ["esorex:muse_bias"]
    assert words["outputs"] == {"MASTER_BIAS": ["b1.fits", "b2.fits"]}


def test_script_gives_a_command_its_argv_and_files(entry, raw):
    row = entry(
        "o.fits", [raw("x.fits", role="in")], engine="command", module=None,
        step="prog", output="out", script=None,
        references={"table": raw("t.dat", "sha256:cc"),
                    "others": [raw("u.dat", "sha256:dd")]},
        task={"name": "prog", "parameters": {"n": 2, "table": "t.dat"},
              "words": {"argv": ["--n", "{n}", "{in}", "{out}"]}},
    )  # fmt: skip
    ((args, words),) = calls(write_script({"o.fits": [row]}).text)
    assert args == ["command:prog"]
    assert words["options"] == {"argv": ["--n", "{n}", "{in}", "{out}"]}
    assert words["params"] == {
        "n": 2, "table": "RAW/t.dat", "others": ["RAW/u.dat"],
    }  # fmt: skip


HOSTILE = [
    "it's \"so\".fits", "a;rm -rf b.fits", "$(touch hit).fits", "line\nbreak.fits",
    "'''\nimport os\n'''.fits", "\\.fits", "-o.fits", "{x}.fits", "#\x0cx\u2028.fits",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_script_holds_hostile_names_only_as_data(entry, raw, name):
    row = entry(
        name, [raw(name, role=name)], engine="iraf", module=None, step=name,
        output=name, script=None, parameters={},
        task={"name": name, "parameters": {name: name}, "words": {name: name}},
        tool={"name": name, "version": name},
    )  # fmt: skip
    memory = entry(name, [raw(name, "sha256:ff", memory=True)], parameters={name: 1})
    for rows in ([row], [memory]):
        tree = ast.parse(write_script({name: rows}).text)
        kinds = {type(node).__name__ for node in ast.walk(tree)}
        assert not {"Import", "ImportFrom"} & {
            type(node).__name__
            for node in ast.walk(tree)
            if isinstance(node, ast.Import) and node.names[0].name == "os"
        }
        assert kinds <= ALLOWED


ALLOWED = {
    "Module", "Import", "ImportFrom", "alias", "Assign", "Name", "Store", "Load",
    "Call", "Attribute", "IfExp", "Compare", "Gt", "NotEq", "Constant", "Subscript",
    "For", "Tuple", "Dict", "If", "BinOp", "Div", "Expr", "JoinedStr",
    "FormattedValue", "keyword", "List",
}  # fmt: skip


def test_script_lets_no_record_choose_a_folder(entry, raw):
    row = entry("../../evil.fits", [raw("/etc/x.fits"), raw("..", "sha256:bb")])
    text = write_script({"e.fits": [row]}).text
    ((args, words),) = calls(text, "work")
    assert words["out_names"] == "evil.fits"
    assert args == [["RAW/x.fits", "RAW/unnamed"]]


def test_script_imports_a_function_of_a_package_and_declares_it(entry, raw):
    row = entry(
        "a.fits", [raw("x.fits")], step="median", module="statistics", output="a",
        script={"each": "list", "outputs": ["a", "b"], "wrapped": True},
    )  # fmt: skip
    lines = write_script({"a.fits": [row]}).text.splitlines()
    assert "from statistics import median" in lines
    assert "median = run_task(median, each='list', outputs=('a', 'b'))" in lines


@pytest.fixture
def beside(folder, monkeypatch):
    """Give a folder that modules are imported from."""
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.mark.parametrize("module", ["this", "json.tool", "beside", "no.such.module"])
@pytest.mark.parametrize("wrapped", [True, False, None])
def test_script_imports_no_module_that_a_record_names(
    entry, raw, module, wrapped, beside
):
    (beside / "beside.py").write_text("raise SystemExit('it is run')\n")
    script = {"each": "file", "outputs": [None]}
    if wrapped is not None:
        script["wrapped"] = wrapped
    row = entry("a.fits", [raw("x.fits")], step="work", module=module, script=script)
    before = set(sys.modules)
    text = write_script({"a.fits": [row]}).text
    assert not {"this", "json.tool", "beside"} & (set(sys.modules) - before)
    assert f"from {module} import work" in text.splitlines()
    assert ("run_task(work" in text) is (wrapped is not False)


def test_script_of_an_older_record_calls_steps_of_packages(entry, raw):
    row = entry("a.fits", [raw("x.fits"), raw("y.fits", "sha256:bb")], step="make_bias",
                module="ndmapper.lib.combine", script=None)  # fmt: skip
    script = write_script({"a.fits": [row]})
    assert script.problems == []
    assert calls(script.text, "make_bias")[0][0] == [["RAW/x.fits", "RAW/y.fits"]]


def test_script_of_an_older_record_cannot_call_steps_of_scripts(entry, raw):
    row = entry("a.fits", [raw("x.fits")], module=None, source="def work(n):\n    n\n",
                script=None)  # fmt: skip
    assert "an older version" in write_script({"a.fits": [row]}).problems[0]


def test_script_of_a_step_with_an_impossible_name_calls_nothing(entry, raw):
    row = entry("x.fits", [raw("r.fits")], step="x(); import os", module="a; b")
    script = write_script({"x.fits": [row]})
    assert "there cannot be such a step" in script.problems[0]
    assert "import os" not in [line.strip() for line in script.text.splitlines()]
