"""
What an HDU is, as far as its name and cards tell: error, mask, weight or neither.

The makers of files use a few dozen words, in names such as ERR, FLUX_IVAR, B_MASK,
IFU.3.NOISE or CHIP1ERR.INT1. A word alone says little (SIGMA is a velocity dispersion
as well): an array is the error or the mask of another one that has its shape and what
is left of its name.
"""

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ndmapper.io.filemap import HduMap

__all__ = [
    "KINDS_BY_UTYPE", "NO_NAMES", "Pairs", "Role", "UncertaintyKind", "are_alike",
    "find_pairs", "is_never_data", "role_of", "split_data_name",
]  # fmt: skip

UncertaintyKind = Literal["variance", "std", "ivar"]
"""What the array of an uncertainty holds."""

NO_NAMES = ("", "COMPRESSED_IMAGE")
"""EXTNAME that says nothing: the second one comes with compression."""

_DATA_WORDS = (
    "SCI", "DATA", "FLUX", "IMAGE", "SIGNAL", "SCIDATA", "SCIENCE", "SCIIMG", "IMG",
    "SPEC", "SPECTRUM", "CUBE", "INTENSITY", "COUNTS", "CAL", "CCD", "STOKES", "MAP",
    "ARRAY", "FRAME",
)  # fmt: skip
"""Words for the data, the likeliest first."""

_UNCERTAINTIES: dict[str, UncertaintyKind] = {
    # Gemini, 2dF, SAMI; LSST; MUSE; KPF and NEID have VAR at the end of a word
    "VAR": "variance", "VARIANCE": "variance", "STAT": "variance",
    "VARIANCES": "variance", "MSE": "variance",
    # HST and JWST; CALIFA, PACS, SOFIA; X-shooter; ESPRESSO; TESS; KMOS; Euclid
    "ERR": "std", "ERROR": "std", "ERRS": "std", "ERRORS": "std", "ERRDATA": "std",
    "UNCERT": "std", "UNC": "std", "UNCERTAINTY": "std", "UNCERTAINTIES": "std",
    "SIGMA": "std", "SIG": "std", "NOISE": "std", "RMS": "std", "RMSE": "std",
    "STDDEV": "std", "STDEV": "std", "STD": "std", "SDEV": "std",
    # SDSS, MaNGA, DESI; PypeIt, whose model is the better one; MOSFIRE
    "IVAR": "ivar", "INVVAR": "ivar", "IVARMODEL": "ivar", "IVARRAW": "ivar",
    "INVERSEVARIANCE": "ivar", "INVVARIANCE": "ivar", "INVMSE": "ivar",
}  # fmt: skip

KINDS_BY_UTYPE: dict[str, UncertaintyKind] = {
    "StdDevUncertainty": "std", "VarianceUncertainty": "variance",
    "InverseVariance": "ivar",
}  # fmt: skip
"""What astropy says of which kind an uncertainty is."""

_FLAGS = (
    "DQ", "MASK", "QUAL", "QUALITY", "QUALDATA", "FLAGS", "FLAG", "FLG", "BPM",
    "BPMMASK", "BADPIX", "BADPIXELS", "BITMASK", "ANDMASK", "ORMASK", "DQI", "DQA",
    "MSK", "PIXMASK", "PIXELMASK", "DATAQUALITY",
)  # fmt: skip

_WEIGHTS = ("WHT", "WEIGHT", "WEIGHTS", "WGT", "ERRWEIGHT", "CONF", "CONFIDENCE")

_NEVER_DATA = {
    "WAVELENGTH", "WAVELENGTHS", "LOGLAM", "RESOLUTION", "WCSDVARR", "D2IMARR",
    "WCSCORR", "APERTURE",
}  # fmt: skip

_SELDOM_DATA = {
    "WAVE", "LAMBDA", "WAVEIMG", "WAVEDATA", "WAVEDISP", "DLLDATA", "TILTS", "SPECRES",
    "SPECRESD", "PREDISP", "DISP", "LSF", "LSFPRE", "LSFPOST", "COVAR", "CORREL",
    "EXPOSURE", "EXPMAP", "COVERAGE", "SAMP", "TIME", "CTX", "WMAP", "NHIT",
    "SEG", "SEGM", "SEGMAP", "SEGMENTATION",
}  # fmt: skip
"""What describes data, and is taken for data only where there is nothing else."""

