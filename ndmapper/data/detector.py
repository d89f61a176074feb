"""
Keywords that give sections of an image, or of its detector: they follow a cut.

DATASEC and its relatives (`IMAGE_SECTIONS`) say which pixels of the array are data, or
overscan. CCDSEC and its relatives (`DETECTOR_SECTIONS`) say where the data section
lies on something else, in unbinned pixels and perhaps turned round ([2048:1,...]).
Both are as the NOAO convention has them, for one amplifier or, with a number or letter
behind, for several.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from ndmapper.io.headers import Header, UnreadableCardError

__all__ = [
    "AMPLIFIER_CARDS",
    "DETECTOR_SECTIONS",
    "IMAGE_SECTIONS",
    "Place",
    "amplifier_card",
    "amplifier_numbers",
    "cut_sections",
    "drop_sections",
    "joined_sections",
    "pixel_keywords",
    "place_on_detector",
]

log = logging.getLogger(__name__)

AMPLIFIER_CARDS = (
    "AMPNAM", "AMPSEC", "OVSCSEC", "GAIN", "GAINCOR", "RDNOISE", "SATUR", "OVSCLEV",
    "OVSCERR", "BIASERR",
)  # fmt: skip
"""What the steps for CCDs write of each amplifier, with its number behind."""

_DATA, _SHORT_DATA = "DATASEC", "DSEC"
IMAGE_SECTIONS = re.compile(
    r"(DATASEC|BIASSEC|TRIMSEC|PRESEC|POSTSEC|[DBT]SEC)(\d{0,2}|[A-H])"
    r"|(AMPSEC|OVSCSEC)(\d{1,2})|(OVSCSE)(\d\d)"
)
"""Keywords of sections of the array."""
DETECTOR_SECTIONS = re.compile(
    r"(CCDSEC|DETSEC)(\d{0,2}|[A-H])|(AMPSEC)(|[A-H])|([AC]SEC)(\d{0,2}|[A-H])"
)
"""Keywords of sections of the detector, or of what an amplifier reads."""

_RANGE = re.compile(r"(\d+)(?::(\d+))?")


class _Range(NamedTuple):
    """Pixels from 0 on, both ends included; turned round where `last` comes first."""

    first: int
    last: int

    @property
    def size(self) -> int:
        return abs(self.last - self.first) + 1

    def __str__(self) -> str:
        return f"{self.first + 1}:{self.last + 1}"


def amplifier_card(stem: str, number: int) -> str:
    """Return a keyword of `AMPLIFIER_CARDS` with the number of an amplifier."""
    # Keywords have eight characters; the number is what makes them different.
    return f"{stem[: 8 - len(str(number))]}{number}"


def amplifier_numbers(header: Header) -> list[int]:
    """List the amplifiers that the steps for CCDs have described in a header."""
    found = (re.fullmatch(r"AMPSEC(\d{1,2})", keyword) for keyword in header)
    return sorted({int(match[1]) for match in found if match})


def pixel_keywords(header: Header) -> list[str]:
    """List the keywords that describe the pixels of an image as those of a detector."""
    own = {
        amplifier_card(stem, number)
        for number in amplifier_numbers(header)
        for stem in AMPLIFIER_CARDS
    }
    return [key for key in header if _is_section(key) or key in own]


def drop_sections(header: Header, *, detector: bool = False) -> None:
    """Remove the sections of the array from a header, and those of the detector."""
    for keyword in list(header):
        if IMAGE_SECTIONS.fullmatch(keyword) or (
            detector and DETECTOR_SECTIONS.fullmatch(keyword)
        ):
            header.remove(keyword, ignore_missing=True, remove_all=True)


def cut_sections(
    header: Header, section: tuple[range | int, ...], shape: tuple[int, ...]
) -> None:
    """Update the sections in a header for a cut of its image; drop what is lost."""
    if all(cut == range(n) for cut, n in zip(section, shape, strict=True)):
        return
    cuts, sizes = section[::-1], shape[::-1]
    before = {key: _text(header, key) for key in list(header) if _is_section(key)}
    gone: list[str] = []
    for keyword, text in before.items():
        if IMAGE_SECTIONS.fullmatch(keyword):
            made = _cut_image(_parse(text, sizes), cuts)
        else:
            made = _cut_detector(header, before, keyword, cuts, sizes)
        if made is None:
            continue
        if made:
            header[keyword] = made
        else:
            gone.append(keyword)
    _take_out(header, gone, before)


def _take_out(header: Header, gone: list[str], before: dict[str, str]) -> None:
    for number in amplifier_numbers(header):
        if amplifier_card("AMPSEC", number) in gone:
            gone += [amplifier_card(stem, number) for stem in AMPLIFIER_CARDS]
    for keyword in gone:
        header.remove(keyword, ignore_missing=True, remove_all=True)
    # That overscan is cut off is what most cuts are for.
    named = [key for key in gone if key in before and not _is_overscan(key)]
    if named:
        log.warning(
            "a section of an image has nothing of %s, or cannot be followed there; "
            "it is taken out of the header",
            ", ".join(f"{key} = {before[key]}" for key in named),
        )


def joined_sections(header: Header, shape: tuple[int, ...]) -> dict[str, str]:
    """Return CCDSEC and the like as far as they fit an image without its overscan."""
    binning = _binning(header)
    found = {}
    for keyword in ("CCDSEC", "DETSEC", "AMPSEC"):
        ranges = _parse(_text(header, keyword), ()) or []
        whole = [_Range(0, n - 1) for n in reversed(shape)]
        if len(ranges) == len(whole) and all(
            _pitch(there, here, binning[axis] if axis < len(binning) else None)
            for axis, (there, here) in enumerate(zip(ranges, whole, strict=True))
        ):
            found[keyword] = _text(header, keyword)
    return found


class Place(NamedTuple):
    """Where an image lies on its detector, x first."""

    # The lowest pixel, from 0, in pixels without binning.
    low: tuple[int, ...]
    # Whether the image is turned round along each axis.
    is_turned: tuple[bool, ...]
    # Pixels of the detector in one of the image.
    binning: tuple[int, ...]


def place_on_detector(
    header: Header, keyword: str, shape: tuple[int, ...]
) -> Place | None:
    """Find the place of an image by DETSEC or CCDSEC; None where that does not fit."""
    ranges = _parse(_text(header, keyword), ()) or []
    binning = _binning(header)
    sizes = shape[::-1]
    if len(ranges) != len(sizes):
        return None
    found = [
        _pitch(there, _Range(0, n - 1), binning[axis] if axis < len(binning) else None)
        for axis, (there, n) in enumerate(zip(ranges, sizes, strict=True))
    ]
    if any(pitch is None or pitch[0] != pitch[1] for pitch in found):
        return None
    return Place(
        tuple(min(there) for there in ranges),
        tuple(there.last < there.first for there in ranges),
        tuple(pitch[0] for pitch in found if pitch is not None),
    )


def _is_section(keyword: str) -> bool:
    return bool(IMAGE_SECTIONS.fullmatch(keyword) or
                DETECTOR_SECTIONS.fullmatch(keyword))  # fmt: skip


def _is_overscan(keyword: str) -> bool:
    return keyword.startswith(("BIASSEC", "BSEC", "OVSCSE", "PRESEC", "POSTSEC"))


def _text(header: Header, keyword: str) -> str:
    try:
        value: Any = header.get(keyword)
    except UnreadableCardError:
        return ""
    return value if isinstance(value, str) else ""


def _parse(text: str, sizes: Iterable[int]) -> list[_Range] | None:
    """Read a section, axis 1 first; None for what is none, such as [0:0,0:0]."""
    bare = text.strip()
    if not (bare.startswith("[") and bare.endswith("]")):
        return None
    sizes = list(sizes)
    ranges = []
    for axis, part in enumerate(bare[1:-1].replace(" ", "").split(",")):
        if part in ("*", ":", "-*") and axis < len(sizes):
            whole = _Range(0, sizes[axis] - 1)
            ranges.append(_Range(*whole[::-1]) if part == "-*" else whole)
            continue
        ends = _RANGE.fullmatch(part)
        if ends is None:
            return None
        first, last = int(ends[1]) - 1, int(ends[2] or ends[1]) - 1
        if first < 0 or last < 0:
            return None
        ranges.append(_Range(first, last))
    return ranges


def _kept(pixels: _Range, cut: range | int) -> range:
    """Find which pixels of a range a cut keeps, in the order of the new array."""
    low, high = min(pixels), max(pixels)
    if isinstance(cut, int):
        cut = range(cut, cut + 1)
    up = cut if cut.step > 0 else cut[::-1]
    start = up.start + max(0, -((up.start - low) // up.step)) * up.step
    inside = range(start, min(up.stop, high + 1), up.step)
    return inside if cut.step > 0 else inside[::-1]


def _format(ranges: Iterable[_Range]) -> str:
    return "[" + ",".join(map(str, ranges)) + "]"


def _cut_image(
    ranges: list[_Range] | None, cuts: tuple[range | int, ...]
) -> str | None:
    """Give a section of the array after a cut: none for nothing, None for no change."""
    if ranges is None or len(ranges) > len(cuts):
        return None
    made = []
    for pixels, cut in zip(ranges, cuts, strict=False):
        kept = _kept(pixels, cut)
        if not kept:
            return ""
        if isinstance(cut, int):
            continue  # the axis is no more
        ends = sorted((cut.index(kept[0]), cut.index(kept[-1])))
        made.append(_Range(*(ends if pixels.first <= pixels.last else ends[::-1])))
    return _format(made) if made else ""


def _cut_detector(
    header: Header,
    before: dict[str, str],
    keyword: str,
    cuts: tuple[range | int, ...],
    sizes: tuple[int, ...],
) -> str | None:
    """Give the detector's pixels under what is left of the data section."""
    ranges = _parse(before[keyword], ())
    if ranges is None or len(ranges) > len(cuts):
        return None
    binning = _binning(header)
    for data in _data_sections(before, keyword, sizes):
        pitches = [
            _pitch(there, here, binning[axis] if axis < len(binning) else None)
            for axis, (there, here) in enumerate(zip(ranges, data, strict=False))
        ]
        if None in pitches or len(data) < len(ranges):
            continue
        made = []
        for there, here, cut, pitch in zip(ranges, data, cuts, pitches, strict=False):
            assert pitch is not None
            kept = _kept(here, cut)
            if not kept:
                return ""
            made.append(_under(there, here, kept, *pitch))
        return _format(made)
    return ""


