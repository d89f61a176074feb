"""Static calibrations of MUSE: where the pipeline has them, and which is which."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines.esorex.recipes import find_recipe
from ndmapper.errors import MissingFileError, MissingToolError, NdmapperError

__all__ = ["STATIC_TAGS", "find_statics", "static_folder"]

STATIC_TAGS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "BADPIX_TABLE": ("badpix", "badpix_table"),
    "LINE_CATALOG": ("lines", "line_catalog"),
    "EXTINCT_TABLE": ("extinction", "extinct_table"),
    "STD_FLUX_TABLE": ("fluxes", "std_flux_table"),
    "FILTER_LIST": ("filters", "filter_list"),
    "SKY_LINES": ("skylines", "sky_lines"),
    "RAMAN_LINES": ("raman", "raman_lines"),
    "VIGNETTING_MASK": ("vignetting", "vignetting_mask"),
    "ASTROMETRY_REFERENCE": ("reference", "astrometry_reference"),
    "GEOMETRY_TABLE": ("geometry", "geometry_table"),
    "ASTROMETRY_WCS": ("astrometry", "astrometry_wcs"),
})  # fmt: skip
"""Tags of static calibrations: their type, and how names in ESO's kit begin."""


def static_folder() -> Path:
    """
    Find the folder of static calibrations of the pipeline that recipes run with.

    Returns
    -------
    Path
        The first of the folders that installations of the pipeline use which exists:
        ``calib/muse-VERSION/cal`` beside that of its recipes, and
        ``share/esopipes/datastatic/muse-VERSION``.

    Raises
    ------
    MissingFileError
        If there is none; the error lists where it was searched for.
    """
    try:
        recipe = find_recipe("muse_scipost", config)
    except MissingToolError as err:
        msg = f"the static calibrations of the pipeline were not found: {err}"
        raise MissingFileError(msg) from err
    kit = f"{recipe.pipeline}-{recipe.version}"
    places = []
    for root in (recipe.folder, *recipe.folder.parents):
        places += [
            root / "calib" / kit / "cal",
            root / "calib" / kit,
            root / "share" / "esopipes" / "datastatic" / kit,
        ]
    for place in places:
        if place.is_dir():
            return place
    msg = (
        f"the static calibrations of {kit} are not installed: there is no "
        f"calib/{kit}/cal and no share/esopipes/datastatic/{kit} in {recipe.folder} or "
        "a folder above; name the folder that has them"
    )
    raise MissingFileError(msg)


def find_statics(folder: str | os.PathLike[str]) -> dict[str, list[Path]]:
    """
    List the static calibrations of a folder.

    Parameters
    ----------
    folder : str or path
        The folder.

    Returns
    -------
    dict of str to list of Path
        Files by type of calibration (``extinction``, ``fluxes``, ...), sorted by name.
        Where the header of a file does not say what it is (ESO PRO CATG), its name
        does, as in ESO's kit.

    Raises
    ------
    MissingFileError
        If there is no such folder.
    """
    root = Path(folder)
    if not root.is_dir():
        msg = f"there is no folder {root} of static calibrations"
        raise MissingFileError(msg)
    found: dict[str, list[Path]] = {}
    for path in sorted(root.iterdir()):
        if ".fits" in path.suffixes and (kind := _kind(path)) is not None:
            found.setdefault(kind, []).append(path)
    return found


def _kind(path: Path) -> str | None:
    """Tell the type of a static calibration; None if the file is something else."""
    try:
        values = DataFile(path).header_values
    except NdmapperError:
        return None
    tag = str(values.get("ESO PRO CATG") or "").strip()
    if tag in STATIC_TAGS:
        # What a recipe made of the sky has the tag of the list of lines.
        made = values.get("ESO PRO REC1 ID") is not None and tag == "SKY_LINES"
        return None if made else STATIC_TAGS[tag][0]
    if tag:
        return None
    kinds = (
        kind for kind, start in STATIC_TAGS.values() if path.name.startswith(start)
    )
    return next(kinds, None)