# At the end of a word these say the same: SCIVAR, CHIP1ERR, FLUXIVAR.
_ENDINGS = (
    "VARIANCE", "IVAR", "VAR", "ERROR", "ERRS", "ERR", "SIGMA", "NOISE", "MASK", "BPM",
    "QUAL", "FLAGS", "WAVE", "WAVELENGTH",
)  # fmt: skip
_DATA_ENDINGS = ("FLUX", "IMG", "IMAGE", "DATA")

_BETWEEN = re.compile(r"[._\-\s]+")
_NUMBERED = re.compile(r"([A-Z]+)(\d+)")


@dataclass(frozen=True)
class Role:
    """What an array is by its name and cards."""

    # Error, mask or weight of another array, or something that describes it.
    part: Literal["uncertainty", "flags", "weight", "other"]
    # Of an uncertainty, what it holds; None where that cannot be used.
    kind: UncertaintyKind | None = None
    rest: str = ""  # what is left of its name: words with one blank between them
    rank: int = 0  # the lower, the more likely it is the one that is meant, of several
    # The word stands apart, at the end or the beginning of the name, or is all.
    at_end: bool = True
    word: str = ""  # the word that says so


@dataclass(frozen=True)
class Pairs:
    """Which arrays are errors and flags of which data."""

    data: tuple[HduMap, ...]  # what may be data, in file order
    # For the position of the data, and 'uncertainty' or 'flags': the arrays that may
    # be that, the best first, each with its role.
    parts: dict[int, dict[str, tuple[tuple[HduMap, Role], ...]]]

    def of_kind(self, index: int, kind: UncertaintyKind) -> HduMap | None:
        """Find the best uncertainty of that kind of the data at a position."""
        found = self.parts.get(index, {}).get("uncertainty", ())
        return next((hdu for hdu, role in found if role.kind == kind), None)

    def flags(self, index: int) -> HduMap | None:
        """Find the best flags of the data at a position."""
        found = self.parts.get(index, {}).get("flags", ())
        return next((hdu for hdu, _ in found), None)


def is_never_data(hdu: HduMap) -> bool:
    """Whether an image has a name of distortions, wavelengths or masks."""
    words = _words(hdu.name)
    return bool(words) and words[-1] in {*_NEVER_DATA, "MASK"}


def role_of(hdu: HduMap) -> Role | None:
    """Return the role of an image by its cards and its name; None if it may be data."""
    name, keys = hdu.name, hdu.keys
    role = _role_of_name(name) if name else None
    if "HDUCLAS2" in keys:
        role = _role_of_class(hdu, role) or role
    if role is None and hdu.index:
        if "IMAGETYP" in keys:
            role = _role_of_text(str(keys["IMAGETYP"]))
        if role is None and "BUNIT" in keys and name in NO_NAMES:
            role = _role_of_text(str(keys["BUNIT"]))
    if role is not None and role.part == "uncertainty":
        stated = KINDS_BY_UTYPE.get(str(hdu.keys.get("UTYPE") or ""), role.kind)
        role = role if stated == role.kind else replace(role, kind=stated)
    return role


def _role_of_class(hdu: HduMap, named: Role | None) -> Role | None:
    """Read the HDUCLASn cards of ESO's pipelines."""
    part = str(hdu.keys.get("HDUCLAS2") or "").upper()
    if part not in ("ERROR", "QUALITY"):
        return None
    form = str(hdu.keys.get("HDUCLAS3") or "").upper()
    # A name without such a word is like no other; links must tell then.
    rest = named.rest if named else "" if hdu.name in NO_NAMES else "?"
    if part == "QUALITY":
        return Role("flags", rest=rest, word=form or "QUALITY")
    kind: UncertaintyKind | None
    if form in ("MSE", "RMSE", "INVMSE"):
        kind = _UNCERTAINTIES[form]
    elif form == "INVRMSE":
        kind = None
    else:
        kind = "std" if named is None or named.kind is None else named.kind
    return Role("uncertainty", kind, rest, word="ERROR")


