"""The configuration mapping, with sources of different precedence."""

import os
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from ndmapper.config.keys import KEYS, Key
from ndmapper.config.trust import Refused
from ndmapper.documents import load_toml
from ndmapper.errors import (
    ConfigError,
    FileAccessError,
    UnknownKeyError,
    did_you_mean,
)

__all__ = ["Config", "Settings", "config"]

Settings = Mapping[str, Any]
"""An immutable snapshot of the configuration, for one call."""

_PREFIX = "NDMAPPER_"
# Environment variables that are no keys: credentials, and internal ones.
_OTHERS = re.compile(
    r"NDMAPPER_(CREDENTIALS|FUZZ|IN_WORKER|TEST_DATA|[A-Z0-9_]+_(USER|PASSWORD|TOKEN|COOKIE))"
)
_SHOWN = (
    "NDMAPPER_CREDENTIALS",
    *(f"NDMAPPER_ESO_{word}" for word in ("USER", "PASSWORD", "TOKEN")),
    *(f"NDMAPPER_GEMINI_{word}" for word in ("USER", "PASSWORD", "COOKIE")),
)


class Config(MutableMapping[str, Any]):
    """
    Mapping of the declared keys; sources of higher precedence win.

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
        self._files: dict[str, list[_Given]] | None = None
        self._trusted: set[Path] = set()

    def __getitem__(self, name: str) -> Any:
        return self._given(name).value

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
        Return where the value of a key comes from.

        Parameters
        ----------
        name : str
            The key.

        Returns
        -------
        str
            For instance ``"default"``, ``"script"`` or the path of a file.
        """
        return self._given(name).source

    def rows(self) -> list[tuple[str, Any, str]]:
        """
        List all keys.

        Returns
        -------
        list of (str, object, str)
            Key, value and source.
        """
        return [(name, *self._given(name)[:2]) for name in KEYS]

    def snapshot(self, **arguments: Any) -> Settings:
        """
        Return an immutable copy of the configuration.

        Parameters
        ----------
        **arguments : object
            Values given in a call, which have the highest precedence; None means that
            the call gives no value.

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
        values = {name: self._given(name).value for name in KEYS}
        return MappingProxyType(values | given)

    @contextmanager
    def using(self, **values: Any) -> Iterator["Config"]:
        """
        Set keys within a ``with`` block.

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
        """Restore all keys at the end of a ``with`` block."""
        before = dict(self._script)
        try:
            yield self
        finally:
            self._script = before

    def from_command_line(self, **values: Any) -> None:
        """
        Set the values of the command line, which win over the script's.

        Parameters
        ----------
        **values : object
            Key to value. Without any, the command line sets nothing.
        """
        self._command_line = {
            n: _checked(n, v, "the command line") for n, v in values.items()
        }

    def reload(self) -> None:
        """Read environment and TOML files again at the next access."""
        self._files = None

    def trust(self, folder: Path) -> None:
        """
        Let the ndmapper.toml of a folder set programs and hosts, in this process.

        Parameters
        ----------
        folder : Path
            The folder. To trust a folder permanently, set ``trusted_folders`` in the
            user's own file.
        """
        self._trusted.add(folder.resolve())
        self.reload()

    def own(self, name: str) -> Any:
        """
        Return the value set by the user's own sources, not by a working folder.

        Parameters
        ----------
        name : str
            The key.

        Returns
        -------
        object
            The value, ignoring environment variables and the file of a working folder
            that the user does not trust. These may be set by others, and must not
            determine where credentials are sent.
        """
        return self._given(name, own=True).value

    def _given(self, name: str, *, own: bool = False) -> "_Given":
        key = _declared(name)
        if name in self._command_line:
            return _Given(self._command_line[name], "command line", True)
        if name in self._script:
            return _Given(self._script[name], "script", True)
        if self._files is None:
            self._files = self._read_files()
        for given in self._files.get(name, ()):
            if given.is_own or not own:
                return given
        return _Given(key.default, "default", True)

    def _read_files(self) -> dict[str, list["_Given"]]:
        """Return the values of environment and files, highest precedence first."""
        import platformdirs  # when a value is asked for first

        user = self._user_file or (
            Path(platformdirs.user_config_dir("ndmapper", appauthor=False))
            / "ndmapper.toml"
        )
        project = self._project_file or Path("ndmapper.toml")
        found: dict[str, list[_Given]] = {}
        for name, value in _read_toml(user).items():
            checked = _checked(name, value, str(user))
            found[name] = [_Given(checked, str(user), True)]
        folder = Path(project.absolute()).parent.resolve()
        trusted = {Path(p).expanduser() for p in self._trusted_folders(found)}
        is_own = folder in self._trusted | {p.resolve() for p in trusted} or (
            project.absolute() == user.absolute()
        )
        for name, value in _read_toml(project).items():
            checked = _checked(name, value, str(project))
            if name == "trusted_folders" and not is_own:
                raise ConfigError(_own_alone(project, user))
            if KEYS[name].is_run and not is_own and checked != KEYS[name].default:
                checked = Refused(
                    checked,
                    f"{project.absolute()} sets {name} to {checked!r}, but what is run "
                    "is not taken from the file of a working folder that you do not "
                    f"trust; to trust it, add trusted_folders = [{str(folder)!r}] to "
                    f"your own {user}, or give the command the option --trust-folder",
                )
            found.setdefault(name, []).insert(0, _Given(checked, str(project), is_own))
        environ = os.environ if self._environ is None else self._environ
        for variable, text in environ.items():
            if not variable.startswith(_PREFIX) or _OTHERS.fullmatch(variable):
                continue
            name = variable.removeprefix(_PREFIX).lower()
            if name not in KEYS:
                known = [*(f"{_PREFIX}{key.upper()}" for key in KEYS), *_SHOWN]
                msg = (
                    f"the environment has {variable}, but there is no such setting"
                    f"{did_you_mean(variable, known)} (unset it if it is not needed)"
                )
                raise UnknownKeyError(msg)
            if name == "trusted_folders":
                raise ConfigError(_own_alone(variable, user))
            checked = _checked(name, text, variable)
            found.setdefault(name, []).insert(0, _Given(checked, variable, False))
        return found

    def _trusted_folders(self, found: Mapping[str, list["_Given"]]) -> Sequence[str]:
        given = found.get("trusted_folders")
        return given[0].value if given else ()


class _Given(NamedTuple):
    value: Any
    source: str
    is_own: bool


def _own_alone(place: object, user: Path) -> str:
    return (
        f"{place} sets trusted_folders, which only your own {user} can say; take it "
        "out, or look at what else is in there"
    )


def _declared(name: str) -> Key:
    try:
        return KEYS[name]
    except (KeyError, TypeError):
        msg = f"there is no configuration key {name!r}{did_you_mean(name, KEYS)}"
        raise UnknownKeyError(msg) from None


def _checked(name: str, value: Any, where: str) -> Any:
    try:
        key = _declared(name)
        return value if isinstance(value, Refused) else key.check(value)
    except UnknownKeyError as err:
        raise UnknownKeyError(f"{where}: {err}") from None
    except ValueError as err:
        msg = f"{where} sets {name} to {value!r}, but it must be {err}"
        raise ConfigError(msg) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as err:
        msg = f"the configuration file {path} cannot be read ({err.strerror})"
        raise FileAccessError(msg) from err
    try:
        return load_toml(text)
    except ValueError as err:
        msg = f"the configuration file {path} is not valid TOML: {err}"
        raise ConfigError(msg) from err


config = Config()
"""The configuration of this process."""
