"""Parameters of tasks, as PyRAF describes them, cached on disk."""

import contextlib
import functools
import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import platformdirs

from ndmapper.documents import load_json
from ndmapper.engines.iraf.installation import Installation, find_iraf, fingerprint
from ndmapper.engines.iraf.pool import worker
from ndmapper.engines.iraf.process import WorkerDiedError
from ndmapper.errors import DeclarationError, StepError

__all__ = ["Parameter", "describe"]

_SCHEMA = 2
_TIME = 60.0
"""Time limit for loading packages [s]."""

Scalar = bool | int | float | str | None


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a task."""

    # Name in IRAF; package parameters are ``package.name``.
    name: str
    # Type as in a parameter file: b, i, r, s, f, pset, struct, gcur, *struct ...
    type: str
    # Mode: a and q are query parameters, else h.
    mode: str
    # Default value; None if it has none.
    default: Scalar
    # Limits.
    min: Scalar
    max: Scalar
    # Allowed values.
    choices: list[str] | None
    # Prompt text.
    prompt: str

    @property
    def is_required(self) -> bool:
        """Whether a call must give a value."""
        # imexpr has a parameter for every letter, but asks only for those used.
        is_operand = len(self.name) == 1
        return self.mode.startswith("a") and self.default is None and not is_operand


def describe(
    installation: Installation, task: str, given: Iterable[str] = ()
) -> Mapping[str, Parameter] | None:
    """Return the parameters of a task, of its psets and of its packages."""
    if find_iraf() is None or installation.pyraf is None:
        return None
    key = fingerprint(installation), task, installation.python, installation.setup
    known = _cached(*key, ())
    elsewhere = sorted(name for name in given if name not in known and "_" in name)
    return _cached(*key, tuple(elsewhere)) if elsewhere else known


@functools.lru_cache(maxsize=256)
def _cached(
    mark: str, task: str, python: str, setup: str, elsewhere: tuple[str, ...]
) -> Mapping[str, Parameter]:
    path = _cache_file(mark, task, elsewhere)
    listed = _read(path)
    if listed is None:
        listed = _ask(Installation(python, setup), task, elsewhere)
        _write(path, listed)
    found: dict[str, Parameter] = {}
    for entry in listed:  # parameters of the task come first
        plain = {key: value for key, value in entry.items() if key != "alias"}
        name = entry.get("alias") or entry["name"].replace(".", "_")
        found.setdefault(name, Parameter(**plain))
    return MappingProxyType(found)


def _ask(
    installation: Installation, task: str, elsewhere: tuple[str, ...]
) -> list[dict[str, Any]]:
    message = {"do": "describe", "task": task, "elsewhere": elsewhere}
    try:
        with worker(installation) as process:
            reply = process.request(message, _TIME)
    except WorkerDiedError as err:
        msg = f"IRAF cannot be asked for the parameters of {task}: {err}"
        raise StepError(msg) from err
    if "failed" in reply:
        failed = reply["failed"]
        hint = (
            "; the name must be whole, with all packages, as in images.imutil.imarith, "
            "and external packages must be known to config['iraf_setup']"
            if failed["type"] == "LookupError"
            else ""
        )
        msg = f"IRAF does not know the task {task}: {failed['text']}{hint}"
        raise DeclarationError(msg)
    listed: list[dict[str, Any]] = reply["parameters"]
    return listed


def _cache_file(mark: str, task: str, elsewhere: tuple[str, ...]) -> Path:
    text = json.dumps([_SCHEMA, mark, task, elsewhere])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Path(platformdirs.user_cache_dir("ndmapper")) / "iraf" / f"{name}.json"


def _read(path: Path) -> list[dict[str, Any]] | None:
    try:
        listed = load_json(path.read_bytes())
        found = [
            Parameter(**{k: v for k, v in entry.items() if k != "alias"})
            for entry in listed
        ]
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    is_sound = (
        isinstance(listed, list)
        and all(map(_is_sound, found))
        and all(isinstance(entry.get("alias"), str | None) for entry in listed)
    )
    return listed if is_sound else None


def _is_sound(parameter: Parameter) -> bool:
    """Whether a cached parameter has valid types."""
    texts = (parameter.name, parameter.type, parameter.mode, parameter.prompt)
    scalars = (parameter.default, parameter.min, parameter.max)
    return (
        all(isinstance(text, str) for text in texts)
        and all(s is None or isinstance(s, bool | int | float | str) for s in scalars)
        and isinstance(parameter.choices, list | None)
        and all(isinstance(choice, str) for choice in parameter.choices or ())
    )


def _write(path: Path, listed: list[dict[str, Any]]) -> None:
    # Not an error: PyRAF is asked again.
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temp = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
        try:
            temp.write_text(json.dumps(listed))
            temp.replace(path)
        finally:
            temp.unlink(missing_ok=True)