@functools.lru_cache(maxsize=1024)
def _role_of_text(text: str) -> Role | None:
    """Return the role that a card such as IMAGETYP='error' names."""
    words = re.findall(r"[A-Z]+", text.upper())
    kinds = [_UNCERTAINTIES[w] for w in words if len(w) > 2 and w in _UNCERTAINTIES]
    if kinds:
        inverse = kinds[0] == "variance" and {"INVERSE", "INV"} & set(words)
        return Role("uncertainty", "ivar" if inverse else kinds[0], word=text)
    if any(w in _FLAGS for w in words):
        return Role("flags", word=text)
    if any(w in _NEVER_DATA for w in words):
        return Role("other", word=text)
    return None


@functools.lru_cache(maxsize=4096)
def _role_of_name(name: str) -> Role | None:
    """Find the word in a name that gives its role, and what is left of the name."""
    words = _words(name)
    for i in dict.fromkeys((len(words) - 1, 0, *range(len(words)))):
        number = _NUMBERED.fullmatch(words[i])
        word, left = (number[1], [number[2]]) if number else (words[i], [])
        # INVERSE_VARIANCE
        start = i
        if i and words[i - 1] in ("INV", "INVERSE") and word in ("VAR", "VARIANCE"):
            word, start = "IVAR", i - 1
        rest = " ".join((*words[:start], *left, *words[i + 1 :]))
        at_end = start == 0 or i == len(words) - 1
        if (role := _of_word(word, rest, at_end=at_end)) is not None:
            return role
    for i, whole in enumerate(words):
        number = re.fullmatch(r"(.+?)(\d*)", whole)
        assert number is not None
        ends = [e for e in _ENDINGS if number[1].endswith(e) and number[1] != e]
        # SCIVAR is the variance of SCI, and no IVAR.
        ends.sort(key=lambda e: number[1].removesuffix(e) not in _DATA_WORDS)
        for ending in ends:
            stem = number[1].removesuffix(ending)
            rest = " ".join((*words[:i], stem + number[2], *words[i + 1 :]))
            return _of_word(ending, rest, at_end=False)
    return None


def are_alike(rest: str, name: str) -> bool:
    """Whether the rest of the name of an error fits the name of data."""
    mine, theirs = (
        [w for w in words if w not in _DATA_WORDS]
        for words in (rest.split(), _words(name))
    )
    cores = _cores(" ".join(_words(name)))
    return mine == theirs or not set(_cores(rest)).isdisjoint(cores)


def _of_word(word: str, rest: str, *, at_end: bool) -> Role | None:
    if (kind := _UNCERTAINTIES.get(word)) is not None:
        rank = list(_UNCERTAINTIES).index(word)
        return Role("uncertainty", kind, rest, rank, at_end, word)
    if word in _FLAGS:
        return Role("flags", None, rest, _FLAGS.index(word), at_end, word)
    if word in _WEIGHTS:
        return Role("weight", None, rest, 0, at_end, word)
    if word in _NEVER_DATA or word in _SELDOM_DATA:
        return Role("other", None, rest, 0, at_end, word)
    return None


@functools.lru_cache(maxsize=4096)
def split_data_name(name: str) -> tuple[str, str, str]:
    """Split B_FLUX into B, _ and FLUX; the last is empty without a word for data."""
    match = re.fullmatch(r"(?:(.+)([._\-\s]))?([^._\-\s]+)", name)
    if match is None or match[3] not in _DATA_WORDS:
        return name, "", ""
    return match[1] or "", match[2] or "", match[3]


def find_pairs(hdus: Sequence[HduMap], data: Iterable[int] | None = None) -> Pairs:
    """Find the errors and masks of images by names, cards and shape."""
    images = [h for h in hdus if h.is_image and (h.index or h.data_size)]
    roles = {h.index: role_of(h) for h in images}
    _follow_links(images, roles)
    # EMLINE_SIGMA is data, where there is an EMLINE_SIGMA_IVAR.
    rests = {role.rest for role in roles.values() if role is not None and role.rest}
    if rests:
        for hdu in images:
            if hdu.index and roles[hdu.index] and " ".join(_words(hdu.name)) in rests:
                roles[hdu.index] = None
    if data is None:
        owners = [h for h in images if h.index == 0 or roles[h.index] is None]
    else:
        wanted = set(data)
        owners = [h for h in images if h.index in wanted]
    found: dict[int, dict[str, list[tuple[HduMap, Role]]]] = {}
    for hdu in images:
        role = roles[hdu.index]
        if hdu in owners or role is None or not hdu.data_size:
            continue
        if role.part not in ("uncertainty", "flags") or not _is_usable(hdu, role):
            continue
        if (owner := _owner(hdu, role, owners)) is not None:
            parts = found.setdefault(owner.index, {})
            parts.setdefault(role.part, []).append((hdu, role))
    return Pairs(
        tuple(owners),
        {
            index: {
                part: tuple(sorted(some, key=lambda one: one[1].rank))
                for part, some in parts.items()
            }
            for index, parts in found.items()
        },
    )


