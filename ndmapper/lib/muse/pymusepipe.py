"""Scripts that were written for pymusepipe: its class MusePipe, on our steps."""

import contextlib
import dataclasses
import logging
import os
import shlex
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from astropy.table import Table, vstack

from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.errors import NdmapperError, ParameterError, did_you_mean
from ndmapper.lib.muse import recipes
from ndmapper.lib.muse.layouts import LAYOUTS, plain_name
from ndmapper.lib.muse.pymusepipe_files import read_pairs, statics_of
from ndmapper.lib.muse.reduction import MuseReduction, steps_between
from ndmapper.lib.muse.settings import MuseConfig
from ndmapper.steps.call.plan import Plan, preview
from ndmapper.steps.run.dry_run import collect_plans

__all__ = ["RECIPES", "MusePipe"]

log = logging.getLogger(__name__)

RECIPES = (
    "bias", "flat", "wave", "lsf", "twilight", "scibasic_all", "standard", "sky",
    "prep_align", "align_bypointing", "align_bygroup", "scipost", "scipost_sky",
    "combine_pointing",
)  # fmt: skip
"""What `MusePipe.run_all_recipes` runs, in this order."""

_NO_EFFECT = {
    "domerge": "each IFU is a file by itself, which recipes take as they take one file",
    "strong_checkmode": "biases and darks do not depend on the mode",
    "nochecksum": "checksums of files are always checked",
    "vsystemic": "images for alignment are those of a filter",
    "init_raw_table": "raw frames are sorted where they are needed",
    "update_astropy_table": "rows of new products are always added",
    "suffix_prealign": "images for alignment are those of scipost",
    "suffix_checkalign": "images for alignment are those of scipost",
    "save_alignment_images": "images stay where scipost makes them",
    "warnings": "warnings are those of ndmapper",
    "debug": "the log file has all that is known",
    "verbose": "the terminal shows a line for each step",
    "folder_config": "rc_filename and cal_filename are whole paths",
}
"""Options that are taken, and why they change nothing."""


