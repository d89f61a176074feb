"""The files that pymusepipe is configured by: a key and its value in each line."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ndmapper.errors import FileAccessError, FormatError, did_you_mean
from ndmapper.lib.muse.statics import STATIC_TAGS

__all__ = ["read_pairs", "statics_of"]

_KEYS = (
    "root", "musecalib", "musecalib_time", "str_dataset", "str_pointing", "ndigits",
    "geo_table", "astro_table", "badpix_table", "vignetting_mask", "std_flux_table",
    "extinct_table", "line_catalog", "sky_lines", "filter_list",
)  # fmt: skip

_KINDS = {
    "geo_table": "geometry", "astro_table": "astrometry",
    **{start: kind for kind, start in STATIC_TAGS.values() if start in _KEYS},
}  # fmt: skip
"""Types of calibration by key."""


def read_pairs(path: Path, needed: Sequence[str] = ()) -> dict[str, str]:
    """
    Read a file with a key and its value in each line.

    Parameters
    ----------
    path : Path
        The file. What follows ``#`` or ``%`` in a line is a comment.
    needed : sequence of str
        Keys that it must have.

    Returns
    -------
    dict of str to str
        Values by key.

    Raises
    ------
    FileAccessError
        If the file cannot be read.
    FormatError
        If a line has no value, or a key is not known, twice, or missing.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as err:
        msg = f"the file {path} cannot be read: {err.strerror}"
        raise FileAccessError(msg) from err
    except UnicodeDecodeError as err:
        msg = f"the file {path} is no text in UTF-8: {err}"
        raise FormatError(msg) from err
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("%", "#").split("#")[0].split(maxsplit=1)
        if not words:
            continue
        key = words[0]
        if key not in _KEYS:
            msg = (
                f"{path}, line {number}: unknown key {key!r}{did_you_mean(key, _KEYS)}"
            )
            raise FormatError(msg)
        if (
            len(words) < 2
            or found.setdefault(key, words[1].strip()) != words[1].strip()
        ):
            what = "has no value" if len(words) < 2 else "is given twice"
            msg = f"{path}, line {number}: {key} {what}"
            raise FormatError(msg)
    for key in needed:
        if key not in found:
            msg = f"{path} has no line '{key} FOLDER'"
            raise FormatError(msg)
    return found


def statics_of(
    names: Mapping[str, str], folder: Path, *, dated: bool
) -> dict[str, Path]:
    """
    Give the static calibrations that a file names.

    Parameters
    ----------
    names : mapping of str to str
        Names of files by key (see `read_pairs`).
    folder : Path
        The folder of static calibrations, which names are relative to.
    dated : bool
        Whether geometry and astrometry are chosen by date, so that those that are named
        are not used.

    Returns
    -------
    dict of str to Path
        Files by type of calibration.

    Raises
    ------
    FileAccessError
        If a file is not there.
    """
    found = {}
    for key, name in names.items():
        kind = _KINDS.get(key)
        # The mask is only for old twilights, which the night knows.
        if kind in (None, "vignetting") or (
            dated and kind in ("geometry", "astrometry")
        ):
            continue
        path = folder / name
        if not path.is_file():
            msg = f"{key} is {name}, but there is no {path}"
            raise FileAccessError(msg)
        found[str(kind)] = path
    return found
