"""Raw frames of MUSE: sorted, grouped, and given their calibrations."""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import Table

from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.calibrations.given import GivenCals
from ndmapper.calibrations.patterns import open_product
from ndmapper.calibrations.provenance import answer_of
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.calibrations.sets import find_in_any_form
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.errors import MissingCalibrationError, ParameterError, did_you_mean
from ndmapper.instruments import load
from ndmapper.lib.muse.exposures import add_identifiers
from ndmapper.lib.muse.statics import STATIC_TAGS, find_statics, static_folder
from ndmapper.services import look_up_cals
from ndmapper.services.eso.service import EsoService
from ndmapper.steps import Step

__all__ = ["MuseNight"]

log = logging.getLogger(__name__)

_TYPES = (
    "bias", "dark", "flat", "trace", "arc", "lsf", "illum", "twilight", "standard",
    "telluric", "geometry", "astrometry", "sky", "skyfit", "skymask", *(
        kind for kind, _ in STATIC_TAGS.values()
    ),
)  # fmt: skip
"""Types of calibration."""

_BY_DATE = ("geometry", "astrometry")
"""Static calibrations of which the matcher chooses, by date and field mode."""

_VIGNETTED_UNTIL = 57823.5
"""Twilights before this date (MJD) need a mask."""


class MuseNight:
    """
    Raw frames of MUSE, and the calibrations that they need.

    Parameters
    ----------
    raw : str or path
        The folder of raw frames. Masters that lie there are used, too.
    static : str, path or None
        The folder of static calibrations; by default that of the installed pipeline.
    masters : path or sequence of paths, optional
        Folders of masters, such as those that ESO delivers.
    cache : str or path
        The calibration document. The user may edit it.
    table : Table, str or path, optional
        A corrected table of raw frames, or its ECSV file (see `table`).
    mode : str, optional
        Only frames of this mode, such as ``'WFM-NOAO-N'``, or ``'WFM-NOAO'`` for the
        nominal and the extended range; biases and darks are of every mode,
        illumination flats and astrometric fields of every mode of the field.
    without : collection of str
        Types of calibration that are not applied. By default darks, and the lines of
        Raman scattering, which only frames with laser guide stars need.
    prefer : {'raw', 'masters'}, optional
        Whether masters are made of raw frames wherever there are such, or those that
        are there are used wherever there are such. By default the nearest in time is
        used, be it raw or ready.
    fixed : mapping of str to path, optional
        Calibrations by type that are applied to all frames, such as ``{'filters':
        'my_filters.fits'}``, whatever there is besides.
    server : str or list of str
        What is asked for calibrations, one after the other: the rules of the
        instrument, ``'local'``; ESO's association files (``*_raw2raw.xml``) beside the
        raw frames, ``'eso-files'``; and what `ndmapper.services.look_up_cals` knows.

    Attributes
    ----------
    table : astropy.table.Table
        The raw frames: ``file``, ``class``, and what their headers say, with the names
        of exposures and pointings. Classes and names may be corrected and rows removed
        before calibrations are asked for, and the table be saved and given as `table`.
    without : frozenset of str
        Types of calibration that are not applied.
    refresh : bool
        Whether calibrations that an earlier run found are looked up again, but for what
        was edited in the document; so with `prefer`, which may have changed.
    parameters : dict of str to mapping
        Parameters of steps by their names, for `run` and `make`.
    """

    def __init__(
        self,
        raw: str | os.PathLike[str],
        static: str | os.PathLike[str] | None = None,
        masters: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
        *,
        cache: str | os.PathLike[str] = "calibrations.json",
        table: Table | str | os.PathLike[str] | None = None,
        mode: str | None = None,
        without: Collection[str] = ("dark", "raman"),
        prefer: Literal["raw", "masters"] | None = None,
        fixed: Mapping[str, str | os.PathLike[str]] | None = None,
        server: Any = "local",
    ) -> None:
        self.raw = Path(raw)
        self._static = static_folder() if static is None else Path(static)
        given = [masters] if isinstance(masters, str | os.PathLike) else masters
        self._folders = [self.raw, *map(Path, given), self._static]
        self._cache = cache
        named = [server] if isinstance(server, str) or callable(server) else server
        self._server = [
            EsoService(dirname=self.raw, ask=False) if one == "eso-files" else one
            for one in named
        ]
        self.without = frozenset(without)
        self.prefer = prefer
        self.refresh = prefer is not None
        self._fixed = {kind: DataFile(path) for kind, path in (fixed or {}).items()}
        self.parameters: dict[str, Mapping[str, Any]] = {}
        self.table = survey(self.raw, "muse", known=table)
        if mode is not None:
            self.table = _of_mode(self.table, mode)
        if not len(self.table) or "time" not in self.table.colnames:
            msg = f"there is no raw frame of MUSE in {self.raw}"
            raise ParameterError(msg)
        add_identifiers(self.table)
        for row in self.table:
            if str(row["why"]).startswith("cannot be read"):
                log.warning("%s is not used: it %s", row["file"], row["why"])
        self._statics = find_statics(self._static)
        self._made: dict[str, Any] = {}
        self._document: dict[str, Any] | None = None

    @property
    def cals(self) -> dict[str, Any]:
        """The calibration document of all exposures, which is looked up once."""
        if self._document is None:
            kinds = ("object", "sky", "standard", "astrometry")
            wanted = [k in kinds for k in self.table["class"]]
            names = [self.raw / str(name) for name in self.table["file"][wanted]]
            self._document = look_up_cals(
                names or [self.raw / str(name) for name in self.table["file"]],
                server=self._server, cache=self._cache, dirname=self._folders,
                survey=self._surveyed(), instrument="muse", refresh=self.refresh,
            )  # fmt: skip
        return self._document

    def _surveyed(self) -> Table:
        """Give the table of raw frames, without what is not preferred."""
        if self.prefer is None:
            return self.table
        others = [survey(folder, "muse")["class"] for folder in self._folders[1:-1]]
        there = {
            str(name) for names in (self.table["class"], *others) for name in names
        }
        return _preferred(self.table, there, self.prefer)

    def lacking(self, files: Any) -> dict[str, str]:
        """
        Tell which calibrations frames need, and have not.

        Parameters
        ----------
        files : DataFile or DataFileList
            Raw frames.

        Returns
        -------
        dict of str to str
            Types of calibration, and why none was found. Those that frames are reduced
            without (`without`, and optional ones) are left out.
        """
        names = {df.filename.name for df in files}
        found: dict[str, str] = {}
        optional = {rule.type for rule in load("muse").rules if rule.optional}
        for name, types in self.cals[ASSOCIATIONS].items():
            if name not in names:
                continue
            for kind, label in types.items():
                if label is None and kind not in optional | self.without:
                    answer = answer_of(name, kind, self.cals) or {}
                    found[kind] = str(answer.get("why") or "none, as the document says")
        return found

    def files(self, kind: str, **where: Any) -> DataFileList:
        """
        Open the raw frames of a class.

        Parameters
        ----------
        kind : str
            The class, such as ``'object'``.
        **where : object
            Columns of the table and their value, or several: ``ob="OB-1"``,
            ``exposure=[...]``.

        Returns
        -------
        DataFileList
            The frames, in the order of time.

        Raises
        ------
        ParameterError
            If there are none; the error lists what there is.
        """
        rows = self._rows(kind, where)
        return DataFileList([str(self.raw / name) for name in self.table["file"][rows]])

    def _rows(self, kind: str, where: Mapping[str, Any]) -> list[int]:
        table = self.table
        rows = [n for n in np.argsort(table["time"]) if table["class"][n] == kind]
        if not rows:
            known = sorted({str(k) for k in table["class"]})
            msg = (
                f"{self.raw} has no frame of class {kind!r}"
                f"{did_you_mean(kind, known)}; there are: {', '.join(known) or 'none'}"
            )
            raise ParameterError(msg)
        for name, wanted in where.items():
            if name not in table.colnames:
                hint = did_you_mean(name, table.colnames)
                msg = f"the table of raw frames has no column {name!r}{hint}"
                raise ParameterError(msg)
            is_one = isinstance(wanted, str) or not isinstance(wanted, Collection)
            values = {str(v) for v in ([wanted] if is_one else wanted)}
            there = sorted({str(table[name][n]) for n in rows})
            rows = [n for n in rows if str(table[name][n]) in values]
            if not rows:
                msg = (
                    f"no frame of class {kind!r} has {name} "
                    f"{', '.join(sorted(values))}; there are: {', '.join(there)}"
                )
                raise ParameterError(msg)
        return [int(n) for n in rows]

    def groups(self, kind: str, files: Any = None) -> list[tuple[str, DataFileList]]:
        """
        List the calibrations of a type that have to be made.

        Parameters
        ----------
        kind : str
            Type of calibration, such as ``'bias'``.
        files : DataFile or DataFileList, optional
            Only what these raw frames need, themselves or by way of other calibrations;
            by default what all exposures need.

        Returns
        -------
        list of (str, DataFileList)
            Labels, and the raw frames of one template.
        """
        found = []
        reference = None if files is None else sorted(self._frames_behind(files))
        for label, names in cal_entries(self.cals, kind, reference):
            if names and names != [label]:
                frames = DataFileList([str(self.raw / name) for name in names])
                found.append((label, frames))
        return found

    def _frames_behind(self, files: Any) -> set[str]:
        """Name raw frames and all those that their calibrations are made of."""
        associations, made_of = self.cals[ASSOCIATIONS], self.cals[CALIBRATIONS]
        pending = [df.filename.name for df in files]
        found = set(pending)
        while pending:
            for label in associations.get(pending.pop(), {}).values():
                new = [name for name in made_of.get(label, ()) if name not in found]
                pending += new
                found.update(new)
        return found

    def calibration(self, label: str) -> DataFile | FileSet | None:
        """
        Find what was made under a label, now or before.

        Parameters
        ----------
        label : str
            The label of the calibration in the document.

        Returns
        -------
        DataFile, FileSet or None
            The calibration; None if it was not made.
        """
        found = GivenCals(self._made).find(label)
        if found is not None:
            return found
        path = find_in_any_form(label, self.cals)
        return None if path is None else open_product(path)

    def of(self, files: Any, step: Step | None = None) -> Any:
        """
        Give files the calibrations that they need, made now or found.

        Parameters
        ----------
        files : DataFile, DataFileList or FileSet
            Raw frames, or what was made of them.
        step : Step, optional
            What they are for: only calibrations that it takes are looked for.

        Returns
        -------
        DataFile, DataFileList or FileSet
            The same files; `cals` of each has its calibrations by type.

        Raises
        ------
        MissingCalibrationError
            If one that has to be made of raw frames is not there.
        """
        taken = _TYPES if step is None else step.declaration.cals
        types = [kind for kind in taken if kind not in self.without]
        associate_cals(self._made, files, types, cal_dict=self.cals)
        several = not isinstance(files, DataFile | FileSet)
        for file in files if several else [files]:
            for kind, path in self._static_of(file).items():
                if kind in types and file.cals.get(kind) is None:
                    file.cals[kind] = path
            file.cals.update({k: v for k, v in self._fixed.items() if k in types})
            for kind in self.without & set(taken):
                file.cals[kind] = None
        return files

    def run(self, step: Step, files: Any, **parameters: Any) -> Any:
        """
        Run a step on files with their calibrations.

        Parameters
        ----------
        step : Step
            The step.
        files : DataFile, DataFileList or FileSet
            Raw frames, or what was made of them.
        **parameters : object
            Parameters of the step, and calibrations by name, which count before those
            that the night has. What `parameters` says of the step counts where the
            call says nothing.

        Returns
        -------
        object
            What the step gives.
        """
        words = {**self.parameters.get(step.name, {}), **parameters}
        for tag, (kind, _) in STATIC_TAGS.items():
            needed = kind in step.declaration.cals and kind not in _BY_DATE
            if needed and kind not in {*step.declaration.optional, *words}:
                self._check_static(step.name, kind, tag)
        return step(self.of(files, step), **words)

    def _static_of(self, file: DataFile | FileSet) -> dict[str, DataFile]:
        """Find the static calibrations of a file, but those chosen by date."""
        found = {}
        for kind, paths in self._statics.items():
            if kind in _BY_DATE:
                continue
            if kind == "vignetting" and not _is_vignetted(file):
                continue
            found[kind] = DataFile(paths[-1])
        return found

    def static(self, kind: str) -> DataFile | None:
        """
        Give the static calibration of a type, of those that have no date.

        Parameters
        ----------
        kind : str
            Type of calibration, such as ``'skylines'``.

        Returns
        -------
        DataFile or None
            The file; None if there is none.
        """
        if kind in self._fixed:
            return self._fixed[kind]
        paths = self._statics.get(kind)
        return DataFile(paths[-1]) if paths else None

    def _check_static(self, step: str, kind: str, tag: str) -> None:
        """Refuse to go without a static calibration that a recipe needs."""
        if kind not in self._statics and kind not in self.without:
            msg = (
                f"{step} needs the static calibration {tag}, and there is none in "
                f"{self._static}; put it there, or give {kind}=<file>"
            )
            raise MissingCalibrationError(msg)

    def make(
        self, kind: str, step: Callable[..., Any], files: Any = None, **parameters: Any
    ) -> list[Any]:
        """
        Make all calibrations of a type that have to be made.

        Parameters
        ----------
        kind : str
            Type of calibration, such as ``'bias'``.
        step : Step or callable
            A step, or a function of the raw frames that runs several.
        files : DataFile or DataFileList, optional
            Only what these raw frames need (see `groups`).
        **parameters : object
            Parameters of the step.

        Returns
        -------
        list
            What the step gave for each. `of` finds it from then on.
        """
        results = []
        for label, frames in self.groups(kind, files):
            if isinstance(step, Step):
                result = self.run(step, frames, **parameters)
            else:
                result = step(frames, **parameters)
            results.append(result)
            self.add(label, result)
        return results

    def add(self, label: str, result: Any) -> None:
        """
        Note what was made, so that `of` finds it.

        Parameters
        ----------
        label : str
            The label of the calibration in the document.
        result : DataFile, FileSet, or mapping of these
            What a step gave. Several steps may add to one label.
        """
        known = self._made.setdefault(label, [])
        known.append(result)


