"""What a working folder's ndmapper.toml may not say."""

import pickle
from pathlib import Path

import pytest

from ndmapper.cli import main
from ndmapper.config import Config, Refused, config
from ndmapper.engines import Task, get_engine
from ndmapper.errors import ConfigError, ServiceAccessError
from ndmapper.services.transfer.http import Http
from ndmapper.testing.archives import LoopbackArchives

PROGRAMS = {
    "esorex": "./evil",
    "esorex_plugins": "/tmp/evil",
    "esorex_prefix": "./evil",
    "iraf_python": "./evil",
    "iraf_setup": "evil.cl",
    "cluster": "tcp://evil.example:8786",
}


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Give the user's file and that of the working folder, which config reads."""
    monkeypatch.chdir(tmp_path)
    user, project = tmp_path / "user.toml", tmp_path / "ndmapper.toml"
    monkeypatch.setattr(config, "_user_file", user)
    monkeypatch.setattr(config, "_project_file", project)
    monkeypatch.setattr(config, "_trusted", set())
    return user, project


@pytest.mark.parametrize("key", PROGRAMS)
def test_program_of_a_folder_is_refused_until_the_user_trusts_it(places, key):
    user, project = places
    project.write_text(f"{key} = {PROGRAMS[key]!r}\n")
    config.reload()
    value = config[key]
    assert isinstance(value, Refused)
    assert PROGRAMS[key] in repr(value)
    for use in (str, Path):
        with pytest.raises(ConfigError, match=rf"{key}.*trusted_folders.*--trust-fold"):
            use(value)
    assert pickle.loads(pickle.dumps(value)).value == PROGRAMS[key]
    user.write_text(f"trusted_folders = ['{project.parent}']\n")
    config.reload()
    assert config[key] == PROGRAMS[key]


def test_command_line_trusts_the_folder_it_is_in(places, capsys):
    places[1].write_text("esorex = 'mine'\n")
    config.reload()
    assert main(["config", "--json", "esorex"]) == 0
    assert "not trusted" in capsys.readouterr().out
    assert main(["config", "--trust-folder", "esorex"]) == 0
    assert "not trusted" not in capsys.readouterr().out


def test_trust_is_of_one_folder_alone(places, tmp_path):
    places[0].write_text(f"trusted_folders = ['{tmp_path.parent}', '{tmp_path}/x']\n")
    places[1].write_text("esorex = 'mine'\n")
    config.reload()
    assert isinstance(config["esorex"], Refused)


def test_no_folder_trusts_itself(places, tmp_path):
    places[1].write_text(f"trusted_folders = ['{tmp_path}']\n")
    config.reload()
    with pytest.raises(ConfigError, match=r"only your own .*user.toml"):
        config["esorex"]
    places[1].unlink()
    environ = {"NDMAPPER_TRUSTED_FOLDERS": str(tmp_path)}
    with pytest.raises(ConfigError, match="NDMAPPER_TRUSTED_FOLDERS"):
        Config(environ, *places)["esorex"]


@pytest.mark.parametrize("value", ["'raw'", "5", "['a', 3]"])
def test_trusted_folders_are_whole_paths(places, value):
    places[0].write_text(f"trusted_folders = {value}\n")
    config.reload()
    with pytest.raises(ConfigError, match="whole paths"):
        config["esorex"]


@pytest.mark.parametrize(
    ("engine", "key"),
    [("esorex", "esorex"), ("esorex", "esorex_plugins"), ("iraf", "iraf_python"),
     ("iraf", "iraf_setup")],
)  # fmt: skip
def test_engines_run_nothing_that_only_the_folder_names(places, engine, key):
    program = places[1].with_name("evil")
    program.write_text(f"#!/bin/sh\ntouch {places[1].with_name('PWNED')}\n")
    program.chmod(0o755)
    places[1].write_text(f"{key} = '{program}'\n")
    config.reload()
    task = Task(engine=engine, name="muse_bias", inputs=(), outputs=())
    with pytest.raises(ConfigError, match="do not trust"):
        get_engine(engine).tool(task)
    assert main(["doctor"]) in (0, 3)
    assert not places[1].with_name("PWNED").exists()


def test_what_the_user_and_the_script_say_is_used(places):
    places[0].write_text("esorex = 'mine'\n")
    places[1].write_text("esorex = 'evil'\n")
    config.reload()
    assert config.own("esorex") == "mine"
    with config.using(esorex="script's"):
        assert config["esorex"] == config.own("esorex") == "script's"


class Credential:
    """A credential that counts how often it is asked for."""

    def __init__(self):
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return {"Authorization": "Bearer geheim"}


@pytest.fixture
def archive():
    """Run archives that nothing in the configuration leads to yet."""
    archives = LoopbackArchives()
    archives.start()
    yield archives.urls["gemini"]
    archives.stop()


@pytest.mark.parametrize("place", ["folder", "environment"])
def test_host_that_only_others_name_gets_no_credential(
    places, archive, place, monkeypatch, caplog
):
    url = archive
    if place == "folder":
        places[1].write_text(f"archive_urls = {{gemini = '{url}'}}\n")
    else:
        monkeypatch.setenv("NDMAPPER_ARCHIVE_URLS", f'{{"gemini": "{url}"}}')
    config.reload()
    auth = Credential()
    http = Http("gemini", "https://archive.example", auth=auth, attempts=1)
    http.ask("/jsonsummary/canonical/filename=x.fits")
    assert not auth.asked
    assert "gets no password" in caplog.text
    with pytest.raises(ServiceAccessError, match="gets no password"):
        http.ask("/login", method="POST", data={"password": "geheim"}, is_login=True)


@pytest.mark.parametrize("place", ["user", "script", "trusted"])
def test_host_that_the_user_names_gets_the_credential(places, archive, place):
    url = archive
    line = f"archive_urls = {{gemini = '{url}'}}\n"
    if place == "script":
        config["archive_urls"] = {"gemini": url}
    elif place == "user":
        places[0].write_text(line)
    else:
        places[0].write_text(f"trusted_folders = ['{places[1].parent}']\n")
        places[1].write_text(line)
    config.reload()
    auth = Credential()
    http = Http("gemini", "https://archive.example", auth=auth, attempts=1)
    http.ask("/jsonsummary/canonical/filename=x.fits")
    assert auth.asked


def test_the_same_host_named_by_the_folder_too_gets_the_credential(places):
    places[1].write_text("archive_urls = {gemini = 'https://archive.example/mirror'}\n")
    config.reload()
    assert Http("gemini", "https://archive.example").takes_credentials
    assert not Http("gemini", "https://other.example").takes_credentials
