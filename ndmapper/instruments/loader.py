"""Find and read the descriptions of instruments."""

import functools
import os
import tomllib
from pathlib import Path

from ndmapper.errors import InstrumentError, did_you_mean
from ndmapper.instruments.descriptors import Header
from ndmapper.instruments.model import Instrument
from ndmapper.instruments.parse import parse_instrument

__all__ = ["filename_regexes", "load", "names", "recognise"]

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """
    List the instruments that come with ndmapper.

    Returns
    -------
    list of str
        Their names, sorted.
    """
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def load(name_or_path: str | os.PathLike[str]) -> Instrument:
    """
    Read the description of an instrument.

    Parameters
    ----------
    name_or_path : str or path
        One of `names`, or the path of a TOML (``*.toml``) of one's own.

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
        return _read(Path(given))
    if given not in names():
        msg = (
            f"there is no instrument {given!r}{did_you_mean(given, names())}; an "
            "instrument of your own is given as the path of its .toml"
        )
        raise InstrumentError(msg)
    return _built_in(given)


def recognise(header: Header) -> Instrument | None:
    """
    Say which instrument a file is of.

    Parameters
    ----------
    header : Header
        Its primary header.

    Returns
    -------
    Instrument or None
        None where none of those that come with ndmapper fits.
    """
    known = [_built_in(name) for name in names()]
    for instrument in sorted(known, key=lambda i: (i.fallback, i.name)):
        if instrument.recognises(header):
            return instrument
    return None


def filename_regexes() -> list[str]:
    """
    List the regular expressions of base file names that instruments declare.

    Returns
    -------
    list of str
        One for each instrument with distinctive file names.
    """
    found = (_built_in(name).filename_regex for name in names())
    return [regex for regex in found if regex]


@functools.cache
def _built_in(name: str) -> Instrument:
    return _read(_FOLDER / f"{name}.toml")


def _read(path: Path) -> Instrument:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        msg = f"the instrument file {path} cannot be read ({err.strerror})"
        raise InstrumentError(msg) from err
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        msg = f"the instrument file {path} is not valid TOML: {err}"
        raise InstrumentError(msg) from err
    return parse_instrument(document, path.stem, str(path))
