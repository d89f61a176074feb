import subprocess
import sys

import pytest

from ndmapper.cli import command as module


def test_command_without_verb_exits_2(command):
    assert command().code == 2


def test_command_unknown_verb_names_the_verbs(command):
    result = command("sl")
    assert result.code == 2
    assert " ls," in result.err


def test_command_version_prints_it(command):
    assert command("--version").out.startswith("ndmapper 0.")


@pytest.mark.parametrize("verb", module.VERBS, ids=lambda verb: verb.name)
def test_help_every_verb_documents_examples_and_exit_codes(command, verb):
    result = command(verb.name, "--help")
    assert result.code == 0
    assert "examples:\n  ndmapper " + verb.name in result.out
    assert "exit codes:\n  0 " in result.out
    assert "--json" in result.out


@pytest.mark.parametrize("verb", module.VERBS, ids=lambda verb: verb.name)
def test_help_fits_a_terminal(command, verb):
    lines = command(verb.name, "--help").out.splitlines()
    assert max(map(len, lines)) <= 90


def test_command_own_failure_asks_for_a_report(command, monkeypatch):
    def fail(args):
        raise ZeroDivisionError("one over nothing")

    monkeypatch.setattr(module, "make_parser", _parser_that_runs(fail))
    result = command("config")
    assert result.code == 1
    assert "ZeroDivisionError: one over nothing" in result.err
    assert "Traceback" not in result.err


def test_command_debug_shows_the_traceback(command):
    assert "Traceback" in command("--debug", "config", "no_such_key").err


def test_command_debug_after_the_verb_works_too(command):
    assert "Traceback" in command("config", "no_such_key", "--debug").err


@pytest.mark.parametrize("words", [("--json", "config"), ("config", "--json")])
def test_command_json_may_stand_before_the_verb(command, words):
    assert "reprocess" in command(*words).json


def test_command_interrupted_exits_130(command, monkeypatch):
    def interrupt(args):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "make_parser", _parser_that_runs(interrupt))
    assert command("config").code == 130


def test_command_reader_that_leaves_early_is_no_error(folder):
    # `head` closes the pipe before anything is written to it.
    line = f"{sys.executable} -m ndmapper.cli config 2>err | true; cat err"
    done = subprocess.run(
        ["/bin/sh", "-c", f"sleep 0; {line}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""


def _parser_that_runs(function):
    make = module.make_parser

    def make_parser():
        parser = make()
        for verb in next(a for a in parser._actions if a.dest == "verb").choices:
            choice = next(a for a in parser._actions if a.dest == "verb").choices[verb]
            choice.set_defaults(run=function)
        return parser

    return make_parser
