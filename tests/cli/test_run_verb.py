import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ndmapper.config import config


@pytest.fixture
def script(folder):
    def write(text):
        path = folder / "night.py"
        path.write_text(textwrap.dedent(text))
        return path

    return write


def test_run_script_gets_its_arguments(command, script):
    path = script("import sys; print(sys.argv)")
    assert command("run", path, "raw", "2").out == f"{[str(path), 'raw', '2']}\n"


def test_run_options_may_stand_anywhere(command, script):
    path = script("""
        import sys
        from ndmapper.config import config
        print(sys.argv[1:], config['reprocess'], config['outdir'])
        """)
    result = command(
        "run", path, "--reprocess", "true", "raw", "--outdir", "made", "-5"
    )
    assert result.out == "['raw', '-5'] True made\n"


def test_run_options_of_the_script_follow_two_dashes(command, script):
    path = script("import sys; print(sys.argv[1:])")
    assert (
        command("run", path, "a", "--", "--json", "b").out == "['a', '--json', 'b']\n"
    )


def test_run_unknown_option_is_an_error(command, script):
    result = command("run", script("print('ran')"), "--reproces", "true")
    assert (result.code, result.out) == (2, "")
    assert "--reproces" in result.err


def test_run_reuses_products_by_default(command, script):
    path = script("from ndmapper.config import config; print(config['reprocess'])")
    assert command("run", path).out == "auto\n"


def test_run_script_overrides_the_default(command, script):
    path = script("""
        from ndmapper.config import config
        config['reprocess'] = True
        print(config['reprocess'])
        """)
    assert command("run", path).out == "True\n"


def test_run_environment_overrides_the_default(command, script, monkeypatch):
    monkeypatch.setenv("NDMAPPER_REPROCESS", "true")
    config.reload()
    path = script("from ndmapper.config import config; print(config['reprocess'])")
    assert command("run", path).out == "True\n"


def test_run_command_line_wins_over_the_script(command, script):
    path = script("""
        from ndmapper.config import config
        config['reprocess'] = True
        print(config['reprocess'])
        """)
    assert command("run", path, "--reprocess", "error").out == "error\n"


def test_run_leaves_configuration_and_interpreter_as_they_were(command, script):
    before = config.rows(), sys.argv, list(sys.path)
    command("run", script("import sys; sys.path.append('x')"), "--outdir", "made")
    assert (config.rows(), sys.argv, sys.path) == before


def test_run_script_imports_from_its_own_folder(command, script, folder):
    (folder / "ndm_test_helper.py").write_text("answer = 42\n")
    path = script("import ndm_test_helper; print(ndm_test_helper.answer)")
    try:
        assert command("run", path).out == "42\n"
    finally:
        sys.modules.pop("ndm_test_helper", None)


def test_run_missing_script_says_so(command):
    result = command("run", "nowhere.py")
    assert result.code == 1
    assert "there is no script nowhere.py" in result.err


@pytest.mark.parametrize(
    ("ending", "code", "message"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(0)", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('no frames')", 1, "no frames\n"),
    ],
)
def test_run_script_that_exits_sets_the_code(command, script, ending, code, message):
    result = command("run", script(f"import sys; {ending}"))
    assert (result.code, result.err) == (code, message)


def test_run_error_of_ndmapper_is_one_message_with_the_line(command, script):
    path = script("""
        from ndmapper.config import config
        config['repro'] = True
        """)
    result = command("run", path)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert f"{path}, line 3: " in result.err
    assert "'reprocess'" in result.err


def test_run_error_of_the_script_names_type_and_line(command, script):
    path = script("frames = []\nframes[0]\n")
    result = command("run", path)
    assert result.code == 1
    assert f"{path}, line 2: IndexError: list index out of range" in result.err
    assert "Traceback" not in result.err


def test_run_file_that_is_not_python_names_it(command, script):
    result = command("run", script("this is not Python"))
    assert result.code == 1
    assert "night.py, line 1" in result.err


def test_run_debug_shows_the_traceback(command, script):
    assert "Traceback" in command("run", script("1 / 0"), "--debug").err


def test_run_json_keeps_standard_output_clean(command, script):
    path = script("print('hello'); raise ValueError('no')")
    result = command("run", path, "--json")
    assert result.json["exit_code"] == 1
    assert "ValueError: no" in result.json["error"]
    assert "hello" in result.err


def test_run_fits_file_is_named_as_no_script(command, folder):
    for number, data in enumerate((b"\0" * 2880, b" " * 2880)):
        path = folder / f"sim000{number}.fits"
        path.write_bytes(b"SIMPLE  =                    T".ljust(2880) + data)
        result = command("run", path)
        assert result.code == 1
        assert result.err == (
            f"ndmapper: {path} is not a Python script, but a file of another kind\n"
        )


def test_run_unreadable_script_is_named(command, script, monkeypatch):
    path = script("print('hello')")

    def refuse(self, *args, **options):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    result = command("run", path)
    assert (result.code, result.out) == (1, "")
    assert result.err == (
        f"ndmapper: the script {path} cannot be read (Permission denied)\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_run_script_whose_reader_leaves_stops_quietly(script, monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    path = script("""
        import time
        for _ in range(1000):
            print("x" * 1000, flush=True)
            time.sleep(0.01)
        """)
    words = [sys.executable, "-m", "ndmapper.cli", "run", str(path)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 141


def test_run_script_that_loses_another_pipe_fails(command, script):
    path = script("raise BrokenPipeError(32, 'Broken pipe')")
    result = command("run", path)
    assert result.code == 1
    assert "BrokenPipeError" in result.err
