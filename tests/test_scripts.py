"""The two commands of the README say what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def bare_path(tmp_path):
    """A PATH with the tools of a fresh machine, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("sh", "dirname", "id"):
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


def run(script, bare_path, tmp_path, **env):
    return subprocess.run(
        [bare_path / "sh", SCRIPTS / script],
        env={"PATH": str(bare_path), "VENV": str(tmp_path / "venv"), **env},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", ["demo", "test"])
def test_script_without_python_says_what_to_install(script, bare_path, tmp_path):
    done = run(script, bare_path, tmp_path)
    assert done.returncode == 1
    assert "needs Python 3.11 or later" in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


@pytest.mark.parametrize("script", ["demo", "test"])
def test_script_without_venv_module_names_the_package(script, bare_path, tmp_path):
    # A Python of the right version that cannot import venv.
    fake = bare_path / "python3"
    fake.write_text(
        f"#!{bare_path / 'sh'}\n"
        'case "$2" in\n'
        "*ensurepip*) exit 1;;\n"
        "*-venv*) echo python3.12-venv;;\n"
        "esac\n"
    )
    fake.chmod(0o755)
    done = run(script, bare_path, tmp_path)
    assert done.returncode == 1
    assert "python3.12-venv" in done.stderr


@pytest.mark.parametrize("script", ["demo", "test"])
def test_script_takes_no_other_python_than_the_one_that_is_named(
    script, bare_path, tmp_path
):
    (bare_path / "python3").symlink_to(sys.executable)
    done = run(script, bare_path, tmp_path, PYTHON="/no/such/python")
    assert done.returncode == 1
    assert "there is none among: /no/such/python" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("script", ["demo", "test"])
def test_script_does_not_use_an_environment_of_another_python(
    script, bare_path, tmp_path
):
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "pip"):
        program = programs / name
        program.write_text(f"#!{bare_path / 'sh'}\necho 3.10\n")
        program.chmod(0o755)
    done = run(script, bare_path, tmp_path, PYTHON=sys.executable)
    assert done.returncode == 1
    assert "venv is of another Python than" in done.stderr
    assert f"VENV={tmp_path / 'venv'}-3." in done.stderr


def test_scripts_can_be_executed():
    for script in (SCRIPTS / "demo", SCRIPTS / "test", SCRIPTS.parent / ".ci" / "run"):
        assert os.access(script, os.X_OK)