def _data_sections(
    before: dict[str, str], keyword: str, sizes: tuple[int, ...]
) -> list[list[_Range]]:
    """List what a section of the detector may be of, the likeliest first."""
    stem = re.sub(r"(SEC)(\d+|[A-H])?$", r"\1", keyword)
    own = keyword[len(stem) :]
    names = [f"{_DATA}{own}", f"{_SHORT_DATA}{own}", _DATA, f"TRIMSEC{own}", "TRIMSEC"]
    found = [_parse(before.get(name, ""), sizes) for name in dict.fromkeys(names)]
    return [*(f for f in found if f), [_Range(0, n - 1) for n in sizes]]


def _binning(header: Header) -> list[int]:
    words = _text(header, "CCDSUM").split()
    return [int(w) for w in words] if all(w.isdigit() and int(w) for w in words) else []


def _pitch(there: _Range, here: _Range, binning: int | None) -> tuple[int, int] | None:
    """
    Say how far apart pixels of the array are on the detector, and how wide they are.

    They are further apart than they are wide where an array was thinned out. None where
    the sizes do not go together.
    """
    n, length = here.size, there.size
    for width in (binning,) if binning else (-(-length // n), 1):
        if (n - 1) * width < length <= n * width:  # the last one may be cut off
            return width, width
        if n > 1 and length > width and not (length - width) % (n - 1):
            return (length - width) // (n - 1), width
    return None


def _under(there: _Range, here: _Range, kept: range, pitch: int, width: int) -> _Range:
    """Give the detector's pixels from the first to the last that is kept."""
    way = 1 if there.last >= there.first else -1
    size = there.size - 1

    def edges(pixel: int) -> tuple[int, int]:
        start = abs(pixel - here.first) * pitch
        return start, min(start + width - 1, size)

    ends = [edge for pixel in (kept[0], kept[-1]) for edge in edges(pixel)]
    # The section of the array keeps its sense, so a flip turns this one round.
    low, high = min(ends), max(ends)
    first, last = (low, high) if kept.step > 0 else (high, low)
    return _Range(there.first + way * first, there.first + way * last)
