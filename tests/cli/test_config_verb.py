import pytest

from ndmapper.config import KEYS, config


def test_config_lists_every_key_with_its_source(command):
    lines = command("config").out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(KEYS)
    assert all(line.endswith("default") for line in lines[1:])


def test_config_one_key_explains_it(command):
    result = command("config", "use_flags")
    assert KEYS["use_flags"].doc in result.out
    assert "outdir" not in result.out


def test_config_json_has_value_source_and_meaning(command, monkeypatch):
    monkeypatch.setenv("NDMAPPER_USE_FLAGS", "no")
    config.reload()
    assert command("config", "--json").json["use_flags"] == {
        "value": False,
        "source": "NDMAPPER_USE_FLAGS",
        "doc": KEYS["use_flags"].doc,
    }


def test_config_unknown_key_suggests_one(command):
    result = command("config", "use_flag")
    assert result.code == 1
    assert "'use_flags'" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize("words", [("a", "b"), ("--no-such-option",)])
def test_config_wrong_command_line_exits_2(command, words):
    assert command("config", *words).code == 2
