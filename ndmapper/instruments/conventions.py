"""
Conventions of flags: what each bit of the flags of a file means.

To add one, write ``flags/<name>.toml`` in this folder, and name it in the TOML of an
instrument (``flags = "<name>"``) or say in ``[applies]`` which headers are known by it.
"""

import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ndmapper.documents import load_toml
from ndmapper.errors import ConfigError, InstrumentError, did_you_mean

__all__ = ["FlagBit", "FlagTable", "flag_conventions", "load_flags"]

OWN = "ndmapper"
"""The convention that all others are translated by."""

ALL_BITS = (1 << 64) - 1
"""Conventions name the lower 32 of them; integers have room for more."""

_ADDED = {"INTERPOLATED"}
"""Flags that steps add to a convention, as far as it has bits without a name."""

_FOLDER = Path(__file__).parent / "flags"
_TOKEN = re.compile(r"[^\s|,+]+")


@dataclass(frozen=True, kw_only=True)
class FlagBit:
    """
    One flag of a convention.

    Parameters
    ----------
    bit : int
        Its number, from 0.
    name : str
        Its name.
    means : str
        What is wrong with a pixel that has it, in a few words.
    own : str or None
        The one of ndmapper's own flags that it is like; None where it says nothing
        against the pixel.
    """

    bit: int
    name: str
    means: str = ""
    own: str | None = None

    @property
    def value(self) -> int:
        """The number with only this bit set."""
        return 1 << self.bit


@dataclass(frozen=True, kw_only=True)
class FlagTable:
    """
    A convention: the names of the bits of flags.

    Parameters
    ----------
    name : str
        Short name, that of its TOML.
    description : str
        Who uses it.
    bits : tuple of FlagBit
        The flags.
    from_own : mapping of str to str
        The flag that stands for each of ndmapper's own, by name; empty for none.
    applies : mapping of str to tuple of str
        Header keywords, and patterns of their values, that say that a file has it.
    aliases : tuple of str
        Other names that it goes by.
    """

    name: str
    description: str = ""
    bits: tuple[FlagBit, ...]
    from_own: Mapping[str, str] = field(default_factory=dict)
    applies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()

    def value(self, flags: int | str | Iterable[int | str]) -> int:
        """
        Find the bits that names stand for.

        Parameters
        ----------
        flags : int, str, or several of them
            Names of this convention, and of ndmapper's own flags, where all that are
            like it are meant; in any case, separated by ``|`` or commas. ALL and NONE
            are names, too, and ``-NAME`` takes away.

        Returns
        -------
        int
            The bits. A name that only other conventions have stands for none.

        Raises
        ------
        ConfigError
            If no convention has such a name, or it is neither a name nor bits.
        """
        if isinstance(flags, int):
            return int(flags)
        if not isinstance(flags, Iterable):
            raise _no_flags(flags)
        total = 0
        words = [flags] if isinstance(flags, str) else list(flags)
        tokens = [
            t for w in words for t in (_TOKEN.findall(w) if isinstance(w, str) else [w])
        ]
        for number, token in enumerate(tokens):
            if isinstance(token, int):
                total |= token
            elif not isinstance(token, str):
                raise _no_flags(token)
            elif token.startswith("-"):
                total = (total if number else ALL_BITS) & ~self._named(token[1:])
            else:
                total |= self._named(token)
        return total

    def _named(self, name: str) -> int:
        wanted = name.upper()
        if wanted in ("ALL", "NONE"):
            return ALL_BITS if wanted == "ALL" else 0
        if wanted.isdecimal():
            return int(wanted)
        # In every convention the names of own flags mean all that are like them.
        named = [b for b in self.bits if wanted in (b.name.upper(), b.own)]
        if named:
            return functools.reduce(lambda total, b: total | b.value, named, 0)
        known = {b.name.upper() for n in flag_conventions() for b in load_flags(n).bits}
        if wanted in known or wanted in _ADDED:
            return 0
        msg = (
            f"no convention has a flag {name!r}"
            f"{did_you_mean(wanted, {b.name.upper() for b in self.bits} | known)}"
        )
        raise ConfigError(msg)

    def names(self, value: int) -> list[str]:
        """
        List the flags that are set.

        Parameters
        ----------
        value : int
            The flags of a pixel.

        Returns
        -------
        list of str
            Their names, lowest bit first; ``bit N`` for one without a name.
        """
        value = int(value) & (0xFFFFFFFF if value < 0 else ALL_BITS)
        known = {b.bit: b.name for b in self.bits}
        return [known.get(n, f"bit {n}") for n in range(64) if value >> n & 1]

    def like_own(self, flag: int) -> int:
        """
        Find the bits that correspond to ndmapper's own flags.

        Parameters
        ----------
        flag : int
            Own flags, for instance ``Flag.BAD | Flag.SATURATED``.

        Returns
        -------
        int
            Bits of this convention. What it has no word for becomes its flag for BAD,
            but OVERLAP, which says nothing against a pixel, is left out.
        """
        own = load_flags(OWN)
        total = 0
        for bit in own.bits:
            name = self.from_own.get(bit.name)
            if not name and bit.name != "OVERLAP":
                name = self.from_own.get("BAD")
            if flag & bit.value and name:
                total |= next(b.value for b in self.bits if b.name == name)
        return total

    def translation(self, to: "FlagTable") -> dict[int, int]:
        """
        Find the bits of another convention that correspond to each bit.

        Parameters
        ----------
        to : FlagTable
            The other one.

        Returns
        -------
        dict of int to int
            For each of 64 bits, by value, the bits in the other convention. Where both
            have a flag of one name it stays; else the own flag that it is like
            decides. What says nothing against a pixel becomes 0; bits without a name
            become the other's flag for BAD.
        """
        layout = [(b.bit, b.own) for b in self.bits]
        if layout == [(b.bit, b.own) for b in to.bits]:
            return {1 << n: 1 << n for n in range(64)}
        own = {b.name: b.value for b in load_flags(OWN).bits}
        there = {b.name.upper(): b.value for b in to.bits}
        known = {b.bit: b for b in self.bits}
        made = {}
        for number in range(64):
            bit = known.get(number)
            if bit is None:
                made[1 << number] = to.like_own(own["BAD"])
            elif bit.name.upper() in there:
                made[1 << number] = there[bit.name.upper()]
            else:
                made[1 << number] = to.like_own(own[bit.own]) if bit.own else 0
        return made


