"""Reducing nights of MUSE, from raw frames to combined cubes."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ndmapper.config import config
from ndmapper.data import DataFileList
from ndmapper.errors import (
    MissingCalibrationError,
    NdmapperError,
    NotMadeError,
    ParameterError,
    StepError,
    did_you_mean,
)
from ndmapper.lib.muse import recipes
from ndmapper.lib.muse.night import MuseNight
from ndmapper.lib.muse.settings import MuseConfig, read_toml
from ndmapper.steps import Step

__all__ = ["STEPS", "MuseReduction", "reduce_muse", "steps_between"]

log = logging.getLogger(__name__)

STEPS = (
    "bias", "dark", "flat", "wavecal", "lsf", "twilight", "scibasic", "standard", "sky",
    "scipost", "align", "combine",
)  # fmt: skip
"""Steps of a reduction, in the order in which they are run."""

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
    chosen = given if isinstance(given, MuseConfig) else read_toml(given)
    steps = steps_between(only, start, stop)
    for words in (replace or {}, after or {}):
        for name in words:
            _check_step(name)
    reduction = MuseReduction(chosen, replace=replace or {}, after=after or {})
    obs = reduction.obs(ob)
    goes_on = (on_error or "continue") == "continue"
    results: dict[str, Any] = {}
    failed: dict[str, Exception] = {}
    with config.using(reprocess=_reprocess(), outdir=str(chosen.outdir)):
        chosen.outdir.mkdir(parents=True, exist_ok=True)
        for name in obs:
            try:
                results[name] = reduction.reduce(name, steps)
            except (NdmapperError, OSError) as err:
                if not goes_on or len(obs) == 1:
                    raise
                log.error("%s failed: %s", name, err)
                failed[name] = err
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
    """

    config: MuseConfig
    replace: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    after: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        chosen = self.config
        self.night = MuseNight(
            chosen.raw, chosen.static, chosen.masters, mode=chosen.mode,
            cache=chosen.outdir / "calibrations.json", table=chosen.table,
            without=chosen.without,
        )  # fmt: skip
        self.night.parameters = dict(chosen.steps)

    def obs(self, wanted: str | Sequence[str] | None = None) -> list[str]:
        """
        List the observation blocks with exposures of an object.

        Raises
        ------
        ParameterError
            If one that is wanted has none.
        """
        table = self.night.table
        rows = table[table["class"] == "object"]
        known = list(dict.fromkeys(str(name) for name in rows["ob"]))
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
            result = self.night.run(chosen, files, **words)
        else:
            result = chosen(files, **words)
        return self.after[name](result) if name in self.after else result


class _Block:
    """One observation block on its way through the steps."""

    def __init__(self, reduction: MuseReduction, ob: str) -> None:
        self.whole, self.night, self.ob = reduction, reduction.night, ob
        self.config = reduction.config
        self._tables: Any = None
        self._cubes: Any = None
        self._offsets: Any = None

    @property
    def where(self) -> dict[str, Any]:
        """What of the raw frames belongs to this block and is to be reduced."""
        found: dict[str, Any] = {"ob": self.ob}
        if self.config.exposures:
            found["exposure"] = self.config.exposures
        if self.config.exptime is not None:
            found["exptime"] = self.config.exptime
        return found

    def check(self) -> None:
        """Refuse exposures without a calibration that has to be there."""
        exposures = self.night.files("object", **self.where)
        lacking = self.night.lacking(exposures)
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
        call = partial(self.whole.call, name, step)
        return self.night.make(kind, call)

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
        for label, frames in self.night.groups("arc"):
            waves = self.night.calibration(label)
            made.append(self.whole.call("lsf", recipes.lsf, frames, arc=waves))
            self.night.add(label, made[-1])
        return made

    def twilight(self) -> Any:
        return self._master("twilight", "twilight", recipes.twilight)

    def _basic(self, files: Any) -> Any:
        return self.whole.call("scibasic", recipes.scibasic, files)

    def scibasic(self) -> Any:
        """Make pixel tables of the exposures of the object."""
        self._tables = self._basic(self.night.files("object", **self.where))
        return self._tables

    def standard(self) -> Any:
        """Find the response from each standard star that is needed."""

        def respond(frames: Any) -> Any:
            (table,) = self._basic(frames)
            return self.whole.call("standard", recipes.standard, table)

        return self.night.make("standard", respond)

    def sky(self) -> Any:
        """Find the sky, in exposures of an empty field if there are any."""
        if not self.config.subtract_sky:
            return None

        def find(frames: Any) -> Any:
            (table,) = self._basic(frames)
            return self.whole.call("sky", recipes.create_sky, table)

        if self.config.sky_field == "object":
            return None
        return self.night.make("sky", find)

    @property
    def tables(self) -> Any:
        """Pixel tables of the object, made now or before."""
        return self.scibasic() if self._tables is None else self._tables

    def scipost(self) -> Any:
        """Make a cube of each exposure."""
        words: dict[str, Any] = {}
        if not self.config.subtract_sky:
            words = {"skymethod": "none", "sky": None, "skyfit": None}
        elif "skymethod" not in self.night.parameters.get("scipost", {}):
            has_sky = self.config.sky_field == "auto" and self.night.groups("sky")
            words = {"skymethod": "subtract-model" if has_sky else "model"}
        if self.config.sky_field == "object":
            words |= {"sky": None, "skyfit": None}
        self._cubes = self.whole.call(
            "scipost", recipes.scipost, self.tables, outdir=self._outdir(), **words
        )
        return self._cubes

    def _outdir(self) -> str:
        folder = self.config.outdir / self.config.folder_of(self.ob)
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    @property
    def cubes(self) -> Any:
        """Products of scipost, made now or before."""
        return self.scipost() if self._cubes is None else self._cubes

    def align(self) -> Any:
        """Find the offsets of the exposures; None of a single one."""
        filters = self.config.align_by
        images = DataFileList([one[filters] for one in self.cubes["IMAGE_FOV"]])
        if len(images) > 1:
            self._offsets = self.whole.call(
                "align", recipes.exp_align, images, outdir=self._outdir(),
                out_names="offsets.fits",
            )  # fmt: skip
        return self._offsets

    def combine(self) -> Any:
        """Combine the exposures; of a single one its cube is the result."""
        if self._offsets is None and "align" not in self.config.skip:
            self.align()
        tables = self.cubes["PIXTABLE_REDUCED"]
        if len(tables) < 2:
            return self.cubes
        return self.whole.call(
            "combine", recipes.exp_combine, tables, offsets=self._offsets,
            outdir=self._outdir(), out_names=_COMBINED,
        )  # fmt: skip