class MusePipe:
    """
    The reduction of a pointing of a target, by the names that pymusepipe has.

    Parameters
    ----------
    targetname : str
        The target, which is the name of the folder in the root folder.
    pointing : int or str
        The number of the pointing, for the folder ``P01``, or the name of the folder.
    rc_filename, cal_filename : str, path or None
        Files with a key and its value in each line: where static calibrations and data
        are, and the names of static calibrations. Without the first, ``~/.musepiperc``.
    logfile : str or None
        The log in the folder ``Log``, which is a shell script of all commands.
    fakemode : bool
        Show and log what would be run, and run nothing.
    log_filename : str or None
        The same as `logfile`.
    overwrite_astropy_table, overwrite_astropy_tables : bool
        Write tables of products anew, instead of adding rows.
    filter_list : str
        Filters of images, with commas.
    filter_for_alignment : str
        The one by whose images exposures are aligned.
    musemode : str
        Only frames of this mode, such as ``'WFM-NOAO-N'`` or ``'WFM_NOAO_N'``.
    checkmode : bool
        Whether the mode is looked at.
    reset_log : bool
        Start the log anew, instead of adding to it.
    time_astrometry : bool
        Whether geometry and astrometry are those of the date (``musecalib_time``), or
        ``geo_table`` and ``astro_table``.
    dataset : int, str or None
        A data set, in the folder ``OB001``, instead of a pointing.
    nifu : int
        -1 for all IFUs, or one of them.
    ncpu : int
        Number of processors; not more than there are.
    first_cpu, list_cpu, likwid : int, str, str
        With `likwid`, such as ``'likwid-pin -c N:'``, the processors that recipes are
        pinned to: from the first on, or the list.
    nocache : bool
        Start recipes by ``nocache``.
    first_recipe, last_recipe : int, str or None
        Range of `RECIPES`, by name or by number from 1.
    parameters : mapping, optional
        Parameters of steps, by the names of the steps (see `MuseConfig`).
    **others : object
        Options of pymusepipe that change nothing here; each that is given is told.

    Raises
    ------
    ParameterError
        If an option is not known.
    FormatError
        If a file cannot be understood.

    Notes
    -----
    Products that are there already, and would be the same, are not made again.
    """

    def __init__(  # noqa: PLR0917  # published
        self,
        targetname: str,
        pointing: int | str = 1,
        rc_filename: str | os.PathLike[str] | None = None,
        cal_filename: str | os.PathLike[str] | None = None,
        logfile: str | None = None,
        fakemode: bool = False,
        *,
        log_filename: str | None = None,
        overwrite_astropy_table: bool = False,
        overwrite_astropy_tables: bool | None = None,
        filter_list: str = "white",
        filter_for_alignment: str = "Cousins_R",
        musemode: str = "WFM-NOAO-N",
        checkmode: bool = True,
        reset_log: bool = False,
        time_astrometry: bool = True,
        dataset: int | str | None = None,
        nifu: int = -1,
        ncpu: int = 24,
        first_cpu: int = 0,
        list_cpu: str = "",
        likwid: str = "",
        nocache: bool = False,
        first_recipe: int | str = 1,
        last_recipe: int | str | None = None,
        parameters: Mapping[str, Mapping[str, Any]] | None = None,
        **others: Any,
    ) -> None:
        for name in others:
            if name not in _NO_EFFECT:
                msg = f"MusePipe has no option {name!r}{did_you_mean(name, _NO_EFFECT)}"
                raise ParameterError(msg)
            log.warning("%s has no effect: %s", name, _NO_EFFECT[name])
        rc = Path("~/.musepiperc" if rc_filename is None else rc_filename).expanduser()
        self.rc = read_pairs(rc, needed=("root", "musecalib"))
        names = {} if cal_filename is None else read_pairs(Path(cal_filename))
        self.targetname = targetname
        self.dataset = _folder_of(pointing, dataset, self.rc)
        self.folder = Path(self.rc["root"]) / targetname / self.dataset
        self.fakemode = fakemode
        anew = overwrite_astropy_tables
        self.overwrite = overwrite_astropy_table if anew is None else anew
        self.logfile = self.folder / "Log" / (log_filename or logfile or "MusePipe.log")
        self.recipes = _range_of(first_recipe, last_recipe)
        self._prefix = _prefix(likwid, first_cpu, ncpu, list_cpu, nocache=nocache)
        dated = self.rc.get("musecalib_time")
        self.config = MuseConfig(
            raw=self.folder / "Raw",
            outdir=self.folder,
            static=Path(self.rc["musecalib"]),
            masters=(Path(dated),) if dated and time_astrometry else (),
            fixed=statics_of(names, Path(self.rc["musecalib"]), dated=time_astrometry),
            mode=musemode.replace("_", "-") if checkmode else None,
            align_by=filter_for_alignment,
            layout="pymusepipe",
            together=self.dataset,
            workers=min(ncpu, os.cpu_count() or 1),
            steps=_parameters(filter_list, filter_for_alignment, nifu, parameters),
        )
        self._start_log(reset=reset_log)
        self._reduction: MuseReduction | None = None
        self._write_table("RAW_TABLE", self.night.table, anew=True)

    @property
    def reduction(self) -> MuseReduction:
        """What does the work."""
        if self._reduction is None:
            self._reduction = MuseReduction(self.config)
        return self._reduction

    @property
    def night(self) -> Any:
        """Raw frames and their calibrations."""
        return self.reduction.night

    def run_all_recipes(self, fraction: float = 0.8, illum: bool = True) -> None:
        """
        Run all recipes, or the range that was chosen.

        Parameters
        ----------
        fraction : float
            Part of the field that is sky.
        illum : bool
            Whether illumination flats are used.
        """
        words: dict[str, dict[str, Any]] = {
            "twilight": {"illum": illum}, "scibasic_all": {"illum": illum},
            "sky": {"fraction": fraction},
        }  # fmt: skip
        for name in self.recipes:
            if name == "scipost_sky":
                self.run_scipost(expotype="SKY", offset_list=False, skymethod="none")
            else:
                getattr(self, f"run_{name}")(**words.get(name, {}))

    run_recipes = run_all_recipes
    run_phangs_recipes = run_all_recipes

    def run_bias(self, tpl: str = "ALL") -> Any:
        """
        Make master biases, of all templates or one.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("bias", tpl)

    def run_dark(self, tpl: str = "ALL") -> Any:
        """
        Make master darks, and apply them from now on.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        without = tuple(name for name in self.config.without if name != "dark")
        self._change(without=without)
        return self._run("dark", tpl)

    def run_flat(self, tpl: str = "ALL") -> Any:
        """
        Make master flats, and trace slices.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("flat", tpl)

    def run_wave(self, tpl: str = "ALL") -> Any:
        """
        Find wavelengths.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("wavecal", tpl)

    def run_lsf(self, tpl: str = "ALL") -> Any:
        """
        Measure line spread functions.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("lsf", tpl)

    def run_twilight(self, tpl: str = "ALL", illum: bool = True) -> Any:
        """
        Combine twilight flats.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.
        illum : bool
            Whether illumination flats are used.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        self._use_illum(illum)
        return self._run("twilight", tpl)

    def run_scibasic_all(self, tpl: str = "ALL", illum: bool = True) -> Any:
        """
        Make pixel tables of all exposures of the object.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.
        illum : bool
            Whether illumination flats are used.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        self._use_illum(illum)
        return self._run("scibasic", tpl)

    run_scibasic = run_scibasic_all

    def run_standard(self, tpl: str = "ALL") -> Any:
        """
        Find the response from standard stars.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("standard", tpl)

    def run_sky(self, tpl: str = "ALL", fraction: float = 0.8) -> Any:
        """
        Find the sky in exposures of an empty field.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.
        fraction : float
            Part of the field that is sky.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        self._set("create_sky", fraction=fraction)
        return self._run("sky", tpl)

    def run_prep_align(self, tpl: str = "ALL") -> Any:
        """
        Make cubes and images of exposures at the places that headers say.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("scipost", tpl)

    def run_align_bypointing(self, tpl: str = "ALL") -> Any:
        """
        Find the offsets of all exposures.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("align", tpl)

    run_align_bydataset = run_align_bypointing

    def run_align_bygroup(self, tpl: str = "ALL") -> Any:
        """
        Find the offsets of the exposures of each template by themselves.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        made = {}
        for name, exposures in self._by_template(tpl).items():
            if len(exposures) < 2:
                continue
            layout = {
                **LAYOUTS["pymusepipe"],
                "align": f"../Alignment/{{ob}}/{plain_name(name)}",
            }
            chosen = dataclasses.replace(
                self.config, combined=tuple(exposures), layout=layout
            )
            made[name] = self._reduce("align", MuseReduction(chosen, shared=self.night))
        return made

    def run_scipost(
        self,
        expotype: str = "OBJECT",
        tpl: str = "ALL",
        offset_list: bool = True,
        skymethod: str = "model",
        **parameters: Any,
    ) -> Any:
        """
        Make a cube of each exposure, at its place by the offsets that were found.

        Parameters
        ----------
        expotype : {'OBJECT', 'SKY'}
            Which exposures.
        tpl : str
            Start of a template, or ``'ALL'``.
        offset_list : bool
            Whether offsets of `run_align_bypointing` are applied.
        skymethod : str
            As of `ndmapper.lib.muse.recipes.scipost`.
        **parameters : object
            Further parameters of that step.

        Returns
        -------
        dict of str to list
            Products by category; None where there are no such exposures.

        Raises
        ------
        ParameterError
            If `expotype` is another.
        """
        if expotype not in ("OBJECT", "SKY"):
            msg = f"expotype is {expotype!r}; give 'OBJECT' or 'SKY'"
            raise ParameterError(msg)
        kind = expotype.lower()
        if kind not in self.night.table["class"]:
            log.warning("there are no exposures of type %s", expotype)
            return None
        where = {} if tpl == "ALL" else {"set": tpl}
        words = {
            "skymethod": skymethod, "outdir": str(self.folder / "Cubes" / kind),
            **parameters,
        }  # fmt: skip
        if skymethod == "none":
            words |= {"sky": None, "skyfit": None}
        elif skymethod != "subtract-model":
            words |= {"sky": None, "skyfit": self.night.static("skylines")}
        folder = self.config.folder_for("scibasic" if kind == "object" else
                                        "scibasic_sky", self.dataset)  # fmt: skip

        def run() -> Any:
            night = self.reduction.night
            offsets = None
            if offset_list and kind == "object":
                offsets = self.reduction.reduce(self.dataset, ("align",))
            frames = night.files(kind, **where)
            tables = night.run(recipes.scibasic, frames, outdir=str(folder))
            given = {} if offsets is None else {"offsets": offsets}
            return night.run(recipes.scipost, tables, **given, **words)

        Path(words["outdir"]).mkdir(parents=True, exist_ok=True)
        return self._call(f"scipost_{kind}", run)

    run_scipost_perexpo = run_scipost

    def run_scipost_sky(self, tpl: str = "ALL") -> Any:
        """
        Make a cube of each exposure of the sky, with its sky.

        Parameters
        ----------
        tpl : str
            Start of a template (TPL START), or ``'ALL'``.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self.run_scipost("SKY", tpl, offset_list=False, skymethod="none")

    def run_combine_pointing(self) -> Any:
        """
        Combine all exposures to a cube.

        Returns
        -------
        object
            What was made, or in a fake run would be.
        """
        return self._run("combine", "ALL")

    run_combine_dataset = run_combine_pointing

    def _run(self, step: str, tpl: str) -> Any:
        """Run a step of a reduction, for all templates or one."""
        (name,) = steps_between(step)
        if tpl == "ALL":
            return self._reduce(name, self.reduction)
        known = {str(value) for value in self.night.table["set"]}
        if tpl not in known:
            msg = (
                f"no raw frame is of the template {tpl!r}{did_you_mean(tpl, known)}; "
                f"there are: {', '.join(sorted(known))}"
            )
            raise ParameterError(msg)
        chosen = self.config
        if exposures := self._by_template(tpl).get(tpl):
            chosen = dataclasses.replace(chosen, exposures=tuple(exposures))
        return self._reduce(
            name, MuseReduction(chosen, template=tpl, shared=self.night)
        )

    def _by_template(self, tpl: str) -> dict[str, list[str]]:
        """List the names of exposures of the object by template."""
        found: dict[str, list[str]] = {}
        for row in self.night.table[self.night.table["class"] == "object"]:
            if tpl in ("ALL", str(row["set"])):
                found.setdefault(str(row["set"]), []).append(str(row["exposure"]))
        return found

    def _reduce(self, step: str, reduction: MuseReduction) -> Any:
        return self._call(step, lambda: reduction.reduce(self.dataset, (step,)))

    def _call(self, name: str, run: Any) -> Any:
        """Log what a step runs, run it, and list what it made."""
        value = config["reprocess"]
        words: dict[str, Any] = {
            "reprocess": "auto" if value is None else value,
            "outdir": str(self.folder), "workers": self.config.workers,
        }  # fmt: skip
        if self._prefix:
            words["esorex_prefix"] = shlex.join(self._prefix)
        with config.using(**words):
            with config.using(dry_run=True), collect_plans() as plans:
                # What cannot be planned is told when it is run.
                skip = () if self.fakemode else (NdmapperError,)
                with contextlib.suppress(*skip):
                    planned = run()
            self._log_plans(name, plans)
            if self.fakemode:
                return planned
            made = run()
        self._list_products(name, made)
        return made

    def _start_log(self, *, reset: bool) -> None:
        """Begin the log, or go on with it."""
        self.logfile.parent.mkdir(parents=True, exist_ok=True)
        if reset or not self.logfile.exists():
            here = shlex.quote(str(Path.cwd()))
            self.logfile.write_text(f"#!/bin/sh\nset -e\ncd {here}\n", encoding="utf-8")

    def _log_plans(self, name: str, plans: list[Plan]) -> None:
        """Add the commands of a step to the log."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        mark = ", fake: nothing was run" if self.fakemode else ""
        with self.logfile.open("a", encoding="utf-8") as stream:
            stream.write(f"\n# {now} {name}{mark}\n")
            for plan in plans:
                if self.fakemode:
                    log.info("%r", plan)
                for item in plan.items:
                    if item.action != "reuse" and (script := preview(item).script):
                        stream.write(f"\n{script.rstrip()}\n")

    def _list_products(self, name: str, made: Any) -> None:
        """Add what a step made to its table."""
        files = list(dict.fromkeys(_flat(made)))
        rows = []
        for path in files:
            row = DataFile(path).record[-1:]
            sources = row[0].get("inputs") or () if row else ()
            used = " ".join(str(source.get("name")) for source in sources)
            rows.append((os.path.relpath(path, self.folder), name, used))
        if rows:
            table = Table(rows=rows, names=("file", "step", "made_of"))
            self._write_table(f"PRO_{name.upper()}", table, anew=self.overwrite)

    def _write_table(self, name: str, table: Table, *, anew: bool) -> None:
        path = self.folder / "Astro_Tables" / f"{name}.ecsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not anew and path.exists():
            before = Table.read(path, format="ascii.ecsv")
            known = set(before["file"])
            table = vstack([before, table[[f not in known for f in table["file"]]]])
        table.write(path, format="ascii.ecsv", overwrite=True)

    def _change(self, **words: Any) -> None:
        """Change the configuration of what is run from now on."""
        self.config = dataclasses.replace(self.config, **words)
        self.reduction.change(self.config)

    def _set(self, step: str, **words: Any) -> None:
        steps = dict(self.config.steps)
        changed = {**steps.get(step, {}), **words}
        if changed != steps.get(step):
            self._change(steps={**steps, step: changed})

    def _use_illum(self, illum: bool) -> None:
        without = {*self.config.without} - {"illum"} | (set() if illum else {"illum"})
        if without != set(self.config.without):
            self._change(without=tuple(sorted(without)))


