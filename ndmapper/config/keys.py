"""The declared keys: their defaults, what values they take, and what they do."""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["KEYS", "Key"]

_WORDS = {
    "true": True, "yes": True, "on": True,
    "false": False, "no": False, "off": False,
    "none": None, "null": None, "": None,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Key:
    """
    One declared key.

    Parameters
    ----------
    name : str
        The key.
    default : object
        Its value where nobody says anything.
    check : callable
        Takes a value, returns it in its final form, or raises ValueError saying
        what was expected.
    doc : str
        What it does, in a sentence.
    """

    name: str
    default: Any
    check: Callable[[Any], Any]
    doc: str


def _word(value: Any) -> Any:
    return _WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _boolean(value: Any) -> bool:
    value = _word(value)
    if isinstance(value, bool):
        return value
    raise ValueError("True or False")


def _reprocess(value: Any) -> bool | str | None:
    value = _word(value)
    if value is None or isinstance(value, bool) or value in ("error", "auto"):
        return value  # type: ignore[no-any-return]
    raise ValueError(
        "None or 'error' (an existing output is an error), True, False or 'auto'"
    )


def _integer(value: Any) -> int:
    if isinstance(value, str):
        value = int(value, 0)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ValueError("an integer >= 0")


def _flags(value: Any) -> int | str:
    """Check bits, or names of flags; what the names mean depends on the file."""
    if isinstance(value, list | tuple | set | frozenset):
        value = (
            "|".join(v if isinstance(v, str) else str(_integer(v)) for v in value)
            or "NONE"
        )
    if isinstance(value, str):
        try:
            return _integer(value)
        except ValueError:
            words = re.split(r"[\s|,+]+", value.strip())
        if all(re.fullmatch(r"-?[A-Za-z]\w*|\d+", word) for word in words):
            return "|".join(words).upper()
    try:
        return _integer(value)
    except ValueError:
        raise ValueError("an integer >= 0, or names as in 'BAD|SATURATED'") from None


def _text_or_none(value: Any) -> str | None:
    value = _word(value)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)  # type: ignore[no-any-return]
    raise ValueError("a string or None")


def _text(value: Any) -> str:
    text = _text_or_none(value)
    if text is None:
        raise ValueError("a string")
    return text


def _cluster(value: Any) -> Any:
    if callable(getattr(value, "submit", None)) and hasattr(value, "scheduler"):
        return value  # a distributed.Client, which nobody wants to import for this
    try:
        return _text_or_none(value)
    except ValueError:
        raise ValueError("an address, a distributed.Client or None") from None


def _labels(value: Any) -> str | Mapping[str, Any] | None:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = json.loads(value)
    if isinstance(value, Mapping):
        known = {"data", "uncertainty", "flags", "uncertainty_is"}
        if unknown := set(value) - known:
            raise ValueError(
                f"a mapping with keys among {sorted(known)}, not {unknown}"
            )
        return MappingProxyType(dict(value))
    return _text_or_none(value)


def _workers(value: Any) -> int | str:
    if value == "all":
        return "all"
    try:
        if (number := _integer(value)) > 0:
            return number
    except ValueError:
        pass
    raise ValueError("a number from 1 on, or 'all'")


def _seconds(value: Any) -> float | None:
    value = _word(value)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = 0.0
    if isinstance(value, bool) or not 0 < number < float("inf"):
        raise ValueError("a number of seconds above 0, or None")
    return number


def _choice(*choices: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value in choices:
            return str(value)
        raise ValueError("one of " + ", ".join(repr(c) for c in choices))

    return check


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key(name="filename_regex", default=None, check=_text_or_none,
            doc="Regular expression of a base file name; None takes the union of the "
                "instruments' own."),
        Key(name="labels", default=None, check=_labels,
            doc="Names of the data, uncertainty and flags extensions: None recognises "
                "them, a preset's name, or a mapping."),
        Key(name="logfile", default="ndmapper.log", check=_text_or_none,
            doc="Log file; the default lies in outdir, None writes none."),
        Key(name="outdir", default=".", check=_text,
            doc="Folder of products, log and side data (.ndmapper/)."),
        Key(name="reprocess", default=None, check=_reprocess,
            doc="Where an output exists: None is an error, False re-uses it, "
                "True makes it again, 'auto' only if it differs from what would be "
                "made now."),
        Key(name="interact", default=False, check=_boolean,
            doc="Let steps that can ask the user do so."),
        Key(name="use_uncert", default=True, check=_boolean,
            doc="Propagate uncertainty."),
        Key(name="use_flags", default=True, check=_boolean,
            doc="Propagate flags."),
        Key(name="bad_flags", default=0xFFFFFFFF, check=_flags,
            doc="Bits of the flags that make a pixel masked: an integer, or names "
                "('BAD|SATURATED', '-OVERLAP' for all but one)."),
        Key(name="workers", default=1, check=_workers,
            doc="How many units of work are done at once: a number, or 'all'."),
        Key(name="cluster", default=None, check=_cluster,
            doc="A dask scheduler whose workers do the work: its address, such as "
                "tcp://host:8786, or a distributed.Client."),
        Key(name="on_error", default="stop", check=_choice("stop", "continue"),
            doc="What a step does with its other files when one fails."),
        Key(name="dry_run", default=False, check=_boolean,
            doc="Plan only: say what would be done, and do nothing."),
        Key(name="timeout", default=None, check=_seconds,
            doc="The most time that an external tool may take for one unit of work, "
                "in seconds."),
        Key(name="engine", default=None, check=_text_or_none,
            doc="The engine that steps take which have several: its name, or the start "
                "of the name of a task ('iraf', 'gemini')."),
        Key(name="iraf_python", default=None, check=_text_or_none,
            doc="The Python that runs IRAF tasks and has PyRAF; None is this one."),
        Key(name="iraf_setup", default=None, check=_text_or_none,
            doc="A file of CL lines that are added to login.cl: external packages."),
        Key(name="esorex", default="esorex", check=_text,
            doc="The esorex program: a name or a path."),
        Key(name="esorex_plugins", default=None, check=_text_or_none,
            doc="Folders of pipelines for esorex, with ':' between them; None finds "
                "them."),
        Key(name="record", default="file", check=_choice("file", "side", "both"),
            doc="Where the record of a product goes: into the file, into "
                "outdir/.ndmapper/records/, or both."),
        Key(name="provenance_tables", default=False, check=_boolean,
            doc="Also write the tables PROVENANCE and HISTORY that DRAGONS keeps, "
                "before the record."),
    )
}  # fmt: skip
"""The declared keys, by name."""
