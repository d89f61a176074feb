"""Reducing nights of MUSE, from raw frames to combined cubes."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from ndmapper.calibrations.further import FurtherProduct
from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList, FileName, FileSet
from ndmapper.errors import (
    MissingCalibrationError,
    NdmapperError,
    NotMadeError,
    ParameterError,
    StepError,
    did_you_mean,
)
from ndmapper.instruments import load
from ndmapper.lib.muse import recipes
from ndmapper.lib.muse.cleaning import clean_up
from ndmapper.lib.muse.layouts import check_layout, plain_name
from ndmapper.lib.muse.musereduce_config import read_config
from ndmapper.lib.muse.musereduce_lists import read_lists, write_lists
from ndmapper.lib.muse.night import MuseNight
from ndmapper.lib.muse.settings import MuseConfig
from ndmapper.lib.muse.sky import create_modified_sky
from ndmapper.lib.muse.sofs import sof_of_user, write_sof
from ndmapper.steps import Step

__all__ = ["STEPS", "MuseReduction", "reduce_muse", "steps_between"]

log = logging.getLogger(__name__)

STEPS = (
    "bias", "dark", "flat", "wavecal", "lsf", "twilight", "scibasic", "standard", "sky",
    "scipost", "align", "combine",
)  # fmt: skip
"""Steps of a reduction, in the order in which they are run."""

_KIND_OF = {
    "bias": "bias", "dark": "dark", "flat": "flat", "wavecal": "arc", "lsf": "arc",
    "twilight": "twilight", "standard": "standard", "sky": "sky",
}  # fmt: skip
"""Types of the masters that steps make."""

_COMBINED = {"DATACUBE_FINAL": "combined.fits", "IMAGE_FOV": "combined-{filter}.fits"}


def reduce_muse(
    given: MuseConfig | str | Path,
    ob: str | Sequence[str] | None = None,
    *,
    only: str | Sequence[str] | None = None,
    start: str | None = None,
    stop: str | None = None,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    after: Mapping[str, Callable[..., Any]] | None = None,
    on_error: str | None = None,
) -> dict[str, Any]:
    """
    Reduce raw frames of MUSE to combined cubes, an observation block after the other.

    Parameters
    ----------
    given : MuseConfig, str or path
        The configuration, or the file that has it (TOML, or JSON of MUSEreduce).
    ob : str or sequence of str, optional
        Observation blocks; by default those of the configuration, else all.
    only : str or sequence of str, optional
        Steps that are run (see `STEPS`). Masters of the others have to be there; pixel
        tables and cubes are made if they are not.
    start, stop : str, optional
        The first and the last step.
    replace : mapping of str to callable, optional
        Steps of your own in the place of those of the library. Each is given the files
        and the parameters that the library's would be given.
    after : mapping of str to callable, optional
        Functions of the result of a step, whose result is used instead.
    on_error : {'stop', 'continue'}, optional
        Whether other observation blocks go on when one fails; by default they do, and
        the error at the end names those that failed.

    Returns
    -------
    dict of str to object
        For each observation block what the last of its steps gave.

    Raises
    ------
    ParameterError
        If a step or an observation block is not known.
    StepError
        If observation blocks failed.
    """
    chosen = given if isinstance(given, MuseConfig) else read_config(given)
    steps = steps_between(only, start, stop)
    for words in (replace or {}, after or {}):
        for name in words:
            _check_step(name)
    reduction = MuseReduction(chosen, replace=replace or {}, after=after or {})
    obs = reduction.obs(ob)
    goes_on = (on_error or "continue") == "continue"
    results: dict[str, Any] = {}
    failed: dict[str, Exception] = {}
    settings: dict[str, Any] = {
        "reprocess": _reprocess(), "outdir": str(chosen.outdir),
    }  # fmt: skip
    if chosen.workers is not None:
        settings["workers"] = chosen.workers
    with config.using(**settings):
        chosen.outdir.mkdir(parents=True, exist_ok=True)
        if chosen.lists == "write":
            write_lists(reduction.night, chosen.outdir)
        for name in obs:
            try:
                results[name] = reduction.reduce(name, steps)
            except (NdmapperError, OSError) as err:
                if not goes_on or len(obs) == 1:
                    raise
                log.error("%s failed: %s", name, err)
                failed[name] = err
    if chosen.clean and not failed and not config["dry_run"]:
        clean_up(chosen.outdir, chosen.clean)
    if failed:
        told = "; ".join(f"{name}: {err}" for name, err in failed.items())
        msg = f"{len(failed)} of {len(obs)} observation blocks failed: {told}"
        raise StepError(msg)
    return results


def steps_between(
    only: str | Sequence[str] | None = None,
    start: str | None = None,
    stop: str | None = None,
) -> tuple[str, ...]:
    """
    Choose steps of a reduction.

    Parameters
    ----------
    only : str or sequence of str, optional
        These.
    start, stop : str, optional
        From the first to the last of these.

    Returns
    -------
    tuple of str
        The steps, in their order.

    Raises
    ------
    ParameterError
        If one is not known, or none is left.
    """
    wanted = [only] if isinstance(only, str) else list(STEPS if only is None else only)
    for name in (*wanted, *filter(None, (start, stop))):
        _check_step(name)
    first = 0 if start is None else STEPS.index(start)
    last = len(STEPS) if stop is None else STEPS.index(stop) + 1
    steps = tuple(name for name in STEPS[first:last] if name in wanted)
    if not steps:
        msg = f"no step is left between {start or STEPS[0]} and {stop or STEPS[-1]}"
        raise ParameterError(msg)
    return steps


def _check_step(name: str) -> None:
    if name not in STEPS:
        msg = (
            f"there is no step {name!r} in a reduction of MUSE"
            f"{did_you_mean(name, STEPS)}; there are: {', '.join(STEPS)}"
        )
        raise ParameterError(msg)


def _reprocess() -> Any:
    """Give what is to be done with products that are there: 'auto', unless told."""
    value = config["reprocess"]
    return "auto" if value is None else value


@dataclass
class MuseReduction:
    """
    The reduction of nights of MUSE.

    Parameters
    ----------
    config : MuseConfig
        What is to be done, and how.
    replace, after : mapping of str to callable
        Steps in the place of others, and functions of their results.
    template : str or None
        Only masters of raw frames of this template (TPL START) are made.
    shared : MuseNight or None
        The night of another reduction, with all that this has made.
    """

    config: MuseConfig
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    after: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    template: str | None = None
    shared: MuseNight | None = None

    def __post_init__(self) -> None:
        self._masters: dict[tuple[str, str], tuple[Path, Any]] = {}
        if self.shared is not None:
            self.night = self.shared
            return
        chosen = self.config
        self.night = MuseNight(
            chosen.raw, chosen.static, chosen.masters, mode=chosen.mode,
            cache=chosen.outdir / "calibrations.json", table=chosen.table,
            without=(*chosen.without, *_unused(chosen)), prefer=chosen.prefer,
            fixed=chosen.fixed, server=list(chosen.server),
        )  # fmt: skip
        if chosen.lists == "read":
            read_lists(self.night, chosen.outdir)
        self.night.parameters = dict(chosen.steps)

    def change(self, chosen: MuseConfig) -> None:
        """
        Go by another configuration from now on; what was made is known still.

        Parameters
        ----------
        chosen : MuseConfig
            The same but for parameters of steps and what is left out.
        """
        self.config = chosen
        self.night.parameters = dict(chosen.steps)
        self.night.without = frozenset((*chosen.without, *_unused(chosen)))

    def obs(self, wanted: str | Sequence[str] | None = None) -> list[str]:
        """
        List the observation blocks with exposures of an object.

        Raises
        ------
        ParameterError
            If one that is wanted has none.
        """
        together = self.config.together
        if together is not None and wanted in (None, together, [together]):
            self.blocks_of(together)
            return [together]
        return self._known(wanted)

    def blocks_of(self, name: str) -> list[str]:
        """
        List the observation blocks that are reduced under a name.

        Parameters
        ----------
        name : str
            That of a block, or the one under which several are reduced together.

        Returns
        -------
        list of str
            Their names.
        """
        return self._known(None) if name == self.config.together else [name]

    def _known(self, wanted: str | Sequence[str] | None) -> list[str]:
        table = self.night.table
        rows = table[table["class"] == "object"]
        known = list(dict.fromkeys(str(name) for name in rows["ob"]))
        folders: dict[str, str] = {}
        for name in known:
            other = folders.setdefault(plain_name(name), name)
            if other != name:
                msg = (
                    f"the observation blocks {other!r} and {name!r} would have the "
                    f"same folder, {plain_name(name)}; give one of them another name "
                    "in the column 'ob' of a table of raw frames (table)"
                )
                raise ParameterError(msg)
        given = [wanted] if isinstance(wanted, str) else wanted
        names = list(given or self.config.obs or known)
        for name in names:
            if name not in known:
                msg = (
                    f"there is no exposure of an object of the observation block "
                    f"{name!r}{did_you_mean(name, known)}; there are: "
                    f"{', '.join(known) or 'none'}"
                )
                raise ParameterError(msg)
        return names

    def reduce(self, ob: str, steps: Iterable[str] = STEPS) -> Any:
        """
        Reduce one observation block.

        Parameters
        ----------
        ob : str
            Its name.
        steps : iterable of str
            Which of `STEPS` are run.

        Returns
        -------
        object
            What the last of the steps gave.
        """
        result: Any = None
        try:
            for found in self.walk(ob, steps):
                result = result if found is None else found
        except NotMadeError as err:
            if not config["dry_run"]:
                raise
            log.info("what follows can be told when files are made: %s", err)
        return result

    def walk(self, ob: str, steps: Iterable[str] = STEPS) -> Iterator[Any]:
        """
        Reduce one observation block, a step at a time.

        Parameters
        ----------
        ob : str
            Its name.
        steps : iterable of str
            Which of `STEPS` are run.

        Yields
        ------
        object
            What each step gave; None where there was nothing to do.
        """
        block = _Block(self, ob)
        block.check()
        wanted = [name for name in steps if name not in self.config.skip]
        block.find_masters(name for name in STEPS if name not in wanted)
        for name in STEPS:
            if name in steps:
                yield getattr(block, name)() if name in wanted else None

    def call(
        self, name: str, step: Callable[..., Any], files: Any, **words: Any
    ) -> Any:
        """
        Run a step of the reduction, or what replaces it, and what comes after it.

        Parameters
        ----------
        name : str
            Which of `STEPS` it is.
        step : Step or callable
            The step of the library.
        files : object
            What it works on.
        **words : object
            Parameters and calibrations.

        Returns
        -------
        object
            The result.
        """
        chosen = self.replace.get(name, step)
        if isinstance(chosen, Step):
            if self.config.sofs:
                chosen, words = self._with_sof(name, chosen, files, words)
            result = self.night.run(chosen, files, **words)
        else:
            result = chosen(files, **words)
        return self.after[name](result) if name in self.after else result

    def _with_sof(
        self, name: str, step: Step, files: Any, words: Mapping[str, Any]
    ) -> tuple[Step, dict[str, Any]]:
        """Write the set of frames of a call, or take the one that was edited."""
        self.night.of(files, step)
        first: Any = files
        while not isinstance(first, DataFile):
            first = next(iter(first.values() if isinstance(first, FileSet) else first))
        stem = FileName(str(first)).base
        folder = Path(words.get("outdir", self.config.outdir))
        path = folder / f"{stem}_{name}.sof"
        if name not in self.config.edited_sofs:
            given = {**self.config.steps.get(step.name, {}), **words}
            write_sof(path, step, files, **given)
            return step, dict(words)
        # One set of frames is one call of the recipe, for all IFUs.
        whole = {"by": None, "nifu": -1} if step.declaration.by else {}
        return sof_of_user(step, path), {**words, **whole}

    def master_of(
        self, name: str, label: str, folder: Path, make: Callable[[], Any]
    ) -> Any:
        """
        Make a master, but only once where several blocks need it.

        Parameters
        ----------
        name : str
            Which of `STEPS` it is of.
        label : str
            Its label in the calibration document.
        folder : Path
            Where it is to be.
        make : callable
            What makes it.

        Returns
        -------
        object
            What was made, here or in the folder of another block.
        """
        known = self._masters.get((name, label))
        if known is not None and known[0] != folder:
            return known[1]
        made = make()
        self._masters[name, label] = folder, made
        return made


def _unused(chosen: MuseConfig) -> tuple[str, ...]:
    """Types of calibration that exposures of an empty field would give in vain."""
    is_used = chosen.subtract_sky and chosen.sky_field == "auto"
    return () if is_used else ("sky", "skyfit", "skymask")


class _Block:
    """One observation block on its way through the steps."""

    def __init__(self, reduction: MuseReduction, ob: str) -> None:
        self.whole, self.night, self.ob = reduction, reduction.night, ob
        self.config = reduction.config
        self._tables: Any = None
        self._cubes: Any = None
        self._offsets: dict[str, Any] | None = None
        self._skies: list[Any] | None = None

    @property
    def where(self) -> dict[str, Any]:
        """What of the raw frames belongs to this block and is to be reduced."""
        found: dict[str, Any] = {"ob": self.whole.blocks_of(self.ob)}
        if self.config.exposures:
            found["exposure"] = self.config.exposures
        if self.config.exptime is not None:
            found["exptime"] = self.config.exptime
        return found

    @cached_property
    def exposures(self) -> DataFileList:
        """The raw frames of the object."""
        return self.night.files("object", **self.where)

    def check(self) -> None:
        """Refuse exposures without a calibration that has to be there."""
        lacking = self.night.lacking(self.exposures)
        # Recipes go without an astrometric solution, and say so in the headers.
        lacking.pop("astrometry", None)
        if lacking:
            told = "; ".join(f"{kind} ({why})" for kind, why in lacking.items())
            msg = (
                f"exposures of {self.ob} lack calibrations: {told}. Add frames or "
                "masters, name others in the calibration document, or list in "
                "'without' what is not to be applied"
            )
            raise MissingCalibrationError(msg)

    def _master(self, name: str, kind: str, step: Step) -> Any:
        if kind in self.night.without:
            return None
        return [
            self._make(name, label, partial(self.whole.call, name, step, frames))
            for label, frames in self._groups(kind)
        ]

    def _groups(self, kind: str) -> list[tuple[str, DataFileList]]:
        """List masters to be made, of one template if only that is wanted."""
        groups = self.night.groups(kind, self.exposures)
        wanted = self.whole.template
        if wanted is None:
            return groups
        sets = {str(row["file"]): str(row["set"]) for row in self.night.table}
        return [g for g in groups if sets.get(Path(str(g[1][0])).name) == wanted]

    def _make(self, name: str, label: str, make: Callable[..., Any]) -> Any:
        """Make a master in its folder, and note it."""
        place = partial(make, **self._placed(name))
        made = self.whole.master_of(name, label, self._folder(name), place)
        self.night.add(label, made)
        return made

    def find_masters(self, steps: Iterable[str]) -> None:
        """Find masters of an earlier run, of steps that are not run now."""
        for name in steps:
            folder = self._folder(name)
            if name not in _KIND_OF or folder == self.config.outdir:
                continue
            for label, _ in self.night.groups(_KIND_OF[name], self.exposures):
                for one in _products_of(_KIND_OF[name], label):
                    with config.using(outdir=str(folder)):
                        found = self.night.calibration(one)
                    if found is not None:
                        self.night.add(label, found)

    def _folder(self, kind: str, **names: str) -> Path:
        return self.config.folder_for(kind, self.ob, **names)

    def _placed(self, kind: str, **names: str) -> dict[str, str]:
        """Say where products go, if not into the folder of all."""
        folder = self._folder(kind, **names)
        if folder == self.config.outdir:
            return {}
        folder.mkdir(parents=True, exist_ok=True)
        return {"outdir": str(folder)}

    def bias(self) -> Any:
        return self._master("bias", "bias", recipes.bias)

    def dark(self) -> Any:
        return self._master("dark", "dark", recipes.dark)

    def flat(self) -> Any:
        return self._master("flat", "flat", recipes.flat)

    def wavecal(self) -> Any:
        return self._master("wavecal", "arc", recipes.wavecal)

    def lsf(self) -> Any:
        made = []
        for label, frames in self._groups("arc"):
            waves = self.night.calibration(label)
            call = partial(self.whole.call, "lsf", recipes.lsf, frames, arc=waves)
            made.append(self._make("lsf", label, call))
        return made

    def twilight(self) -> Any:
        return self._master("twilight", "twilight", recipes.twilight)

    def _basic(self, files: Any, kind: str, **names: str) -> Any:
        words = self._placed(kind, **names)
        return self.whole.call("scibasic", recipes.scibasic, files, **words)

    @property
    def names(self) -> list[tuple[str, str]]:
        """Names of exposure and pointing of each frame of the object."""
        table = self.night.table
        rows = {str(row["file"]): row for row in table[table["class"] == "object"]}
        found = [rows[Path(str(df)).name] for df in self.exposures]
        return [(str(row["exposure"]), str(row["pointing"])) for row in found]

    def _is_split(self, kind: str) -> bool:
        """Whether each exposure is a call by itself."""
        template = check_layout(self.config.layout).get(kind, "")
        return self.config.sofs or "{exposure}" in template or "{pointing}" in template

    def _names(self, n: int) -> dict[str, str]:
        exposure, pointing = self.names[n]
        return {"exposure": exposure, "pointing": pointing}

    def scibasic(self) -> Any:
        """Make pixel tables of the exposures of the object."""
        files = self.exposures
        if not self._is_split("scibasic"):
            self._tables = self._basic(files, "scibasic")
            return self._tables
        self._tables = [
            one
            for n in range(len(files))
            for one in self._basic(files[n : n + 1], "scibasic", **self._names(n))
        ]
        return self._tables

    def standard(self) -> Any:
        """Find the response from each standard star that is needed."""

        def respond(frames: Any, **words: Any) -> Any:
            (table,) = self._basic(frames, "scibasic_standard")
            return self.whole.call("standard", recipes.standard, table, **words)

        return [
            self._make("standard", label, partial(respond, frames))
            for label, frames in self._groups("standard")
        ]

    def sky(self) -> Any:
        """Find the sky, in exposures of an empty field if there are any."""
        if not self.config.subtract_sky:
            return None

        def find(frames: Any, **words: Any) -> Any:
            (table,) = self._basic(frames, "scibasic_sky")
            return self._find_sky(table, **words)

        if self._has_sky:
            return [
                self._make("sky", label, partial(find, frames))
                for label, frames in self._groups("sky")
            ]
        return self.skies if self._skymethod == "subtract-model" else None

    def _find_sky(self, table: Any, **words: Any) -> Any:
        """Find the sky in a pixel table, if wanted without lines of the target."""
        if self.config.modified_sky and "sky" not in self.whole.replace:
            words = {**self.night.parameters.get("create_sky", {}), **words}
            return create_modified_sky(
                self.night.of(table, recipes.create_sky), **words
            )
        return self.whole.call("sky", recipes.create_sky, table, **words)

    @property
    def _has_sky(self) -> bool:
        """Whether the sky is that of exposures of an empty field."""
        return self.config.sky_field == "auto" and bool(
            self.night.groups("sky", self.exposures)
        )

    @property
    def _skymethod(self) -> str:
        """How the sky is subtracted."""
        if not self.config.subtract_sky:
            return "none"
        default = "subtract-model" if self._has_sky else "model"
        said = self.night.parameters.get("scipost", {}).get("skymethod", default)
        return str(said)

    @property
    def skies(self) -> list[Any]:
        """The sky of each exposure of the object, found in its own pixel table."""
        if self._skies is None:
            words = self._placed("sky")
            self._skies = [self._find_sky(table, **words) for table in self.tables]
        return self._skies

    @property
    def tables(self) -> Any:
        """Pixel tables of the object, made now or before."""
        return self.scibasic() if self._tables is None else self._tables

    def scipost(self) -> Any:
        """Make a cube of each exposure."""
        tables, sky = self.tables, self._sky_words()
        if not self._is_split("scipost"):
            words = self._placed("scipost") | sky
            call = self.whole.call("scipost", recipes.scipost, tables, **words)
            self._cubes = call
            return self._cubes
        cubes: dict[str, list[Any]] = {}
        for n in range(len(tables)):
            own: dict[str, Any] = dict(self._placed("scipost", **self._names(n)))
            for key, value in sky.items():
                own[key] = value[n : n + 1] if isinstance(value, list) else value
            table = tables[n : n + 1]
            one = self.whole.call("scipost", recipes.scipost, table, **own)
            for tag, products in one.items():
                cubes.setdefault(tag, []).extend(products)
        self._cubes = cubes
        return self._cubes

    def _sky_words(self) -> dict[str, Any]:
        """Say how the sky is subtracted, and which."""
        method = self._skymethod
        words: dict[str, Any] = {"skymethod": method}
        if method == "none":
            return words | {"sky": None, "skyfit": None}
        if not self._has_sky:
            if method == "subtract-model":
                words["sky"] = [one["SKY_CONTINUUM"] for one in self.skies]
                words["skyfit"] = [one["SKY_LINES"] for one in self.skies]
            else:
                # The recipe fits the lines that the pipeline knows.
                words |= {"sky": None, "skyfit": self.night.static("skylines")}
        if self._autocalib != "none" and "mask" not in self._scipost_words:
            if not self._has_sky:
                words["mask"] = [one["SKY_MASK"] for one in self.skies]
            else:
                given = self.night.of(self.tables, recipes.create_sky)
                words["mask"] = [table.cals.get("skymask") for table in given]
        return words

    @property
    def _scipost_words(self) -> Mapping[str, Any]:
        return self.night.parameters.get("scipost", {})

    @property
    def _autocalib(self) -> str:
        return str(self._scipost_words.get("autocalib", "none"))

    @property
    def cubes(self) -> Any:
        """Products of scipost, made now or before."""
        return self.scipost() if self._cubes is None else self._cubes

    @property
    def groups(self) -> dict[str, list[int]]:
        """The exposures that are combined with one another, by pointing or all."""
        chosen = self.config.combined
        known = [exposure for exposure, _ in self.names]
        for name in chosen:
            if name not in known:
                msg = (
                    f"{name!r} is to be combined, but is no exposure of {self.ob}"
                    f"{did_you_mean(name, known)}; there are: {', '.join(known)}"
                )
                raise ParameterError(msg)
        found: dict[str, list[int]] = {}
        for n, (exposure, pointing) in enumerate(self.names):
            if not chosen or exposure in chosen:
                by_pointing = self.config.combine_by == "pointing"
                found.setdefault(pointing if by_pointing else "", []).append(n)
        return found

    def _place(self, kind: str, pointing: str) -> tuple[dict[str, str], str]:
        """Say where what is made of several exposures goes, and what is before it."""
        by_pointing = self.config.combine_by == "pointing"
        name = pointing or self.names[0][1]
        words = self._placed(kind, pointing=name)
        in_folder = "{pointing}" in check_layout(self.config.layout).get(kind, "")
        return words, f"{pointing}_" if by_pointing and not in_folder else ""

    def align(self) -> Any:
        """Find the offsets of the exposures; None of a single one."""
        filters = self.config.align_by
        self._offsets = {}
        for pointing, rows in self.groups.items():
            images = [self.cubes["IMAGE_FOV"][n][filters] for n in rows]
            if len(images) > 1:
                words, start = self._place("align", pointing)
                self._offsets[pointing] = self.whole.call(
                    "align", recipes.exp_align, DataFileList(images),
                    out_names=f"{start}offsets.fits", **words,
                )  # fmt: skip
        return _only(self._offsets)

    def combine(self) -> Any:
        """Combine the exposures; of a single one its cube is the result."""
        if self._offsets is None and "align" not in self.config.skip:
            self.align()
        made: dict[str, Any] = {}
        for pointing, rows in self.groups.items():
            tables = DataFileList([self.cubes["PIXTABLE_REDUCED"][n] for n in rows])
            if len(tables) < 2:
                continue
            words, start = self._place("combine", pointing)
            made[pointing] = self.whole.call(
                "combine", recipes.exp_combine, tables,
                offsets=(self._offsets or {}).get(pointing),
                out_names={tag: f"{start}{name}" for tag, name in _COMBINED.items()},
                **words,
            )  # fmt: skip
        return _only(made) or self.cubes


def _products_of(kind: str, label: str) -> list[str]:
    """Name a master and what is made with it, such as the traces of a flat."""
    instrument = load("muse")
    further = (
        FurtherProduct(
            label=label, from_type=kind, cal_type=other, instrument=instrument
        ).name
        for other in instrument.products.get(kind, {})
        if other != kind
    )
    return [label, *further]


def _only(made: Mapping[str, Any]) -> Any:
    """Give the one thing that was made, or all by pointing; None for nothing."""
    return next(iter(made.values()), None) if len(made) < 2 else dict(made)
