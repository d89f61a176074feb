"""Installed recipes: path, version, environment and parameters."""

import hashlib
import logging
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import platformdirs

from ndmapper.config import usable
from ndmapper.documents import load_json
from ndmapper.engines.esorex.parameters import Parameter, read_parameters
from ndmapper.engines.process import find_program, last_lines, read_log, run_program
from ndmapper.errors import MissingToolError, StepError
from ndmapper.io.temporary import scratch_folder, staging_name

__all__ = ["ZEROS", "Recipe", "describe", "environment", "find_recipe"]

log = logging.getLogger(__name__)

_PROGRAM_ADVICE = (
    "install it (Debian, Ubuntu: apt install esorex; otherwise a pipeline kit from "
    "https://www.eso.org/pipelines), or name it in config['esorex']"
)
# muse_create_sky (2.8.7) reads uninitialised memory, so its sky mask was not
# reproducible. With this setting, malloc of the GNU C library returns zeros (255
# inverted).
ZEROS = {"MALLOC_PERTURB_": "255"}
_ASK = 60.0
"""Time limit for esorex to list the parameters of a recipe [s]."""

# Debian packages by prefix of their recipes.
_PACKAGES = {
    "muse": "muse", "hawki": "hawki", "gi": "giraf", "uves": "uves", "vm": "vimos",
    "vimos": "vimos", "naco": "naco", "visir": "visir", "amber": "amber",
}  # fmt: skip

_FOLDERS = (
    "lib/esopipes-plugins", "lib64/esopipes-plugins", "lib/*/esopipes-plugins",
    "lib/*/cpl/plugins", "lib/cpl/plugins", "lib64/cpl/plugins",
)  # fmt: skip
"""Folders of pipelines, relative to the parent of the program's folder."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An installed recipe."""

    name: str
    # Path of esorex.
    program: Path
    # Shared library of the recipe.
    plugin: Path
    # mtime of the shared library [ns].
    stamp: int
    pipeline: str
    version: str

    @property
    def folder(self) -> Path:
        """Folder of the pipeline; esorex knows only the recipes in it."""
        return self.plugin.parent


_found: dict[tuple[str, str, str | None, str | None], Recipe] = {}


def find_recipe(name: str, settings: Mapping[str, Any]) -> Recipe:
    """Return a recipe, without starting esorex."""
    program, plugins = (usable(settings[key]) for key in ("esorex", "esorex_plugins"))
    key = (name, program, plugins, os.environ.get("PATH"))
    known = _found.get(key)
    if known is not None and _stamp(known.plugin) == known.stamp:
        return known
    path = find_program(program, _PROGRAM_ADVICE)
    folders = list(_plugin_folders(path, plugins))
    for folder in folders:
        if plugin := _look(folder, name):
            pipeline, version = _version(plugin)
            recipe = Recipe(
                name=name,
                program=path,
                plugin=plugin,
                stamp=_stamp(plugin) or 0,
                pipeline=pipeline,
                version=version,
            )
            _found[key] = recipe
            return recipe
    raise MissingToolError(_missing(name, folders, given=plugins is not None))


def _plugin_folders(program: Path, given: str | None) -> Iterator[Path]:
    if given is not None:
        for text in filter(None, given.split(":")):
            yield Path(text).expanduser().absolute()
        return
    seen = set()
    for prefix in (program.parent.parent, program.resolve().parent.parent):
        for pattern in _FOLDERS:
            for folder in sorted(prefix.glob(pattern)):
                if folder not in seen:
                    seen.add(folder)
                    yield folder


def _look(folder: Path, name: str) -> Path | None:
    if re.fullmatch(r"\w+", name) is None:
        return None
    found = [
        plugin
        for depth in ("", "*/", "*/*/")
        for ending in ("so", "dylib")
        for plugin in folder.glob(f"{depth}{name}.{ending}")
    ]
    return max(found, key=lambda plugin: _natural(plugin.parent.name), default=None)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(n or 0), word) for n, word in re.findall(r"(\d+)|(\D+)", text)]


