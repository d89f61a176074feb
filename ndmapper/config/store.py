"""The mapping of the declared keys, in which places of higher precedence win."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs

from ndmapper.config.keys import KEYS, Key
from ndmapper.errors import (
    ConfigError,
    FileAccessError,
    UnknownKeyError,
    did_you_mean,
)

__all__ = ["Config", "Settings", "config"]

Settings = Mapping[str, Any]
"""One frozen snapshot of the configuration, which a call takes along."""

_PREFIX = "NDMAPPER_"
# Credentials of archives, those of packages outside too, and what is not for users.
_OTHERS = re.compile(
    r"NDMAPPER_(CREDENTIALS|IN_WORKER|TEST_DATA|[A-Z0-9_]+_(USER|PASSWORD|TOKEN|COOKIE))"
)
_SHOWN = (
    "NDMAPPER_CREDENTIALS",
    *(f"NDMAPPER_ESO_{word}" for word in ("USER", "PASSWORD", "TOKEN")),
    *(f"NDMAPPER_GEMINI_{word}" for word in ("USER", "PASSWORD", "COOKIE")),
)


class Config(MutableMapping[str, Any]):
    """
    A mapping of the declared keys, in which places of higher precedence win.

    Parameters
    ----------
    environ : mapping, optional
        The environment variables; those of the process by default.
    user_file : Path, optional
        The user's own TOML file.
    project_file : Path, optional
        The TOML file of the working folder.
    """

    def __init__(
        self,
        environ: Mapping[str, str] | None = None,
        user_file: Path | None = None,
        project_file: Path | None = None,
    ) -> None:
        self._environ = environ
        self._user_file = user_file
        self._project_file = project_file
        self._command_line: dict[str, Any] = {}
        self._script: dict[str, Any] = {}
        self._files: dict[str, tuple[Any, str]] | None = None

    def __getitem__(self, name: str) -> Any:
        return self._find(name)[0]

    def __setitem__(self, name: str, value: Any) -> None:
        self._script[name] = _checked(name, value, "this script")

    def __delitem__(self, name: str) -> None:
        _declared(name)
        self._script.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(KEYS)

    def __len__(self) -> int:
        return len(KEYS)

    def __repr__(self) -> str:
        rows = (
            f"  {name} = {value!r}  ({source})" for name, value, source in self.rows()
        )
        return "\n".join(["ndmapper configuration", *rows])

    def source(self, name: str) -> str:
        """
        Say where the value of a key comes from.

        Parameters
        ----------
        name : str
            The key.

        Returns
        -------
        str
            For instance ``"default"``, ``"script"`` or the path of a file.
        """
        return self._find(name)[1]

    def rows(self) -> list[tuple[str, Any, str]]:
        """
        List every key.

        Returns
        -------
        list of (str, object, str)
            Key, value and source.
        """
        return [(name, *self._find(name)) for name in KEYS]

    def snapshot(self, **arguments: Any) -> Settings:
        """
        Freeze the configuration as it is now.

        Parameters
        ----------
        **arguments : object
            Values given in a call, which win over every other place; None means
            that the call says nothing.

        Returns
        -------
        mapping
            Read-only, key to value.
        """
        given = {
            name: _checked(name, value, "this call")
            for name, value in arguments.items()
            if value is not None
        }
        return MappingProxyType({name: self[name] for name in KEYS} | given)

    @contextmanager
    def using(self, **values: Any) -> Iterator["Config"]:
        """
        Set keys for as long as a ``with`` block lasts.

        Parameters
        ----------
        **values : object
            Key to value.
        """
        checked = {n: _checked(n, v, "config.using") for n, v in values.items()}
        before = {n: self._script[n] for n in checked if n in self._script}
        self._script.update(checked)
        try:
            yield self
        finally:
            for name in checked:
                self._script.pop(name, None)
            self._script.update(before)

    @contextmanager
    def scope(self) -> Iterator["Config"]:
        """Forget, at the end of a ``with`` block, all that was set within it."""
        before = dict(self._script)
        try:
            yield self
        finally:
            self._script = before

    def from_command_line(self, **values: Any) -> None:
        """
        Replace the values that the command line gives, which win over the script's.

        Parameters
        ----------
        **values : object
            Key to value. Called without any, nothing is left of the command line.
        """
        self._command_line = {
            n: _checked(n, v, "the command line") for n, v in values.items()
        }

    def reload(self) -> None:
        """Read the environment and the TOML files anew at the next look-up."""
        self._files = None

    def _find(self, name: str) -> tuple[Any, str]:
        key = _declared(name)
        if name in self._command_line:
            return self._command_line[name], "command line"
        if name in self._script:
            return self._script[name], "script"
        if self._files is None:
            self._files = self._read_files()
        return self._files.get(name, (key.default, "default"))

    def _read_files(self) -> dict[str, tuple[Any, str]]:
        user = self._user_file or (
            Path(platformdirs.user_config_dir("ndmapper", appauthor=False))
            / "ndmapper.toml"
        )
        project = self._project_file or Path("ndmapper.toml")
        found: dict[str, tuple[Any, str]] = {}
        for path in (user, project):
            for name, value in _read_toml(path).items():
                found[name] = (_checked(name, value, str(path)), str(path))
        environ = os.environ if self._environ is None else self._environ
        for variable, text in environ.items():
            if not variable.startswith(_PREFIX) or _OTHERS.fullmatch(variable):
                continue
            name = variable.removeprefix(_PREFIX).lower()
            if name not in KEYS:
                known = [*(f"{_PREFIX}{key.upper()}" for key in KEYS), *_SHOWN]
                msg = (
                    f"the environment has {variable}, but there is no such setting"
                    f"{did_you_mean(variable, known)}; unset it if it is not needed"
                )
                raise UnknownKeyError(msg)
            found[name] = (_checked(name, text, variable), variable)
        return found


def _declared(name: str) -> Key:
    try:
        return KEYS[name]
    except (KeyError, TypeError):
        msg = f"there is no configuration key {name!r}{did_you_mean(name, KEYS)}"
        raise UnknownKeyError(msg) from None


def _checked(name: str, value: Any, where: str) -> Any:
    try:
        key = _declared(name)
        return key.check(value)
    except UnknownKeyError as err:
        raise UnknownKeyError(f"{where}: {err}") from None
    except ValueError as err:
        msg = f"{where} sets {name} to {value!r}, but it must be {err}"
        raise ConfigError(msg) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        msg = f"the configuration file {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as err:
        msg = f"the configuration file {path} is not valid TOML: {err}"
        raise ConfigError(msg) from err


config = Config()
"""The configuration of this process."""
