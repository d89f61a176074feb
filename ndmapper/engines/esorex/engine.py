"""The engine for recipes of the ESO pipelines."""

import contextlib
import re
import shlex
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ndmapper.config import config, usable
from ndmapper.engines.base import Each, Job, Outcome, Preview, Task
from ndmapper.engines.esorex.parameters import arguments
from ndmapper.engines.esorex.preview import preview
from ndmapper.engines.esorex.products import ProductError, find_products
from ndmapper.engines.esorex.recipes import (
    Recipe,
    describe,
    environment,
    find_recipe,
)
from ndmapper.engines.esorex.sof import (
    Frame,
    check_sof,
    frames_of,
    keep_sof,
    link_frames,
    read_sof,
    sof_text,
)
from ndmapper.engines.process import (
    Finished,
    exit_error,
    find_program,
    printable,
    read_log,
    run_program,
    thread_limit,
    tool_error,
)
from ndmapper.engines.staging import InputLinks
from ndmapper.errors import MissingToolError, ParameterError

__all__ = ["EsorexEngine"]

OPTIONS = (
    "--config=empty.rc", "--recipe-config=empty.rc", "--check-sof-exist=TRUE",
    "--create-config=FALSE", "--link-dir=.", "--log-dir=.", "--log-file=esorex.log",
    "--log-level=off", "--man-page=FALSE", "--mem-check=FALSE", "--msg-level=info",
    "--no-checksum=FALSE", "--no-datamd5=FALSE", "--output-dir=.",
    "--output-prefix=out", "--output-readonly=FALSE", "--params=FALSE",
    "--recipes=FALSE", "--show-hidden=FALSE", "--suppress-link=TRUE",
    "--suppress-prefix=TRUE", "--time=FALSE", "--unload-plugin=TRUE",
)  # fmt: skip
"""All options of esorex, so that none is taken from a user's settings."""

_ERROR = re.compile(
    r"^(?:[\d:]+ )?\[ ERROR \] (?:\S+: )?(?:\[tid=\d+\] )?(.*)$", re.MULTILINE
)
_SUMMARY = re.compile(r"Dumping the|Found \d+ error|\[\d+/\d+\]|$")


class EsorexEngine:
    """Run recipes with esorex, each in its own folder."""

    name = "esorex"
    each: Each = "list"
    words: Mapping[str, Any] = MappingProxyType({"create_sof": True, "sof": None})

    def frames_of_user(self, task: Task) -> list[tuple[Path, str]]:
        """Return the frames of a SOF file that the user has edited."""
        words = task.words
        if words["create_sof"] or words["sof"] is None:
            return []
        return [(path, tag) for path, tag, _ in read_sof(Path(words["sof"]))]

    def tool(self, task: Task) -> dict[str, str | None]:
        """Return name and version of a recipe's pipeline."""
        try:
            recipe = find_recipe(str(task.name), config)
        except MissingToolError:
            return {"name": str(task.name), "version": None}
        return {"name": recipe.pipeline, "version": recipe.version}

    def parameters(self, task: Task) -> Collection[str] | None:
        """Return the parameters of a recipe, without frames."""
        try:
            return list(describe(find_recipe(str(task.name), config)))
        except MissingToolError:
            return None

    def check(self, job: Job) -> None:
        """Check frames and parameters against the description of the recipe."""
        frames_of(job)
        check_sof(job)
        with contextlib.suppress(MissingToolError):
            recipe = find_recipe(str(job.task.name), job.settings)
            arguments(recipe.name, describe(recipe), job.parameters)

    def preview(self, job: Job) -> Preview:
        """Show the set of frames and the command line."""
        try:
            recipe = find_recipe(str(job.task.name), job.settings)
        except MissingToolError as err:
            return preview(job, [str(job.settings["esorex"]), str(job.task.name)], err)
        given = arguments(recipe.name, describe(recipe), job.parameters)
        return preview(job, [*_prefix(job), *_argv(recipe, given)], None)

    def run(self, job: Job) -> Outcome:
        """
        Run the recipe.

        Raises StepError also if products do not list all inputs, or are missing.
        """
        assert job.folder is not None
        recipe = find_recipe(str(job.task.name), job.settings)
        given = arguments(recipe.name, describe(recipe), job.parameters)
        try:
            return _run(job, recipe, given, job.folder)
        except BaseException:
            # Products of a failed run are not used, even if they look complete.
            _discard(job.folder)
            raise


def _prefix(job: Job) -> list[str]:
    """Give the words of the command that a recipe is started by."""
    given = job.settings["esorex_prefix"]
    try:
        words = shlex.split(usable(given) or "")
    except ValueError as err:
        msg = f"config['esorex_prefix'] = {given!r} cannot be split into words: {err}"
        raise ParameterError(msg) from err
    if words:
        advice = "install it, or change config['esorex_prefix']"
        words[0] = str(find_program(words[0], advice))
    return words


def _argv(recipe: Recipe, given: list[str]) -> list[str]:
    return [
        str(recipe.program),
        *OPTIONS,
        f"--recipe-dir={recipe.folder}",
        "--products-sof=products.json",
        recipe.name,
        *given,
        "frames.sof",
    ]


def _run(job: Job, recipe: Recipe, given: list[str], folder: Path) -> Outcome:
    keep_sof(job)
    frames = link_frames(job, InputLinks(folder / "in"))
    home = folder / "home"
    home.mkdir()
    (folder / "empty.rc").touch()
    (folder / "frames.sof").write_text(sof_text(frames), encoding="utf-8")
    end = run_program(
        [*_prefix(job), *_argv(recipe, given)],
        cwd=folder,
        log=folder / "output",
        env=environment(recipe, home) | thread_limit(),
        timeout=job.timeout,
    )
    text = printable(read_log(end.log))
    tool = f"the recipe {recipe.name} ({recipe.pipeline} {recipe.version})"
    if end.returncode or end.timed_out:
        raise exit_error(job, tool, end, text, _hint(end, text, frames))
    try:
        products = find_products(folder, folder / "products.json")
        found = products.by_output(job.outputs, job.open)
        products.check_inputs(frames, given)
    except ProductError as err:
        raise tool_error(job, tool, f"{err}{_hint(end, text, frames)}", text) from err
    words = [f"it printed the error: {line}" for line in _errors(text)]
    return Outcome(
        products=found,
        log=text,
        warnings=tuple(dict.fromkeys([*words, *products.warnings])),
    )


def _errors(text: str) -> list[str]:
    found = [line.strip() for line in _ERROR.findall(text)]
    return [line for line in found if not _SUMMARY.match(line)]


def _hint(end: Finished, text: str, frames: list[Frame]) -> str:
    """Return the first error message; later ones are consequences."""
    errors = _errors(text)
    hint = f" (its first error: {errors[0]})" if errors else ""
    if end.returncode > 0 and any(frame.tag != frame.tag.upper() for frame in frames):
        hint += "; note that upper and lower case of frame tags differ"
    return hint


def _discard(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
