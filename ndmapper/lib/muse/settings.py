"""What is to be done with nights of MUSE: a configuration, and its TOML file."""

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from ndmapper.documents import load_toml
from ndmapper.errors import FileAccessError, FormatError, ParameterError, did_you_mean
from ndmapper.lib.muse import recipes
from ndmapper.lib.muse.cleaning import CLEANED
from ndmapper.lib.muse.layouts import check_layout, expand, plain_name
from ndmapper.steps import Step

__all__ = ["TEMPLATE", "MuseConfig", "read_toml"]

TEMPLATE = """\
# How 'ndmapper muse' reduces nights of MUSE. Paths are relative to this file.
raw = "raw"                    # folder of raw frames
# static = "static"            # static calibrations; default: those of the pipeline
# masters = ["masters"]        # folders of masters, such as those that ESO delivers
outdir = "reduced"             # where products go
# mode = "WFM-NOAO-N"          # leave out frames of another mode
# obs = ["OB-1", "OB-2"]       # observation blocks; default: all
# exposures = ["033230-274800_0860_090_00"]   # only these exposures
# exptime = 860                # only exposures of this time [s]
# table = "night.ecsv"         # a table of raw frames that you have corrected
# folder = "{ob}"              # folder in outdir of the products of a block
# layout = "ndmapper"          # or "musereduce", "pymusepipe", or a table of folders
# together = "NGC 1000"        # reduce all blocks as one of this name
# combine_by = "ob"            # or "pointing": a cube for each pointing
# combined = []                # only these exposures are combined
# sofs = true                  # write sets of frames beside the products
# edited_sofs = ["sky"]        # steps that use these as you have edited them
# prefer = "raw"               # make masters where raw frames are; or "masters"
# fixed = { filters = "my_filters.fits" }   # calibrations for all frames
# clean = ["exposures"]        # remove what can be made again: also std, combined, ...
# workers = 4                  # processes, or "all"
# without = ["dark", "raman"]  # calibrations that are not applied
# skip = ["twilight"]          # steps that are not run
# server = ["eso-files", "local"]    # first ESO's association files beside raw frames
# subtract_sky = true
# sky_field = "auto"           # or "object": the sky of the exposures themselves
# align_by = "white"           # filter of the images by which exposures are aligned

# Parameters of steps; 'ndmapper steps show scipost' lists them.
# Further ones of a recipe are in extra.
# [steps.scipost]
# skymethod = "subtract-model"
# images = "white"
# extra = { dlambda = 1.25 }
"""
"""A configuration with comments."""

_PATHS = ("raw", "static", "outdir", "table")


@dataclass(frozen=True, kw_only=True)
class MuseConfig:
    """
    What is to be done with nights of MUSE.

    Parameters
    ----------
    raw : Path
        The folder of raw frames.
    outdir : Path
        The folder of products.
    static : Path or None
        Static calibrations; None for those of the installed pipeline.
    masters : tuple of Path
        Folders of masters.
    mode : str or None
        Only frames of this instrument mode.
    obs : tuple of str
        Observation blocks; empty for all.
    exposures : tuple of str
        Names of exposures of objects; empty for all.
    exptime : float or None
        Only exposures of objects of this time [s].
    table : Path or None
        A corrected table of raw frames.
    folder : str
        The folder of the products of an observation block within `outdir`; ``{ob}``
        stands for its name.
    without : tuple of str
        Types of calibration that are not applied.
    skip : tuple of str
        Steps that are not run.
    server : tuple of str
        What is asked for calibrations, one after the other (see `MuseNight`).
    subtract_sky : bool
        Whether the sky is subtracted.
    sky_field : {'auto', 'object'}
        Whether the sky is that of exposures of an empty field, if there are any, or
        that of the exposures of the object.
    align_by : str
        The filter of the images by which exposures are aligned.
    layout : str or mapping of str to str
        Where products go: one of `ndmapper.lib.muse.layouts.LAYOUTS`, or folders by
        what is in them.
    together : str or None
        A name under which all chosen observation blocks are reduced and combined as
        one; None to do each by itself.
    combine_by : {'ob', 'pointing'}
        Whether all exposures of a block are combined, or those of each pointing (of one
        place and exposure time).
    combined : tuple of str
        Names of the exposures that are aligned and combined; empty for all.
    sofs : bool
        Whether sets of frames are written beside the products, as ``BASE_STEP.sof``.
    edited_sofs : tuple of str
        Steps that take these as the user has edited them.
    prefer : {'raw', 'masters'} or None
        Whether masters are made wherever there are raw frames, or those that are there
        are used wherever there are such; None for the nearest in time.
    modified_sky : bool
        Whether lines that the target may emit are left out of the model of the sky
        (Zeidler et al. 2019, AJ 158, 201).
    fixed : mapping of str to Path
        Calibrations by type that are applied to all frames, such as ``filters`` or
        ``geometry``.
    lists : {'read', 'write'} or None
        Whether lists of MUSEreduce (``ID_SCI.list``, ...) in `outdir` say which raw
        frames are used, or are written there.
    clean : tuple of str
        What is removed in the end: words of `ndmapper.lib.muse.cleaning.CLEANED`.
    workers : int, str or None
        Number of processes, or ``'all'``; None for what the configuration of ndmapper
        says.
    steps : mapping of str to mapping
        Parameters of steps, by the names of the steps.
    """

    raw: Path
    outdir: Path = Path("reduced")
    static: Path | None = None
    masters: tuple[Path, ...] = ()
    mode: str | None = None
    obs: tuple[str, ...] = ()
    exposures: tuple[str, ...] = ()
    exptime: float | None = None
    table: Path | None = None
    folder: str = "{ob}"
    without: tuple[str, ...] = ("dark", "raman")
    skip: tuple[str, ...] = ()
    server: tuple[str, ...] = ("local",)
    subtract_sky: bool = True
    sky_field: Literal["auto", "object"] = "auto"
    align_by: str = "white"
    layout: str | Mapping[str, str] = "ndmapper"
    together: str | None = None
    combine_by: Literal["ob", "pointing"] = "ob"
    combined: tuple[str, ...] = ()
    sofs: bool = False
    edited_sofs: tuple[str, ...] = ()
    prefer: Literal["raw", "masters"] | None = None
    modified_sky: bool = False
    fixed: Mapping[str, Path] = field(default_factory=lambda: MappingProxyType({}))
    lists: Literal["read", "write"] | None = None
    clean: tuple[str, ...] = ()
    workers: int | str | None = None
    steps: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: MappingProxyType({})
    )

    def __post_init__(self) -> None:
        if self.sky_field not in ("auto", "object"):
            msg = f"sky_field is {self.sky_field!r}; give 'auto' or 'object'"
            raise ParameterError(msg)
        if self.combine_by not in ("ob", "pointing"):
            msg = f"combine_by is {self.combine_by!r}; give 'ob' or 'pointing'"
            raise ParameterError(msg)
        if self.prefer not in (None, "raw", "masters"):
            msg = f"prefer is {self.prefer!r}; give 'raw' or 'masters', or leave it out"
            raise ParameterError(msg)
        if self.lists not in (None, "read", "write"):
            msg = f"lists is {self.lists!r}; give 'read' or 'write', or leave it out"
            raise ParameterError(msg)
        for word in self.clean:
            if word not in CLEANED:
                msg = f"{word!r} cannot be cleaned up{did_you_mean(word, CLEANED)}"
                raise ParameterError(msg + f"; there are: {', '.join(CLEANED)}")
        check_layout(self.layout)
        known = [n for n in recipes.__all__ if isinstance(getattr(recipes, n), Step)]
        for name in self.steps:
            if name not in known:
                hint = did_you_mean(name, known)
                msg = f"there is no step {name!r} to have parameters{hint}"
                raise ParameterError(msg)

    def folder_of(self, ob: str) -> str:
        """
        Give the folder of an observation block.

        Parameters
        ----------
        ob : str
            Its name; characters that a file name should not have become ``_``.

        Returns
        -------
        str
            The folder, relative to `outdir`.
        """
        return self.folder.replace("{ob}", plain_name(ob))

    def folder_for(
        self, kind: str, ob: str, *, exposure: str = "", pointing: str = ""
    ) -> Path:
        """
        Give the folder of some of the products of an observation block.

        Parameters
        ----------
        kind : str
            One of `ndmapper.lib.muse.layouts.KINDS`.
        ob : str
            The name of the block.
        exposure, pointing : str
            Names of exposure and pointing, if the products are of one.

        Returns
        -------
        Path
            The folder. It need not exist.
        """
        template = check_layout(self.layout).get(kind, "")
        names = {"exposure": exposure, "pointing": pointing}
        folder = expand(template, **names).replace("{ob}", self.folder_of(ob))
        return self.outdir / folder


