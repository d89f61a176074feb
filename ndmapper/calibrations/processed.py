"""Recognise combined or processed frames, from whatever program, by header and name."""

import re
from collections.abc import Callable
from typing import Any

from ndmapper.io.quickheader import QuickHeader

__all__ = ["TYPE_KEYS", "why_processed"]

_IS_MASTER = re.compile(
    r"(^|[^a-z])(master|super|combined|stacked|stack|average|median|mean"
    r"|m(bias|zero|dark|flat|skyflat)([^a-z]|$))",
    re.IGNORECASE,
)
_KIND = "(bias|zero|dark|flat|skyflat|domeflat|arc)"
_HOW = "(master|super|combined?|coadd(ed)?|stack(ed)?|average|avg|median|mean)"
_MASTER_NAME = re.compile(
    r"^(master|super)[ _-]?(bias|zero|dark|flat|arc|light|science|[^a-z])"
    r"|(^|[ _-])master([ _.-]|$)"
    rf"|(^|[ _-]){_HOW}[ _-]?{_KIND}(s?[^a-z]|$)"
    rf"|(^|[ _-]){_KIND}s?[ _-]{_HOW}([^a-z]|$)",
    re.IGNORECASE,
)


def _above_one(value: Any) -> bool:
    """Whether a card counts frames, and more than one."""
    try:
        return float(value) > 1
    except (TypeError, ValueError):
        return False


def _is_text(value: Any) -> bool:
    """Whether a card has text, as IRAF writes it: when and how a step was done."""
    return isinstance(value, str) and value.strip() not in ("", "F", "None", "no", "NO")


def _is_not_raw(value: Any) -> bool:
    return _is_text(value) and not value.strip().casefold().startswith("raw")


def _is_true(value: Any) -> bool:
    return value is True or value in (1, "T", "True", "true", "yes")


_CARDS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    # NOIRLab: InstCal, MasterCal, Resampled, Stacked
    ("PROCTYPE", _is_not_raw),
    # IRAF imcombine, Gemini, ccdproc; MaxIm DL; Siril; Siril and ASTAP; LCO BANZAI
    ("NCOMBINE", _above_one),
    ("IMCMB001", _is_text),
    ("SNAPSHOT", _above_one),
    ("STACKCNT", _above_one),
    ("BIAS_CNT", _above_one),
    ("DARK_CNT", _above_one),
    ("FLAT_CNT", _above_one),
    ("LIGH_CNT", _above_one),
    ("ISMASTER", _is_true),
    ("RLEVEL", _above_one),
    # Products of ESO pipelines; IRAF ccdproc; MaxIm DL; DRAGONS
    ("ESO PRO CATG", _is_text),
    ("CCDPROC", _is_text),
    ("ZEROCOR", _is_text),
    ("DARKCOR", _is_text),
    ("FLATCOR", _is_text),
    ("CALSTAT", _is_text),
    ("PROCBIAS", _is_text),
    ("PROCDARK", _is_text),
    ("PROCFLAT", _is_text),
    ("PROCARC", _is_text),
    ("PROCSTND", _is_text),
    ("PREPARE", _is_text),
    ("GPREPARE", _is_text),
)
TYPE_KEYS = ("IMAGETYP", "OBSTYPE", "OBS_TYPE", "FRAME", "FRAMETYP")
"""Keywords for the type of exposure."""


def why_processed(header: QuickHeader, name: str) -> str | None:
    """Return the card or name that shows that a file is no raw frame; None if raw."""
    for key, tells in _CARDS:
        value = header.get(key)
        if value is not None and tells(value):
            return f"{key} = {value!r}"
    for key in TYPE_KEYS:
        value = header.get(key)
        if isinstance(value, str) and _IS_MASTER.search(value):
            return f"{key} = {value!r}"
    if _MASTER_NAME.search(name):
        return "its name"
    return None