def _is_usable(hdu: HduMap, role: Role) -> bool:
    """Whether it can serve as a variance or as flags."""
    if role.part == "uncertainty":
        return role.kind is not None
    if role.word == "MASKONE":  # where 1 means good
        return False
    # A mask of floating point is a weight.
    return role.word not in ("MASK", "MSK") or hdu.keys["BITPIX"] > 0


def _follow_links(images: Sequence[HduMap], roles: dict[int, Role | None]) -> None:
    """Set the roles of extensions that the cards of others link to."""
    for hdu in images:
        for keyword, part in (("ERRDATA", "uncertainty"), ("QUALDATA", "flags")):
            name = str(hdu.keys.get(keyword) or "").strip().upper()
            for other in images if name and name != hdu.name else ():
                if other.name == name and other.index and roles[other.index] is None:
                    kind: UncertaintyKind | None = (
                        "std" if part == "uncertainty" else None
                    )
                    roles[other.index] = Role(part, kind, word=keyword)  # type: ignore[arg-type]


def _owner(hdu: HduMap, role: Role, data: Iterable[HduMap]) -> HduMap | None:
    """Find the data that an error or a mask belongs to."""
    candidates = list(data)
    alone = len(candidates) == 1
    best: tuple[tuple[int, bool, bool, int], HduMap] | None = None
    for other in candidates:
        if other.shape != hdu.shape:
            continue
        level = 0 if _are_linked(hdu, role, other) else _level(role, other, alone)
        if level is None:
            continue
        score = (
            level,
            other.number != hdu.number,
            other.index > hdu.index,
            abs(other.index - hdu.index),
        )
        if best is None or score < best[0]:
            best = score, other
    return None if best is None else best[1]


def _are_linked(hdu: HduMap, role: Role, data: HduMap) -> bool:
    keyword = "ERRDATA" if role.part == "uncertainty" else "QUALDATA"
    theirs = str(data.keys.get(keyword) or "").strip().upper()
    mine = str(hdu.keys.get("SCIDATA") or "").strip().upper()
    return bool((theirs and theirs == hdu.name) or (mine and mine == data.name))


def _level(role: Role, data: HduMap, alone: bool) -> int | None:
    """Grade how well names fit: 1 is best; None if they do not."""
    mine = _cores(role.rest)
    theirs = [] if data.name in NO_NAMES else list(_cores(" ".join(_words(data.name))))
    if "" not in theirs and (not theirs or data.index == 0 or alone):
        theirs.append("")
    levels = [
        1 + i + j for i, a in enumerate(mine) for j, b in enumerate(theirs) if a == b
    ]
    return min(levels, default=None)


@functools.lru_cache(maxsize=4096)
def _cores(text: str) -> tuple[str, ...]:
    """Return what is left of a name, with and without the word for data."""
    words = text.split()
    found = [text]
    for i in dict.fromkeys((len(words) - 1, 0)) if words else ():
        number = _NUMBERED.fullmatch(words[i])
        word, left = (number[1], [number[2]]) if number else (words[i], [])
        if word in _DATA_WORDS:
            found.append(" ".join((*words[:i], *left, *words[i + 1 :])))
            break
        ending = next((e for e in _DATA_ENDINGS if words[i].endswith(e)), None)
        if ending is not None:
            stem = words[i].removesuffix(ending)
            found.append(" ".join((*words[:i], stem, *words[i + 1 :])))
            break
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _words(name: str) -> tuple[str, ...]:
    return tuple(w for w in _BETWEEN.split(name.upper()) if w)
