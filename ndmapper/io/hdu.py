"""An HDU to be written, and the form in which its pixels are stored."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from ndmapper.errors import FormatError
from ndmapper.io.arrays import ArrayHandle
from ndmapper.io.cards import card_bytes
from ndmapper.io.filemap import HduMap
from ndmapper.io.headers import Header, StoredHeader, whole_header
from ndmapper.io.quickheader import card_value

__all__ = [
    "HduOut",
    "StoredForm",
    "array_header",
    "carried_header",
    "encoded",
    "stored_form",
]


@dataclass(frozen=True)
class StoredForm:
    """How an array is, or will be, stored."""

    bitpix: int
    # Shape in the order of Python. In FITS a single number is an axis of one pixel.
    shape: tuple[int, ...]
    scaling: dict[str, float]  # the values of BSCALE, BZERO and BLANK that are needed


_BITPIX = {
    "u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64,
    "i1": 8, "u2": 16, "u4": 32, "u8": 64, "b1": 8, "f2": -32,
}  # fmt: skip
_BZERO = {"i1": -128, "u2": 1 << 15, "u4": 1 << 31, "u8": 1 << 63}


def stored_form(data: ArrayHandle | npt.NDArray[Any]) -> StoredForm:
    """Return how pixels are, or will be, stored."""
    if isinstance(data, ArrayHandle):
        scaling: dict[str, float] = {}
        if data.bscale != 1 or data.bzero != 0:
            scaling |= {"BSCALE": data.bscale, "BZERO": data.bzero}
        if data.blank is not None:
            scaling["BLANK"] = data.blank
        return StoredForm(data.bitpix, data.stored_shape, scaling)
    kind = f"{data.dtype.kind}{data.dtype.itemsize}"
    if kind not in _BITPIX:
        msg = (
            f"an array of type {data.dtype} cannot be written to FITS; convert it to "
            "a type with up to 64 bits, such as float32"
        )
        raise FormatError(msg)
    bzero = _BZERO.get(kind)
    return StoredForm(
        _BITPIX[kind],
        data.shape or (1,),  # in FITS nothing follows a header without axes
        {} if bzero is None else {"BSCALE": 1, "BZERO": bzero},
    )


def encoded(
    pixels: npt.NDArray[Any], form: StoredForm, *, in_place: bool = False
) -> npt.NDArray[np.uint8]:
    """Encode a row of pixels; with `in_place` in the memory that they have."""
    size = abs(form.bitpix) // 8
    kind = "f" if form.bitpix < 0 else "u"
    stored = np.dtype(f">{kind}{size}")
    if form.bitpix < 0:
        numbers = pixels
    else:
        # Two's complement: the bits are kept, and with BZERO the highest turned.
        numbers = np.ascontiguousarray(
            pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        ).view(f"u{size}")
        if form.scaling:
            numbers = np.bitwise_xor(
                numbers,
                numbers.dtype.type(1 << (8 * size - 1)),
                out=numbers if in_place else None,
            )
    if in_place and numbers.dtype == stored:
        swapped = numbers
    elif in_place and numbers.dtype.itemsize == size:
        swapped = numbers.view(stored)
        swapped[...] = numbers
    else:
        swapped = numbers.astype(stored)
    return swapped.view(np.uint8)


@dataclass(frozen=True)
class HduOut:
    """An HDU to be written."""

    header: bytes  # the header, padded to whole blocks
    # Pixels that are copied as they are stored, an array to be encoded, or an HDU of
    # which the data are copied.
    data: ArrayHandle | npt.NDArray[Any] | HduMap | None = None
    is_tiled: bool = False
    like: ArrayHandle | None = None  # a compressed image whose tiling is kept


_FORM = {"SIMPLE", "XTENSION", "BITPIX", "NAXIS", "PCOUNT", "GCOUNT", "GROUPS"}
_SCALING = ("BSCALE", "BZERO", "BLANK")
_NO_SCALING = {"BSCALE": 1, "BZERO": 0}
# They are of the old bytes.
_SUMS = {"CHECKSUM", "DATASUM"}


def array_header(
    stored: StoredHeader | Header,
    form: StoredForm | None,
    *,
    primary: bool,
    name: str | None = None,
    version: int | None = None,
    unit: str | None = None,
) -> bytes:
    """
    Make the header of an array, keeping the cards that are right.

    Of name, version and unit, None leaves a card as it is and an empty string removes
    it.
    """
    if name:
        _refuse_name(name)
    header = stored.header if isinstance(stored, StoredHeader) else stored
    cards = list(header.cards)
    structure = _structure(cards, form, primary=primary)
    scaling = {} if form is None else form.scaling
    was_extension = any(card.keyword == "XTENSION" for card in cards)
    rest: list[fits.Card] = []
    kept: set[str] = set()
    for card in cards:
        keyword = card.keyword
        if keyword in _SUMS or (_is_form(keyword) and not _says_nothing(card, primary)):
            continue
        if keyword in scaling:
            if not _equals(card, scaling[keyword]):
                continue
            kept.add(keyword)
        elif keyword in _SCALING and not _is_idle(card, cards, form):
            continue
        if keyword == "EXTEND" and not primary and not was_extension:
            continue
        rest.append(card)
    missing = [k for k in _SCALING if k in scaling and k not in kept]
    new = [fits.Card(k, scaling[k], _comment(cards, k)) for k in missing]
    if primary and not any(c.keyword == "EXTEND" for c in rest):
        new.insert(0, fits.Card("EXTEND", True, "there may be extensions"))
    is_there = any(card.keyword == "EXTNAME" for card in rest)
    made_name = bool(name) and not primary and not is_there
    for keyword, value, comment in (
        ("EXTNAME", name or None, "name of this extension"),
        ("EXTVER", version, "number of this extension"),
        ("BUNIT", unit or None, "unit of the pixels"),
    ):
        if value is not None:
            _set(rest, new, keyword, value, comment)
    gone = {key for key, text in (("BUNIT", unit), ("EXTNAME", name)) if text == ""}
    rest = [card for card in rest if card.keyword not in gone]
    if made_name and not any(c.keyword == "INHERIT" for c in rest):
        new.append(fits.Card("INHERIT", False, "does not inherit the primary header"))
    made = whole_header([*structure, *new, *rest])
    raw = stored.raw if isinstance(stored, StoredHeader) else None
    if raw is not None and _same_cards(made, raw):
        return raw  # with whatever padding it had
    return made


def _refuse_name(name: str) -> None:
    """Refuse a name that a card cannot hold."""
    if not (name.isascii() and name.isprintable()):
        msg = (
            f"the name {name!r} of an extension cannot be saved: it may have letters, "
            "numbers and signs of ASCII alone; set its ident"
        )
        raise FormatError(msg)


def carried_header(stored: StoredHeader) -> bytes:
    """Make the header of data that are copied: the cards of their form stay."""
    if not stored.is_touched:
        return stored.raw or whole_header([])
    form = [card for card in stored.pristine().cards if _is_form(card.keyword)]
    rest = [
        card
        for card in stored.header.cards
        if not _is_form(card.keyword) and card.keyword not in _SUMS
    ]
    return whole_header([*form, *rest])


def _structure(
    cards: list[fits.Card], form: StoredForm | None, *, primary: bool
) -> list[fits.Card]:
    shape = () if form is None else form.shape
    wanted: list[tuple[str, Any, str]] = [
        ("SIMPLE", True, "conforms to FITS standard")
        if primary
        else ("XTENSION", "IMAGE", "image extension"),
        ("BITPIX", 8 if form is None else form.bitpix, "array data type"),
        ("NAXIS", len(shape), "number of array dimensions"),
    ]
    wanted += [(f"NAXIS{i}", n, "") for i, n in enumerate(reversed(shape), start=1)]
    if not primary:
        wanted += [("PCOUNT", 0, "number of parameters"), ("GCOUNT", 1, "groups")]
    return [_kept_or_new(cards, *item) for item in wanted]


def _kept_or_new(
    cards: list[fits.Card], keyword: str, value: Any, comment: str
) -> fits.Card:
    old = next((card for card in cards if card.keyword == keyword), None)
    if old is None:
        return fits.Card(keyword, value, comment or None)
    if (
        keyword == "BITPIX"
        and value == 8
        and _keyword(cards, "NAXIS") == 0
        and (not any(card.keyword == "NAXIS1" for card in cards))
    ):
        return old  # without pixels BITPIX says nothing, so it stays
    if _equals(old, value):
        return old
    return fits.Card(keyword, value, old.comment)


def _keyword(cards: list[fits.Card], keyword: str) -> Any:
    return next((card.value for card in cards if card.keyword == keyword), None)


def _is_form(keyword: str) -> bool:
    return keyword in _FORM or (keyword[:5] == "NAXIS" and keyword[5:].isdigit())


def _says_nothing(card: fits.Card, primary: bool) -> bool:
    """Whether a card gives the default form of an image, and can go."""
    if card.keyword == "GROUPS":
        return _equals(card, False)
    wanted = {"PCOUNT": 0, "GCOUNT": 1}.get(card.keyword) if primary else None
    return wanted is not None and _equals(card, wanted)


def _is_idle(card: fits.Card, cards: list[fits.Card], form: StoredForm | None) -> bool:
    """Whether a scaling card had no effect in this header, and has none now."""
    if form is None:
        return bool(_keyword(cards, "NAXIS") == 0)
    if card.keyword == "BLANK":
        return bool(form.bitpix == _keyword(cards, "BITPIX") < 0)
    return _equals(card, _NO_SCALING[card.keyword])


def _equals(card: fits.Card, value: Any) -> bool:
    # That of most is known, and a card takes its time to parse itself.
    old = card_value(card_bytes(card))
    if old is None or isinstance(old, str):
        try:
            old = card.value
        except (ValueError, fits.VerifyError):
            return False
    if isinstance(old, str) and isinstance(value, str):
        return old.rstrip() == value.rstrip()
    # True == 1 in Python, and they are different values in FITS.
    return bool(old == value) and isinstance(old, bool) == isinstance(value, bool)


def _comment(cards: list[fits.Card], keyword: str) -> str | None:
    return next((card.comment for card in cards if card.keyword == keyword), None)


def _set(
    rest: list[fits.Card], new: list[fits.Card], keyword: str, value: Any, comment: str
) -> None:
    for i, card in enumerate(rest):
        if card.keyword == keyword:
            if not _equals(card, value):
                rest[i] = fits.Card(keyword, value, card.comment)
            return
    new.append(fits.Card(keyword, value, comment))


def _same_cards(made: bytes, raw: bytes) -> bool:
    return made.rstrip(b" ") == raw.rstrip(b" ")