def _folder_of(
    pointing: int | str, dataset: int | str | None, rc: Mapping[str, str]
) -> str:
    """Name the folder of a pointing, ``P01``, or of a data set, ``OB001``."""
    number = pointing if dataset is None else dataset
    if not isinstance(number, int):
        return number
    if dataset is None:
        return f"{rc.get('str_pointing', 'P')}{number:02d}"
    return f"{rc.get('str_dataset', 'OB')}{number:0{int(rc.get('ndigits', 3))}d}"


def _range_of(first: int | str, last: int | str | None) -> tuple[str, ...]:
    """Give the recipes from one to another, by name or by number from 1."""

    def place(word: int | str) -> int:
        if isinstance(word, int) and 1 <= word <= len(RECIPES):
            return word - 1
        if word in RECIPES:
            return RECIPES.index(str(word))
        msg = f"there is no recipe {word!r}; there are: {', '.join(RECIPES)}"
        raise ParameterError(msg)

    end = len(RECIPES) if last is None else place(last) + 1
    return RECIPES[place(first) : end]


def _prefix(
    likwid: str, first: int, ncpu: int, listed: str, *, nocache: bool
) -> list[str]:
    """Give the command by which recipes are started."""
    words = ["nocache"] if nocache else []
    if likwid:
        cpus = listed or f"{first}-{first + min(ncpu, os.cpu_count() or 1) - 1}"
        words += shlex.split(f"{likwid}{cpus}")
    return words