def _stamp(plugin: Path) -> int | None:
    try:
        return plugin.stat().st_mtime_ns
    except OSError:
        return None


def _version(plugin: Path) -> tuple[str, str]:
    """Return name and version of a pipeline from its folder name."""
    found = re.fullmatch(r"([A-Za-z]\w*?)-v?(\d[\w.+-]*)", plugin.parent.name)
    if found:
        return found[1], found[2]
    content = hashlib.sha256(plugin.read_bytes()).hexdigest()
    return plugin.stem.split("_")[0], f"sha256:{content[:16]}"


def _missing(name: str, folders: list[Path], *, given: bool) -> str:
    package = next((p for start, p in _PACKAGES.items() if name.startswith(start)), "")
    debian = (
        f"Debian, Ubuntu: apt install cpl-plugin-{package}; otherwise "
        if package
        else ""
    )
    where = ", ".join(map(str, folders)) or "no folder"
    names = sorted(
        {
            plugin.stem
            for folder in folders
            for plugin in [*folder.glob("*.so"), *folder.glob("*/*.so")]
        }
    )
    near = _near(name, names)
    source = "config['esorex_plugins']" if given else "the folders of esorex"
    return (
        f"there is no recipe {name!r} in {where} ({source}){near}; install its "
        f"pipeline ({debian}the kit from https://www.eso.org/pipelines), or name its "
        "folder in config['esorex_plugins']"
    )


def _near(name: str, names: list[str]) -> str:
    import difflib  # only for this message

    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def environment(recipe: Recipe, home: Path) -> dict[str, str]:
    """Return the environment of esorex, without settings that change results."""
    starts = ("ESOREX_", "CPL_", f"{recipe.pipeline.upper()}_")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(starts)}
    return kept | {"HOME": str(home)} | ZEROS


def describe(recipe: Recipe) -> dict[str, Parameter]:
    """Return the parameters of a recipe, as esorex describes them."""
    return _describe(recipe)


@lru_cache(maxsize=64)
def _describe(recipe: Recipe) -> dict[str, Parameter]:
    # Starting esorex takes as long as a small recipe: cache the answer on disk.
    kept = _cache_file(recipe)
    try:
        return read_parameters(load_json(kept.read_bytes()))
    except (OSError, ValueError) as err:
        log.debug("%s: its parameters are not known yet: %s", recipe.name, err)
    text = _ask(recipe)
    parameters = read_parameters(load_json(text))
    temp = staging_name(kept)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temp.write_text(text, encoding="utf-8")
        temp.replace(kept)
    except OSError as err:
        log.debug("the parameters of %s are not remembered: %s", recipe.name, err)
    return parameters


def _cache_file(recipe: Recipe) -> Path:
    program = recipe.program.stat().st_mtime_ns
    words = (recipe.program, program, recipe.plugin, recipe.stamp, recipe.name)
    name = hashlib.sha256("\0".join(map(str, words)).encode()).hexdigest()[:24]
    folder = Path(platformdirs.user_cache_dir("ndmapper", appauthor=False))
    return folder / "esorex" / f"{recipe.name}-{name}.json"


def _ask(recipe: Recipe) -> str:
    with scratch_folder() as folder:
        (folder / "empty.rc").touch()
        end = run_program(
            [
                str(recipe.program),
                "--config=empty.rc",
                "--recipe-config=empty.rc",
                f"--recipe-dir={recipe.folder}",
                "--create-config=parameters.json",
                recipe.name,
            ],
            cwd=folder,
            log=folder / "output",
            env=environment(recipe, folder),
            timeout=_ASK,
        )
        try:
            text = (folder / "parameters.json").read_text(encoding="utf-8")
            read_parameters(load_json(text))
        except (OSError, ValueError) as err:
            msg = (
                f"{recipe.program} does not tell the parameters of {recipe.name} "
                f"({recipe.plugin}): {last_lines(read_log(end.log))}"
            )
            raise StepError(msg) from err
        return text
