"""Credentials: where they are found, and that they are kept."""

import pickle
import sys
import types
from pathlib import Path

import pytest

from ndmapper.errors import ConfigError, FileAccessError
from ndmapper.services.credentials import Credentials, find_credentials
from ndmapper.services.redaction import Secret


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(sys.modules, "keyring", None)
    path = tmp_path / "credentials.toml"
    monkeypatch.setenv("NDMAPPER_CREDENTIALS", str(path))
    path.write_text(
        '[eso]\nuser = "me"\npassword = "of the file"\n[gemini]\ncookie = "biscuit"\n'
    )
    path.chmod(0o600)
    return path


def test_file_is_read(file: Path) -> None:
    found = find_credentials("eso")
    assert (found.user, found.password) == ("me", Secret("of the file"))
    assert find_credentials("gemini").cookie == Secret("biscuit")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(FileAccessError, match="chmod 600"):
        find_credentials("eso")


def test_environment_wins(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NDMAPPER_ESO_TOKEN", "of the environment")
    found = find_credentials("eso")
    assert found == Credentials(token=Secret("of the environment"))


def test_half_a_credential_is_none(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("NDMAPPER_ESO_USER", "somebody else")
    assert find_credentials("eso").user == "me"


def test_without_any_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setenv("NDMAPPER_CREDENTIALS", str(tmp_path / "none.toml"))
    assert not find_credentials("gemini")


@pytest.mark.parametrize(
    "text", ["[eso\npassword = 'starlight'", "[eso]\npasword = 'starlight'",
             "[eso]\npassword = 5", "eso = 'starlight'"],
)  # fmt: skip
def test_malformed_file_is_an_error_that_quotes_nothing(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        find_credentials("eso")
    assert "starlight" not in str(caught.value)
    assert file.name in str(caught.value)


def keyring(words: dict[tuple[str, str], str], user: str | None) -> types.ModuleType:
    module = types.ModuleType("keyring")
    module.get_password = lambda service, name: words.get((service, name))  # type: ignore[attr-defined]
    pair = types.SimpleNamespace(username=user, password="of the ring")
    module.get_credential = lambda service, _: pair if user else None  # type: ignore[attr-defined]
    return module


def test_keyring_gives_what_the_archive_handed_out(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.unlink()
    words = {("ndmapper gemini", "cookie"): "ring biscuit"}
    monkeypatch.setitem(sys.modules, "keyring", keyring(words, "me"))
    assert find_credentials("gemini") == Credentials(cookie=Secret("ring biscuit"))


def test_keyring_gives_user_and_password(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.unlink()
    monkeypatch.setitem(sys.modules, "keyring", keyring({}, "me"))
    found = find_credentials("eso")
    assert (found.user, found.password) == ("me", Secret("of the ring"))


def test_keyring_that_does_not_work_is_passed_over(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.unlink()
    module = types.ModuleType("keyring")

    def fail(*_: str) -> None:
        raise RuntimeError("no back end")

    module.get_password = fail  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", module)
    assert not find_credentials("eso")


def test_credentials_show_no_secret(file: Path) -> None:
    assert "of the file" not in repr(find_credentials("eso"))


def test_secret_is_not_written(file: Path) -> None:
    with pytest.raises(TypeError, match="is not written anywhere"):
        pickle.dumps(find_credentials("eso"))
