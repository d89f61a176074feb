"""Draft an instrument description (TOML) from the frames of a folder."""

import os
from pathlib import Path
from typing import Any

from ndmapper.calibrations.scan import fits_files
from ndmapper.errors import MissingFileError, NdmapperError, ParameterError
from ndmapper.instruments.draft import draft_instrument
from ndmapper.io.filemap import map_file
from ndmapper.io.headers import UnreadableCardError

__all__ = ["draft_from_folder"]

# A sample of so many headers is enough.
_MOST = 500


def draft_from_folder(name: str, folder: str | os.PathLike[str]) -> str:
    """Draft the TOML of an instrument from the headers of frames."""
    if not name.replace("_", "").replace("-", "").isalnum():
        msg = f"{name!r} is no name for an instrument; use letters, digits, - and _"
        raise ParameterError(msg)
    place = Path(folder)
    files = list(fits_files(place))
    # Sampled evenly, since frames of one type follow each other.
    step = max(1, -(-len(files) // _MOST))
    headers = []
    for file in files[::step]:
        try:
            hdus = map_file(place / file).hdus
        except NdmapperError:
            continue
        images = [h for h in hdus[1:] if h.is_image or h.keys.get("NAXIS") == 0]
        extension = images[0].header if images and not hdus[0].shape else None
        headers.append((_plain(hdus[0].header), extension and _plain(extension)))
    if not headers:
        msg = f"{folder} has no FITS file that can be read; name the folder of frames"
        raise MissingFileError(msg)
    return draft_instrument(name, headers)


def _plain(header: Any) -> dict[str, Any]:
    """Return the readable cards of a header, the first of each keyword."""
    found: dict[str, Any] = {}
    for card in header.cards:
        try:
            found.setdefault(card.keyword, card.value)
        except UnreadableCardError:
            continue
    return found
