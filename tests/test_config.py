"""The configuration: declared keys, places and their precedence."""

import json

import pytest

from ndmapper.config import KEYS, Config
from ndmapper.errors import ConfigError, NdmapperError, UnknownKeyError


@pytest.fixture
def make(tmp_path):
    def make(environ=None, user="", project=""):
        paths = {}
        for name, text in (("user", user), ("project", project)):
            paths[name] = tmp_path / f"{name}.toml"
            paths[name].write_text(text)
        return Config(environ or {}, paths["user"], paths["project"])

    return make


def test_default_of_every_key_passes_its_own_check():
    for key in KEYS.values():
        assert key.check(key.default) == key.default


def test_unknown_key_read_suggests_the_nearest():
    with pytest.raises(UnknownKeyError, match="did you mean 'reprocess'"):
        Config({})["reproces"]


def test_unknown_key_is_also_a_key_error():
    with pytest.raises(KeyError):
        Config({})["nothing"]


def test_unknown_key_set_is_refused():
    with pytest.raises(UnknownKeyError, match="this script"):
        Config({})["log_file"] = "x"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("reprocess", "maybe"),
        ("interact", 1),
        ("bad_flags", -1),
        ("bad_flags", "BAD;SATURATED"),
        ("bad_flags", ["BAD", -4]),
        ("record", "nowhere"),
        ("labels", {"science": "SCI"}),
        ("outdir", None),
    ],
)
def test_wrong_value_says_key_and_expectation(key, value):
    with pytest.raises(ConfigError, match=f"sets {key} to .* but it must be"):
        Config({})[key] = value


def test_precedence_each_place_beats_the_one_below(make):
    config = make(
        {"NDMAPPER_OUTDIR": "env"}, user='outdir = "user"', project='outdir = "project"'
    )
    seen = [(config["outdir"], config.source("outdir"))]
    config["outdir"] = "script"
    seen.append((config["outdir"], config.source("outdir")))
    config.from_command_line(outdir="cli")
    seen.append((config["outdir"], config.source("outdir")))
    seen.append((config.snapshot(outdir="call")["outdir"], "call"))
    assert seen == [
        ("env", "NDMAPPER_OUTDIR"),
        ("script", "script"),
        ("cli", "command line"),
        ("call", "call"),
    ]


def test_precedence_project_file_beats_user_file(make):
    config = make(user="interact = true\nuse_flags = false", project="interact = false")
    assert (config["interact"], config["use_flags"]) == (False, False)


def test_environment_words_become_values(make):
    config = make({"NDMAPPER_REPROCESS": "no", "NDMAPPER_BAD_FLAGS": "0x0f"})
    assert (config["reprocess"], config["bad_flags"]) == (False, 15)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("bad | Saturated", "BAD|SATURATED"),
        (["BAD", 4], "BAD|4"),
        ("-overlap", "-OVERLAP"),
        ([], "NONE"),
        ("12", 12),
        (6, 6),
    ],
)
def test_bad_flags_take_names_in_one_spelling(given, kept):
    config = Config({})
    config["bad_flags"] = given
    assert config["bad_flags"] == kept


def test_bad_flags_are_every_bit_by_default():
    assert Config({})["bad_flags"] == 0xFFFFFFFF


def test_environment_labels_take_json(make):
    labels = {"data": "DATA", "uncertainty": "STAT", "flags": "DQ"}
    assert make({"NDMAPPER_LABELS": json.dumps(labels)})["labels"] == labels


@pytest.mark.parametrize(
    "value",
    [
        {"gemini": "ftp://x"},
        {"gemini": "nowhere"},
        {"gemini": "https://me:word@x"},
        {"gemini": "https://[x"},
        {"gemini": "https://x:port"},
        {"gemini": "https://x:70000"},
        "https://x",
        ["https://x"],
    ],
)
def test_urls_of_archives_must_be_urls(value):
    with pytest.raises(ConfigError, match="archive_urls"):
        Config({})["archive_urls"] = value