def flag_conventions() -> list[str]:
    """
    List the conventions of flags that come with ndmapper.

    Returns
    -------
    list of str
        Their names, sorted.
    """
    return list(_built_in_names())


def _no_flags(value: object) -> ConfigError:
    return ConfigError(f"flags are given by their names or as bits, not by {value!r}")


def load_flags(name_or_path: str | os.PathLike[str]) -> FlagTable:
    """
    Read a convention of flags.

    Parameters
    ----------
    name_or_path : str or path
        One of `flag_conventions`, or another name that one of them goes by, such as
        ``'dragons'`` and ``'muse'``; or the path of a TOML (``*.toml``) of one's own.

    Returns
    -------
    FlagTable
        The convention.

    Raises
    ------
    InstrumentError
        If there is no such convention, or its TOML is wrong.
    """
    try:
        given = os.fspath(name_or_path)
    except TypeError as err:
        msg = f"a convention of flags is given by its name, not by {name_or_path!r}"
        raise InstrumentError(msg) from err
    if given.endswith(".toml"):
        return _read(Path(given))
    name = given.strip().lower()
    if name not in _built_in_names():
        aliases = {a: n for n in flag_conventions() for a in _built_in(n).aliases}
        if name not in aliases:
            choice = did_you_mean(given, [*flag_conventions(), *aliases])
            msg = (
                f"there is no convention of flags {given!r}{choice}; one of your own "
                "is given as the path of its .toml"
            )
            raise InstrumentError(msg)
        name = aliases[name]
    return _built_in(name)


@functools.cache
def _built_in_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@functools.cache
def _built_in(name: str) -> FlagTable:
    return _read(_FOLDER / f"{name}.toml")


def _read(path: Path) -> FlagTable:
    try:
        document = load_toml(path.read_bytes())
    except OSError as err:
        msg = f"the flags file {path} cannot be read ({err.strerror})"
        raise InstrumentError(msg) from err
    except ValueError as err:
        msg = f"the flags file {path} is not valid TOML: {err}"
        raise InstrumentError(msg) from err
    try:
        return _table(document, path.stem)
    except (ValueError, TypeError, KeyError, AttributeError) as err:
        msg = f"the flags file {path} is wrong: {err}"
        raise InstrumentError(msg) from err


def _table(document: Mapping[str, Any], name: str) -> FlagTable:
    known = {"schema", "description", "bits", "from_own", "applies", "aliases"}
    for key in document:
        if key not in known:
            msg = f"there is no key {key!r}{did_you_mean(key, known)}"
            raise ValueError(msg)
    if document.get("schema") != 1:
        msg = f"expected schema 1, found {document.get('schema')!r}"
        raise ValueError(msg)
    bits = tuple(FlagBit(**given) for given in document.get("bits", ()))
    from_own = dict(document.get("from_own", {}))
    own = {b.name for b in bits} if name == OWN else set(load_flags(OWN).from_own)
    for bit in bits:
        if type(bit.bit) is not int or not 0 <= bit.bit < 32:
            msg = f"bits have numbers from 0 to 31, not {bit.bit!r} ({bit.name})"
            raise ValueError(msg)
        if bit.own is not None and bit.own not in own:
            msg = f"{bit.name} is like {bit.own!r}{did_you_mean(bit.own, own)}"
            raise ValueError(msg)
    names = [b.name.upper() for b in bits]
    if len(set(names)) < len(names) or len({b.bit for b in bits}) < len(bits):
        msg = "two flags have one name or one bit"
        raise ValueError(msg)
    for key, value in from_own.items():
        if key not in own or (value and value not in {b.name for b in bits}):
            msg = f"from_own.{key} = {value!r}: no such flag"
            raise ValueError(msg)
    if from_own.get("BAD") == "":
        msg = "from_own.BAD is empty: there must be a flag for a bad pixel"
        raise ValueError(msg)
    if missing := own - set(from_own):
        msg = f"from_own does not say what stands for {', '.join(sorted(missing))}"
        raise ValueError(msg)
    applies = {
        key: (value,) if isinstance(value, str) else tuple(value)
        for key, value in document.get("applies", {}).items()
    }
    return FlagTable(
        name=name, description=str(document.get("description", name)), bits=bits,
        from_own=from_own, applies=applies,
        aliases=tuple(document.get("aliases", ())),
    )  # fmt: skip
