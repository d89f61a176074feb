"""Find and read the TOML of an instrument: packaged, of the user, beside the script."""

import functools
import hashlib
import logging
import os
import sys
from pathlib import Path
from typing import Any

import platformdirs

from ndmapper.config import config
from ndmapper.documents import can_be_name, is_file, load_toml
from ndmapper.errors import InstrumentError, did_you_mean
from ndmapper.instruments.conditions import like
from ndmapper.instruments.conventions import FlagTable, flag_conventions, load_flags
from ndmapper.instruments.from_toml import parse_instrument
from ndmapper.instruments.functions import Header, HeaderPair
from ndmapper.instruments.model import Instrument

__all__ = [
    "chosen",
    "filename_regexes",
    "has_fixed_amplifiers",
    "has_own_tables",
    "load",
    "names",
    "origin_of",
    "recognise",
    "recognise_flags",
    "user_folder",
]

log = logging.getLogger(__name__)

_FOLDER = Path(__file__).parent


@functools.cache
def user_folder() -> Path:
    """Return the folder of the user's instrument tables."""
    return Path(platformdirs.user_config_path("ndmapper")) / "instruments"


def _script_folder() -> Path | None:
    """Return the folder of the running script, whose instrument tables count too."""
    program = sys.argv[0] if sys.argv else ""
    if not program or not os.path.isfile(program):  # noqa: PTH113  # asked often
        return None
    return Path(os.path.dirname(os.path.abspath(program)))  # noqa: PTH100, PTH120


def names() -> list[str]:
    """
    List the instruments that are known by name.

    Returns
    -------
    list of str
        Those that come with ndmapper, those in the folder of the user, and those beside
        the script, sorted.
    """
    return sorted({*_built_in_names(), *_own()})


def chosen() -> Instrument | None:
    """
    Return the instrument that the configuration names.

    Returns
    -------
    Instrument or None
        None where ``config['instrument']`` is None, so that headers tell.

    Raises
    ------
    InstrumentError
        If there is no such instrument, or its TOML is wrong.
    """
    named = config["instrument"]
    return None if named is None else load(named)


def has_own_tables() -> bool:
    """
    Return whether instrument tables other than those of ndmapper are in use.

    Returns
    -------
    bool
        Whether the user, the script or the configuration brings one.
    """
    return config["instrument"] is not None or bool(_own())


def has_fixed_amplifiers(header: Header) -> bool:
    """
    Return whether a table of ndmapper describes the amplifiers of a file.

    Parameters
    ----------
    header : Header
        Its primary header.

    Returns
    -------
    bool
        Told sooner than by `recognise`, since few tables do.
    """
    pair = HeaderPair(header)
    return any(i.fixed_amplifiers and i.recognises(pair) for i in _by_precedence())


def origin_of(instrument: Instrument) -> str:
    """
    Return where the table of an instrument comes from.

    Parameters
    ----------
    instrument : Instrument
        The instrument.

    Returns
    -------
    {'packaged', 'user', 'script', 'given'}
        It comes with ndmapper, lies in the folder of the user or beside the script, or
        its path was given.
    """
    folder = Path(instrument.source).absolute().parent
    if folder == _FOLDER:
        return "packaged"
    if folder == user_folder().absolute():
        return "user"
    return "script" if folder == _script_folder() else "given"


def load(name_or_path: str | os.PathLike[str]) -> Instrument:
    """
    Load an instrument by its name or the path of its table.

    Parameters
    ----------
    name_or_path : str or path
        One of `names`, or the path of a TOML (``*.toml``) of one's own, from the
        working folder or else from that of the script. One beside the script, or in
        the folder of the user, goes before one of the same name that comes with
        ndmapper.

    Returns
    -------
    Instrument
        The instrument.

    Raises
    ------
    InstrumentError
        If there is no such instrument, or its TOML is wrong.
    """
    given = os.fspath(name_or_path)
    if given.endswith(".toml"):
        path, beside = Path(given), _script_folder()
        if beside is not None and not is_file(path) and is_file(beside / path):
            path = beside / path
        return _read_as_is(path)
    own = _own().get(given)
    if own is not None:
        return _read_as_is(own)
    if given not in _built_in_names():
        msg = (
            f"there is no instrument {given!r}{did_you_mean(given, names())}; an "
            f"instrument of your own is given as the path of its .toml, or put into "
            f"{user_folder()}"
        )
        raise InstrumentError(msg)
    return _built_in(given)


def recognise(header: Header) -> Instrument | None:
    """
    Recognise the instrument of a file.

    Parameters
    ----------
    header : Header
        Its primary header.

    Returns
    -------
    Instrument or None
        The one that ``config['instrument']`` names, whatever the header says. Else
        those beside the script are asked first, then those of the user, then those
        that come with ndmapper; None where none of them fits.
    """
    named = chosen()
    if named is not None:
        return named
    own = _readable()
    # The fallback is for files that no other table recognises.
    known = [*(i for i in own if not i.fallback), *_by_precedence()]
    known += [i for i in own if i.fallback]
    pair = HeaderPair(header)
    return next((i for i in known if i.recognises(pair)), None)


def recognise_flags(header: Header) -> FlagTable | None:
    """
    Recognise the flag convention of a file.

    Parameters
    ----------
    header : Header
        Its primary header.

    Returns
    -------
    FlagTable or None
        That of its instrument, else of its observatory; None where neither is known.
    """
    instrument = recognise(header)
    if instrument is not None and instrument.flags is not None:
        return load_flags(instrument.flags)
    pair = HeaderPair(header)
    for name in flag_conventions():
        table = load_flags(name)
        if table.applies and all(
            any(like(pair.get(key), pattern) for pattern in patterns)
            for key, patterns in table.applies.items()
        ):
            return table
    return None