def _parameters(
    filters: str, aligned: str, nifu: int, given: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, dict[str, Any]]:
    """Give the parameters that pymusepipe sets, and those of the user."""
    words = [word.strip() for word in filters.split(",")]
    wanted = ",".join(dict.fromkeys([*words, aligned]))
    steps: dict[str, dict[str, Any]] = {
        "scipost": {"images": wanted, "skymodel_fraction": 0.05},
        "exp_align": {"threshold": 10.0, "srcmin": 3, "srcmax": 80, "fwhm": 5.0},
        "exp_combine": {"images": ",".join(words)},
    }
    if nifu > 0:
        for name in ("bias", "dark", "flat", "wavecal", "lsf", "scibasic"):
            steps[name] = {"by": None, "nifu": nifu}
    for name, more in (given or {}).items():
        steps[name] = {**steps.get(name, {}), **more}
    return steps


def _flat(made: Any) -> Iterator[Path]:
    """Yield the paths of all files in results of steps."""
    if isinstance(made, DataFile):
        yield Path(str(made.filename))
    elif isinstance(made, Mapping):
        for one in made.values():
            yield from _flat(one)
    elif isinstance(made, list | tuple | DataFileList):
        for one in made:
            yield from _flat(one)
    elif hasattr(made, "values"):
        yield from _flat(list(made.values()))