def test_urls_of_archives_come_from_anywhere(make):
    expected = {"gemini": "https://x/y"}
    text = '{"gemini": "https://x/y/"}'
    assert make({"NDMAPPER_ARCHIVE_URLS": text})["archive_urls"] == expected
    made = make(project='[archive_urls]\ngemini = "https://x/y/"\n')
    assert made["archive_urls"] == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("archive_timeout", 0), ("archive_timeout", "inf"), ("archive_timeout", True),
     ("archive_transfers", 0), ("offline", "perhaps")],
)  # fmt: skip
def test_impatience_has_limits(key, value):
    with pytest.raises(ConfigError, match=key):
        Config({})[key] = value


def test_file_with_bad_toml_names_the_file(make):
    with pytest.raises(ConfigError, match=r"project\.toml is not valid TOML"):
        make(project="outdir = ")["outdir"]


def test_file_with_unknown_key_names_the_file(make):
    with pytest.raises(UnknownKeyError, match=r"user\.toml"):
        make(user="colour = 1")["outdir"]


def test_using_restores_after_an_error():
    config = Config({})
    seen = []

    def work():
        with config.using(interact=True, outdir="there"):
            seen.append((config["interact"], config["outdir"]))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()
    assert seen == [(True, "there")]
    assert config.source("outdir") == "default"


def test_using_refuses_before_anything_changes():
    config = Config({})
    with pytest.raises(ConfigError), config.using(outdir="x", interact="perhaps"):
        pass
    assert config["outdir"] == "."


def test_snapshot_does_not_follow_later_changes():
    config = Config({})
    frozen = config.snapshot()
    config["outdir"] = "later"
    assert frozen["outdir"] == "."


def test_snapshot_none_means_that_the_call_says_nothing():
    config = Config({})
    config["reprocess"] = False
    assert config.snapshot(reprocess=None)["reprocess"] is False


def test_snapshot_is_read_only():
    with pytest.raises(TypeError):
        Config({}).snapshot()["outdir"] = "x"  # type: ignore[index]


def test_delete_forgets_what_the_script_said():
    config = Config({})
    config["interact"] = True
    del config["interact"]
    assert config.source("interact") == "default"


def test_repr_lists_every_key_with_its_source():
    text = repr(Config({}))
    assert all(f"{name} = " in text for name in KEYS)


def test_errors_of_the_configuration_share_the_base():
    assert issubclass(ConfigError, NdmapperError)
    assert issubclass(ConfigError, ValueError)


def test_using_leaves_other_keys_set_within_it():
    config = Config({})
    with config.using(interact=True):
        config["outdir"] = "there"
    assert (config["outdir"], config["interact"]) == ("there", False)


def test_scope_forgets_all_that_was_set_within():
    config = Config({})
    with config.scope():
        config["outdir"] = "there"
    assert config.source("outdir") == "default"


# ---- variables of the environment that no setting has are errors


def read(tmp_path, **environ):
    nowhere = tmp_path / "none.toml"
    return Config(user_file=nowhere, project_file=nowhere, environ=environ)["reprocess"]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("NDMAPPER_REPROCES", "NDMAPPER_REPROCESS"),
        ("NDMAPPER_WORKER", "NDMAPPER_WORKERS"),
        ("NDMAPPER_ESO_PASWORD", "NDMAPPER_ESO_PASSWORD"),
        ("NDMAPPER_CREDENTIAL", "NDMAPPER_CREDENTIALS"),
    ],
)
def test_misspelt_variable_is_an_error_with_a_suggestion(tmp_path, variable, meant):
    with pytest.raises(UnknownKeyError, match=f"{variable}.*did you mean '{meant}'"):
        read(tmp_path, **{variable: "1"})


@pytest.mark.parametrize(
    "variable",
    [
        "NDMAPPER_ESO_USER",
        "NDMAPPER_MYARCHIVE_TOKEN",
        "NDMAPPER_CREDENTIALS",
        "NDMAPPER_FUZZ",
        "NDMAPPER_TEST_DATA",
        "MY_NDMAPPER_X",
        "ndmapper_x",
    ],
)
def test_other_variables_are_none_of_its_business(tmp_path, variable):
    assert read(tmp_path, **{variable: "x", "NDMAPPER_REPROCESS": "auto"}) == "auto"