def filename_regexes() -> list[str]:
    """
    List the regular expressions of base file names that instruments declare.

    Returns
    -------
    list of str
        One for each instrument with distinctive file names.
    """
    built_in = [_built_in(name) for name in _built_in_names()]
    found = (i.filename_regex for i in [*built_in, *_readable()])
    return list(dict.fromkeys(regex for regex in found if regex))


@functools.cache
def _built_in_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@functools.cache
def _by_precedence() -> tuple[Instrument, ...]:
    known = [_built_in(name) for name in _built_in_names()]
    return tuple(sorted(known, key=lambda i: (i.fallback, i.name)))


def _own() -> dict[str, Path]:
    """List the tables beside the script, then those of the user."""
    # Asked for every file that is opened, so a folder is only listed when it changed.
    beside = _script_folder()
    found = {} if beside is None else _tables(beside, _beside)
    return {
        **found,
        **{n: p for n, p in _tables(user_folder()).items() if n not in found},
    }


def _tables(folder: Path, listing: Any = None) -> dict[str, Path]:
    try:
        return dict((listing or _listed)(folder, folder.stat().st_mtime_ns))
    except OSError:
        return {}


@functools.lru_cache(maxsize=8)
def _listed(folder: Path, mtime_ns: int) -> dict[str, Path]:
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


@functools.lru_cache(maxsize=8)
def _beside(folder: Path, mtime_ns: int) -> dict[str, Path]:
    """List the TOMLs of a folder that describe an instrument."""
    found = _listed(folder, mtime_ns)
    return {name: path for name, path in found.items() if _describes(path)}


def _describes(path: Path) -> bool:
    try:
        text = path.read_text(encoding="utf-8")
        document = load_toml(text)
    except (OSError, UnicodeDecodeError):
        return False
    except ValueError:
        # One that is wrong is named as such.
        return text.lstrip().startswith("schema") and "[applies]" in text
    is_table = {"applies", "descriptors", "amplifier", "extends"} & set(document)
    return "schema" in document and bool(is_table) and "bits" not in document


def _readable() -> list[Instrument]:
    """Skip tables that are wrong: they must not keep other files from being opened."""
    found = []
    for path in _own().values():
        try:
            found.append(_read_as_is(path))
        except (InstrumentError, OSError) as err:
            _warn_once(f"{err}; it is left out")
    return found


@functools.cache
def _warn_once(message: str) -> None:
    log.warning(message)


@functools.cache
def _built_in(name: str) -> Instrument:
    return _read(_FOLDER / f"{name}.toml")


def _read_as_is(path: Path) -> Instrument:
    """Read a table, cached until it or one that it extends changes."""
    known = _tables_read.get(path)
    if known is None or any(_mark(file) != mark for file, mark in known[1].items()):
        files: dict[Path, _Mark] = {}
        document, digest = _document(path, (), files)
        instrument = parse_instrument(document, path.stem, str(path), digest)
        if len(_tables_read) >= _MOST:
            _tables_read.clear()
        known = _tables_read[path] = instrument, files
    return known[0]


_Mark = tuple[int, int, int] | None
_MOST = 64
_DEEPEST = 20
_tables_read: dict[Path, tuple[Instrument, dict[Path, _Mark]]] = {}
"""Instruments by path, with the files they were read from as those were then."""


def _mark(path: Path) -> _Mark:
    try:
        stat = path.stat()
    except (OSError, ValueError):
        return None
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def _read(path: Path) -> Instrument:
    document, digest = _document(path, (), {})
    return parse_instrument(document, path.stem, str(path), digest)


def _document(
    path: Path, above: tuple[Path, ...], files: dict[Path, _Mark]
) -> tuple[dict[str, Any], str]:
    """Read a TOML, merged with the one that it extends; note the files."""
    files[path] = _mark(path)
    where = f", which {above[-1]} extends," if above else ""
    if not can_be_name(path):
        msg = (
            f"the instrument file {str(path)!r}{where} has a name that no file can have"
        )
        raise InstrumentError(msg)
    try:
        text = path.read_text(encoding="utf-8")
        document = load_toml(text)
    except OSError as err:
        msg = f"the instrument file {path}{where} cannot be read ({err.strerror})"
        raise InstrumentError(msg) from err
    except ValueError as err:
        msg = f"the instrument file {path} is not valid TOML: {err}"
        raise InstrumentError(msg) from err
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    base = document.pop("extends", None)
    if base is None:
        return document, digest
    if not isinstance(base, str) or path in above or len(above) > _DEEPEST:
        msg = (
            f"the instrument file {path} is wrong at extends: expected the name or "
            f"path of another instrument, found {base!r}"
        )
        raise InstrumentError(msg)
    if base.endswith(".toml"):
        base_path = path.parent / base
    elif base in _built_in_names():
        base_path = _FOLDER / f"{base}.toml"
    else:
        msg = (
            f"the instrument file {path} extends {base!r}, which is none of "
            f"{', '.join(_built_in_names())}{did_you_mean(base, _built_in_names())}"
        )
        raise InstrumentError(msg)
    below, other = _document(base_path, (*above, path), files)
    return _extended(below, document), f"{digest}+{other}"


def _extended(below: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """Merge a table into another; its rules and classes are tried first."""
    result = dict(below)
    for key, value in document.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and key != "applies":
            result[key] = {**old, **value}
        elif key in {"class", "rule", "period"} and isinstance(old, list):
            result[key] = [*value, *old] if isinstance(value, list) else value
        else:
            result[key] = value
    return result