def read_toml(path: str | os.PathLike[str]) -> MuseConfig:
    """
    Read a configuration.

    Parameters
    ----------
    path : str or path
        A TOML file; paths in it are relative to its folder.

    Returns
    -------
    MuseConfig
        The configuration.

    Raises
    ------
    FileAccessError
        If the file cannot be read.
    FormatError
        If it is no TOML, or a key or value is wrong.
    """
    source = Path(path)
    try:
        values = load_toml(source.read_bytes())
    except OSError as err:
        msg = f"the configuration {source} cannot be read: {err.strerror}"
        raise FileAccessError(msg) from err
    except ValueError as err:
        msg = f"the configuration {source} is no TOML: {err}"
        raise FormatError(msg) from err
    fields = {f.name: f for f in dataclasses.fields(MuseConfig)}
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key not in fields:
            msg = f"{source} has an unknown key {key!r}{did_you_mean(key, fields)}"
            raise FormatError(msg)
        found[key] = _checked(source, key, value)
    if "raw" not in found:
        msg = f'{source} does not say where the raw frames are: raw = "FOLDER"'
        raise FormatError(msg)
    found.setdefault("outdir", source.parent / "reduced")
    try:
        return MuseConfig(**found)
    except ParameterError as err:
        msg = f"{source}: {err}"
        raise FormatError(msg) from err


def _checked(source: Path, key: str, value: Any) -> Any:
    """Check the type of a value, and make paths absolute."""
    texts = (
        "masters", "obs", "exposures", "without", "skip", "combined",
        "edited_sofs", "clean", "server",
    )  # fmt: skip
    kinds: dict[str, tuple[type, ...]] = {
        "exptime": (int, float), "subtract_sky": (bool,), "steps": (dict,),
        "fixed": (dict,), "sofs": (bool,), "modified_sky": (bool,),
        "workers": (int, str), "layout": (dict, str),
    }  # fmt: skip
    if key in texts:
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(x, str) for x in items):
            msg = f"{source}: {key} is {value!r}; give a list of texts"
            raise FormatError(msg)
        words = [str(item) for item in items]
        paths = (source.parent / word for word in words)
        return tuple(paths) if key == "masters" else tuple(words)
    kind = kinds.get(key, (str,))
    if not isinstance(value, kind) or (isinstance(value, bool) and bool not in kind):
        expected = " or ".join(one.__name__ for one in kind)
        msg = f"{source}: {key} is {value!r}; expected {expected}"
        raise FormatError(msg)
    if key == "fixed" and isinstance(value, dict):
        return {kind: source.parent / str(path) for kind, path in value.items()}
    return source.parent / str(value) if key in _PATHS else value
