"""
The coordinates in a header, moved to a section of its image.

A section takes pixel ``1 + start + step * (p - 1)`` of each axis as its own pixel p.
Whatever a header says of pixels is put into those: the systems of the FITS standard
with all their letters, the polynomials of SIP, the physical pixels of IRAF, the corner
of a Schmidt plate, and the wavelengths of SDSS.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ndmapper.io.headers import (
    Header,
    UnreadableCardError,
    is_array_keyword,
    is_frame_keyword,
)

__all__ = ["Move", "cut_header", "drop_coordinates", "moves_of", "order_of", "systems"]

log = logging.getLogger(__name__)

_SYSTEM = re.compile(
    r"(?:CTYPE|CRPIX|CRVAL|CDELT|CROTA)(?P<axis>\d+)(?P<one>[A-Z]?)"
    r"|(?:CD|PC)(?P<row>\d+)_(?P<column>\d+)(?P<two>[A-Z]?)"
    r"|(?:CD|PC)(?P<old_row>\d{3})(?P<old_column>\d{3})"
)
_SIP = re.compile(r"([AB])(P?)_(\d+)_(\d+)")
_SIP_LARGEST = re.compile(r"([AB])P?_DMAX")
_PRIOR = re.compile(r"(?:CPDIS|CPERR|DP|D2IMDIS|D2IMERR|D2IM)\d+(?:\..+)?|AXISCORR")
_PLATE = re.compile(r"PLT(?:RA|DEC)\w+|PPO\d+|[XY]PIXELSZ|CNPIX\d|AMD[XY]\d+")

# Keywords of axes, with the groups that are numbers of axes.
_NUMBERED: tuple[tuple[re.Pattern[str], tuple[int, ...]], ...] = (
    (
        re.compile(
            r"(CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CROTA|CNAME|CRDER|CSYER|CZPHS|CPERI)"
            r"(\d+)([A-Z]?)"
        ),
        (2,),
    ),
    (re.compile(r"(CD|PC)(\d+)(_)(\d+)([A-Z]?)"), (2, 4)),
    (re.compile(r"(PV|PS)(\d+)(_\d+[A-Z]?)"), (2,)),
    (re.compile(r"(LTV)(\d+)"), (2,)),
    (re.compile(r"(LTM)(\d+)(_)(\d+)"), (2, 4)),
    (re.compile(r"(WAT)(\d+)(_\d+)"), (2,)),
    (re.compile(r"(C[PQ]DIS|C[PQ]ERR|D2IMDIS|D2IMERR)(\d+)"), (2,)),
    (re.compile(r"(DP|DQ|D2IM)(\d+)(\..+)"), (2,)),
)


class Move(NamedTuple):
    """
    Where the pixels of an axis are taken from.

    Parameters
    ----------
    start : int
        The first one.
    step : int
        Every so many.
    """

    start: int
    step: int

    def position(self, value: float) -> float:
        """Return the position in the section of a position on the axis."""
        return (value - 1 - self.start) / self.step + 1


def moves_of(section: Sequence[range | int]) -> dict[int, Move]:
    """Say how a section moves the axes."""
    count = len(section)
    return {
        count - i: Move(x, 1) if isinstance(x, int) else Move(x.start, x.step)
        for i, x in enumerate(section)
    }


def order_of(section: Sequence[range | int]) -> list[int]:
    """Say which axes of the whole are those of a section."""
    count = len(section)
    numbers = [count - i for i in reversed(range(count))]
    gone = [n for n in numbers if isinstance(section[count - n], int)]
    return [n for n in numbers if n not in gone] + gone


def systems(header: Iterable[str]) -> dict[str, set[int]]:
    """List the coordinate systems of a header."""
    found: dict[str, set[int]] = {}
    for keyword in header:
        match = _SYSTEM.fullmatch(keyword)
        if match is None:
            continue
        axes = {
            int(match[name])
            for name in ("axis", "row", "column", "old_row", "old_column")
            if match[name]
        }
        found.setdefault(match["one"] or match["two"] or "", set()).update(axes)
    return found


def drop_coordinates(header: Header, *, is_part: bool = False) -> None:
    """Take the coordinates out of a header, as pixels were picked one by one."""
    if systems(header) and not is_part:
        log.warning(
            "pixels that are picked by a list or mask have no coordinates: they are "
            "left out of the header"
        )
    _remove(header, _is_coordinate)


def _is_coordinate(keyword: str) -> bool:
    return (is_array_keyword(keyword) and keyword != "BUNIT") or (
        _PLATE.fullmatch(keyword) is not None or keyword in ("COEFF0", "COEFF1")
    )


def _remove(header: Header, is_meant: Callable[[str], bool]) -> None:
    for keyword in [k for k in dict.fromkeys(header) if is_meant(k)]:
        header.remove(keyword, ignore_missing=True, remove_all=True)


def cut_header(
    header: Header, section: tuple[range | int, ...], *, is_part: bool = False
) -> None:
    """Adjust the coordinates in a header to a section of its image."""
    cards = _Cards(header)
    known = systems(header)
    order = order_of(section)
    gone = set(order[sum(isinstance(x, range) for x in section) :])
    moves = {n: m for n, m in moves_of(section).items() if m != Move(0, 1)}
    say = _silent if is_part else log.warning
    if moves:
        _refuse_unmovable(header, say)
        for letter, axes in known.items():
            _move_system(cards, letter, axes, moves, gone)
        _move_sip(cards, moves)
        _move_physical(cards, moves)
        _move_plate(cards, moves)
        _move_sdss(cards, moves)
    if gone and len(gone) < len(section):
        new = {old: n for n, old in enumerate(order, start=1)}
        if any(old != n for old, n in new.items()):
            _renumber(header, new, say)
        counts = {x: max(a) for x, a in systems(header).items()}
        kept = len(section) - len(gone)
        _count_axes(header, {x: n for x, n in counts.items() if n > kept}, kept)


def _silent(*_: Any) -> None:
    """Log nothing: the same was logged for the data."""


class _Cards:
    """The numbers in a header, of which some may not be readable."""

    def __init__(self, header: Header) -> None:
        self.header = header
        self.keywords = dict.fromkeys(header)

    def number(self, keyword: str, default: float) -> float | None:
        """Read a number, or its default; None for a card that has another value."""
        if keyword not in self.keywords:
            return default
        try:
            value = self.header[keyword]
        except UnreadableCardError:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return value if is_number else None

    def change(
        self, keyword: str, change: Callable[[float], float], default: float
    ) -> None:
        """Set a number from what it was; a card that has none stays as it is."""
        old = self.number(keyword, default)
        if old is None:
            return
        new = change(old)
        if keyword not in self.keywords:
            self.header[keyword] = new
            self.keywords[keyword] = None
        elif new != old:
            for n in range(self.header.count(keyword)):
                self.header[keyword, n] = new


def _move_system(
    cards: _Cards,
    letter: str,
    axes: set[int],
    moves: Mapping[int, Move],
    gone: set[int],
) -> None:
    """Move one system: its reference pixel, and its steps for a stepped section."""
    for n, move in moves.items():
        if n in gone and not axes & gone:
            continue  # where on it the section was does not matter any more
        # Without a card it is 0 by the standard, and moves all the same.
        cards.change(f"CRPIX{n}{letter}", move.position, 0.0)
        if move.step != 1:
            _scale_system(cards, letter, n, move.step)


def _scale_system(cards: _Cards, letter: str, n: int, step: int) -> None:
    def scaled(value: float) -> float:
        return value * step

    def matrix(name: str) -> list[re.Match[str]]:
        form = rf"{name}(\d+)_(\d+){letter}"
        if not letter:
            form += rf"|{name}(\d{{3}})(\d{{3}})"
        return [m for k in cards.keywords if (m := re.fullmatch(form, k))]

    def place(match: re.Match[str]) -> tuple[int, int]:
        row, column = (int(x) for x in match.groups() if x is not None)
        return row, column

    pc, cd = matrix("PC"), matrix("CD")
    for match in (*pc, *cd):
        if place(match)[1] == n:
            cards.change(match[0], scaled, 1.0)
    if pc:
        # Of the matrix the unit matrix is the default; CDELT stands before all of it.
        if (n, n) not in map(place, pc):
            is_old = pc[0][0][2:].isdigit()
            name = f"PC{n:03}{n:03}" if is_old else f"PC{n}_{n}{letter}"
            cards.change(name, scaled, 1.0)
        return
    # An axis that CD leaves out altogether has steps of 1, as wcslib and IRAF have it.
    if cd and not any(n in place(match) for match in cd):
        cards.change(f"CD{n}_{n}{letter}", scaled, 1.0)
    if not cd or f"CDELT{n}{letter}" in cards.keywords:
        cards.change(f"CDELT{n}{letter}", scaled, 1.0)


def _move_sip(cards: _Cards, moves: Mapping[int, Move]) -> None:
    """Put the polynomials of SIP, which are in pixels from CRPIX, into new pixels."""
    x, y = (moves.get(n, Move(0, 1)).step for n in (1, 2))
    if (x, y) == (1, 1):
        return
    for keyword in list(cards.keywords):
        if match := _SIP.fullmatch(keyword):
            p, q = int(match[3]), int(match[4])
            factor = float(x) ** p * float(y) ** q / (x if match[1] == "A" else y)
            cards.change(keyword, lambda old, f=factor: old * f, 0.0)  # type: ignore[misc]
        elif match := _SIP_LARGEST.fullmatch(keyword):
            size = abs(x if match[1] == "A" else y)
            cards.change(keyword, lambda old, s=size: old / s, 0.0)  # type: ignore[misc]


def _move_physical(cards: _Cards, moves: Mapping[int, Move]) -> None:
    """Move logical = LTM * physical + LTV, as IRAF does where it knows of that."""
    keywords = cards.keywords
    if not any(re.fullmatch(r"LTV\d+|LTM\d+_\d+|WCSDIM|WAT0_001", k) for k in keywords):
        return
    for n, move in moves.items():
        cards.change(f"LTV{n}", move.position, 0.0)
        if move.step == 1:
            continue
        matrix = [k for k in keywords if re.fullmatch(r"LTM\d+_\d+", k)]
        places = {tuple(map(int, k[3:].split("_"))): k for k in matrix}
        for (_, column), keyword in places.items():
            if column == n:
                cards.change(keyword, lambda old, s=move.step: old / s, 1.0)  # type: ignore[misc]
        if not any(n in place for place in places):
            cards.change(f"LTM{n}_{n}", lambda old, s=move.step: old / s, 1.0)  # type: ignore[misc]


def _move_plate(cards: _Cards, moves: Mapping[int, Move]) -> None:
    """Move the corner of a scan of a plate, which is (pixel + CNPIX - 0.5) * size."""
    for n, size in ((1, "XPIXELSZ"), (2, "YPIXELSZ")):
        if n not in moves or f"CNPIX{n}" not in cards.keywords:
            continue
        start, step = moves[n]
        if step == 1:
            cards.change(f"CNPIX{n}", lambda old, s=start: old + s, 0.0)  # type: ignore[misc]
            continue
        cards.change(
            f"CNPIX{n}",
            lambda old, a=start, s=step: (old + a + 0.5) / s - 0.5,  # type: ignore[misc]
            0.0,
        )
        if size in cards.keywords:
            cards.change(size, lambda old, s=step: old * s, 1.0)  # type: ignore[misc]


def _move_sdss(cards: _Cards, moves: Mapping[int, Move]) -> None:
    """Move COEFF0 + COEFF1 * i, the logarithm of the wavelength of pixel i from 0."""
    if 1 not in moves or not {"COEFF0", "COEFF1"} <= set(cards.keywords):
        return
    slope = cards.number("COEFF1", 0.0)
    if slope is None:
        return
    start, step = moves[1]
    cards.change("COEFF0", lambda old: old + start * slope, 0.0)
    cards.change("COEFF1", lambda old: old * step, 0.0)


def _refuse_unmovable(header: Header, say: Callable[..., None]) -> None:
    """Take out distortions in pixels of the whole that cannot be moved here."""
    if "AXISCORR" in header:
        say("a section loses the distortion AXISCORR of its image, an old form of HST")
        _remove(header, lambda k: k == "AXISCORR")
    for keyword in [k for k in header if re.fullmatch(r"(?:CPDIS|D2IMDIS)\d+", k)]:
        kind = str(header.get(keyword) or "")
        if kind.strip().upper() == "LOOKUP":
            continue
        say(
            "a section loses the distortion %s = %r of its image, which cannot be "
            "moved: its coordinates are those without it", keyword, kind,
        )  # fmt: skip
        axis, is_prior = keyword[-1], keyword.startswith("CPDIS")
        record = re.compile(rf"{'DP' if is_prior else 'D2IM'}{axis}(\..+)?")
        _remove(header, lambda k, r=record, n=keyword: k == n or bool(r.fullmatch(k)))  # type: ignore[misc]


def _renumber(header: Header, new: Mapping[int, int], say: Callable[..., None]) -> None:
    """Give the axes other numbers, with all that belongs to them."""
    if "multispec" in str(header.get("WAT0_001", "")).lower():
        say(
            "a section without its axis of wavelengths has no coordinates: those of "
            "IRAF's multispec format cannot say which pixel of each spectrum it is"
        )
        _remove(header, _is_coordinate)
        return
    turned = [k for k in header if re.fullmatch(r"CTYPE\d+", k)]
    if any(re.search(r"-T(PV|NX|PD)$|-ZPX", str(header[k])) for k in turned):
        say(
            "a section without its first axis has no coordinates: those of the "
            "projection %s depend on the order of the axes", header[turned[0]],
        )  # fmt: skip
        _remove(header, _is_coordinate)
        return
    swaps = {new.get(1, 1), new.get(2, 2)} == {1, 2}
    distorted = [k for k in header if _SIP.fullmatch(k) or _PRIOR.fullmatch(k)]
    if distorted and not swaps:
        say(
            "a section loses the distortion (%s) of its image: its coordinates are "
            "those without it", ", ".join(distorted[:3]),
        )  # fmt: skip
        gone = re.compile(rf"{_SIP.pattern}|[AB]P?_(?:ORDER|DMAX)|{_PRIOR.pattern}")
        _remove(header, lambda k: gone.fullmatch(k) is not None)
    if any(k.startswith("CNPIX") for k in header):
        say("a section without its first axis has no coordinates of the plate scan")
        _remove(header, lambda k: _PLATE.fullmatch(k) is not None)
    if new.get(1) != 1:
        _remove(header, lambda k: k in ("COEFF0", "COEFF1"))
    cards: list[Any] = []
    for card in header.cards:
        keyword = _renumbered(card.keyword, new)
        if keyword == card.keyword:
            cards.append(card)
            continue
        try:
            cards.append((keyword, card.value, card.comment))
        except UnreadableCardError as err:
            say("a section leaves a card of its coordinates out: %s", err)
    header.clear()
    for card in cards:
        header.append(card, end=True)


def _renumbered(keyword: str, new: Mapping[int, int]) -> str:
    for pattern, places in _NUMBERED:
        if match := pattern.fullmatch(keyword):
            pieces = list(match.groups())
            for place in places:
                number = int(pieces[place - 1])
                pieces[place - 1] = str(new.get(number, number))
            return "".join(pieces)
    if match := re.fullmatch(r"(CD|PC)(\d{3})(\d{3})", keyword):
        row, column = (new.get(int(match[i]), int(match[i])) for i in (2, 3))
        return f"{match[1]}{row:03}{column:03}"
    if match := _SIP.fullmatch(keyword):
        other = "B" if match[1] == "A" else "A"
        return f"{other}{match[2]}_{match[4]}_{match[3]}"
    if match := re.fullmatch(r"([AB])(P?_(?:ORDER|DMAX))", keyword):
        return ("B" if match[1] == "A" else "A") + match[2]
    return keyword


def _count_axes(header: Header, counts: Mapping[str, int], kept: int) -> None:
    """Say how many axes the systems have, of which the image has fewer now."""
    for letter, count in counts.items():
        keyword = f"WCSAXES{letter}"
        old = header.get(keyword, 0)
        count = max(count, old if isinstance(old, int) else 0)  # noqa: PLW2901
        if keyword in header:
            header[keyword] = count
            continue
        first = next(
            i
            for i, key in enumerate(header)
            if is_array_keyword(key) and key != "BUNIT" and not is_frame_keyword(key)
        )
        header.insert(first, (keyword, count, "axes of the WCS"))
    if "WCSDIM" in header and "WAXMAP01" not in header and "" in counts:
        # IRAF's words for it: which axis each one is, and 0 for one that is gone.
        pairs = (f"{n} 0" if n <= kept else "0 0" for n in range(1, counts[""] + 1))
        header["WAXMAP01"] = " ".join(pairs)