_MADE = {
    "bias": ("bias",), "dark": ("dark",), "flat": ("flat", "trace"), "arc": ("arc",),
    "twilight": ("twilight",),
}  # fmt: skip
"""Types of the masters that are made of the raw frames of a class."""


def _preferred(table: Table, there: Collection[str], prefer: str) -> Table:
    """Leave out masters where there are raw frames, or the other way round."""
    left_out: set[str] = set()
    for raw, made in _MADE.items():
        if prefer == "raw" and raw in there:
            left_out |= {f"processed_{kind}" for kind in made}
        elif prefer == "masters" and f"processed_{made[0]}" in there:
            left_out.add(raw)
    return table[[str(name) not in left_out for name in table["class"]]]


def _of_mode(table: Table, mode: str) -> Table:
    """Leave out frames of another mode; biases and darks are of every mode."""
    modes = sorted({str(value) for value in table["mode"]})
    fits = [_is_of_mode(str(row["mode"]), mode) for row in table]
    kept = [
        is_one or row["class"] in ("bias", "dark")
        # What lights the field does not depend on adaptive optics.
        or (row["class"] in ("illum", "astrometry") and row["mode"][:3] == mode[:3])
        for is_one, row in zip(fits, table, strict=True)
    ]  # fmt: skip
    if not any(fits):
        msg = f"no raw frame has the mode {mode!r}{did_you_mean(mode, modes)}"
        msg += f"; there are: {', '.join(modes)}"
        raise ParameterError(msg)
    if not all(kept):
        words = "%d frames of another mode than %s are left out"
        log.warning(words, kept.count(False), mode)
    return table[kept]


def _is_of_mode(mode: str, wanted: str) -> bool:
    """Whether a mode is the wanted one; ``WFM-AO`` is of either range."""
    return mode == wanted or mode.startswith(f"{wanted}-")


def _is_vignetted(file: DataFile | FileSet) -> bool:
    one = file if isinstance(file, DataFile) else next(iter(file.values()))
    mjd = load("muse").describe(one.header_values).get("mjd")
    return isinstance(mjd, int | float) and mjd < _VIGNETTED_UNTIL
