"""``ndmapper completion``, in real shells."""

import shutil
import subprocess

import pytest

from ndmapper.calibrations.tree import FORMS

pytest.importorskip("shtab", reason="shtab is not installed")


@pytest.fixture
def complete(command, folder):
    """Give the function that completes the last of some words as bash does."""
    script = folder / "completion.bash"
    script.write_text(command("completion", "bash").out)

    def call(*words):
        code = (
            f"source {script.name}\n"
            'COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n'
            "shopt -s progcomp\n"
            "declare -a how=($(complete -p ndmapper))\n"
            "for ((i = 0; i < ${#how[@]}; i++)); do\n"
            '  [[ ${how[i]} == -F ]] && ${how[i + 1]} "$1" "${@: -1}" "${@: -2:1}"\n'
            "done\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", code, "bash", "ndmapper", *words],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.split()

    return call


needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="no bash")
needs_zsh = pytest.mark.skipif(not shutil.which("zsh"), reason="no zsh")


@needs_bash
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["inf"], {"info"}),
        (["co"], {"config", "completion"}),
        (["cals", "o"], {"override"}),
        (["completion", ""], {"bash", "zsh"}),
        (["run", "--repr"], {"--reprocess"}),
        (["run", "--reprocess", ""], {"true", "false", "auto", "error"}),
        (["cals", "graph", "--form", ""], set(FORMS)),
        (["info", "--la"], {"--labels"}),
    ],
)
def test_bash_completes_verbs_options_and_choices(complete, words, expected):
    assert set(complete(*words)) == expected


@needs_bash
@pytest.mark.parametrize(
    "words",
    [
        ["info", ""], ["info", "a.fits", ""], ["step", "trim", ""], ["run", ""],
        ["cals", "show", "-d", ""], ["ls", "--save", ""], ["verify", "night.py", ""],
    ],
)  # fmt: skip
def test_bash_completes_files(complete, folder, words):
    (folder / "a.fits").touch()
    (folder / "raw").mkdir()
    assert {"a.fits", "raw"} <= {word.rstrip("/") for word in complete(*words)}


@needs_bash
@pytest.mark.parametrize("words", [["ls", ""], ["fetch", "--dir", ""]])
def test_bash_completes_folders(complete, folder, words):
    (folder / "a.fits").touch()
    (folder / "raw").mkdir()
    assert [word.rstrip("/") for word in complete(*words)] == ["raw"]


@needs_zsh
def test_zsh_reads_it(command, folder):
    (folder / "_ndmapper").write_text(command("completion", "zsh").out)
    subprocess.run(["zsh", "-n", "_ndmapper"], check=True)


def test_script_for_zsh_names_the_command(command):
    text = command("completion", "zsh").out
    assert text.startswith("#compdef ndmapper\n")
    assert "_files" in text


def test_json_has_the_script(command):
    found = command("completion", "bash", "--json").json
    assert found["shell"] == "bash"
    assert found["script"].strip() == command("completion", "bash").out.strip()


def test_without_shtab_it_says_how_to_get_it(command, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "shtab", None)
    result = command("completion", "bash")
    assert result.code == 1
    assert "pip install shtab" in result.err
