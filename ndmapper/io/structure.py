"""Headers for writing: mandatory cards are corrected, the rest stays unchanged."""

from typing import Any

from astropy.io import fits

from ndmapper.errors import FormatError
from ndmapper.io.cards import card_bytes
from ndmapper.io.formkeys import card_value
from ndmapper.io.hdu import StoredForm
from ndmapper.io.headers import Header, StoredHeader, whole_header

__all__ = ["array_header", "carried_header"]

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
