"""The entry of a product in its record, written from the declaration alone."""

import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import astropy
import numpy as np

from ndmapper._version import __version__
from ndmapper.config import Settings
from ndmapper.data import DataFile
from ndmapper.data.save import write_datafile
from ndmapper.engines.base import Calibration, Output
from ndmapper.io.digest import DigestCache, digest
from ndmapper.io.record import SCHEMA, entry_key
from ndmapper.steps.declaration import Declaration
from ndmapper.steps.origin import origin_of
from ndmapper.steps.recordable import recordable
from ndmapper.steps.replay import script_block

__all__ = ["Work", "ancestors", "describe", "is_as_recorded", "run_block"]

Entry = dict[str, Any]
"""One entry of a record; its fields are listed in `ndmapper.io.record`."""

_CONFIG = ("use_uncert", "use_flags", "bad_flags")
"""Keys of the configuration that change what a step makes."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """
    One unit of work, with everything that decides what comes of it.

    Parameters
    ----------
    declaration : Declaration
        The step.
    inputs : tuple of DataFile
        What it works on.
    calibrations : mapping
        What is applied, by type.
    parameters : mapping
        The checked parameters.
    settings : Settings
        The configuration of the call.
    digests : DigestCache
        Digests that are known already.
    """

    declaration: Declaration
    inputs: tuple[DataFile, ...]
    calibrations: Mapping[str, Calibration]
    parameters: Mapping[str, Any]
    settings: Settings
    digests: DigestCache

    @property
    def used(self) -> list[DataFile]:
        """Every file that goes in: inputs, calibrations, files given as parameters."""
        used = list(self.inputs)
        for cal in self.calibrations.values():
            used += [] if cal is None else cal if isinstance(cal, list) else [cal]
        return used + [v for v in self.parameters.values() if isinstance(v, DataFile)]


def describe(work: Work, output: Output, product: str, *, expected: bool) -> Entry:
    """
    Describe a product: everything of its entry that is known before it is made.

    Parameters
    ----------
    work : Work
        What it is made of.
    output : str or None
        Name of the output.
    product : str
        File name of the product, without folder.
    expected : bool
        Whether inputs that were re-used although they differ from what would be made
        now count as what they would be (True), or as what they are (False).

    Returns
    -------
    dict
        The entry, without ``content`` and ``run``.
    """
    declaration = work.declaration
    step = declaration.name
    origin = origin_of(declaration.func)

    def refer(df: DataFile) -> Entry:
        return _reference(df, work.digests, expected=expected)

    entry: Entry = {
        "schema": SCHEMA,
        "step": step,
        "module": origin.module,
        "engine": "python",
        "tool": origin.tool,
        "product": product,
        "output": output,
        "inputs": [refer(df) for df in work.inputs],
        "calibrations": {
            name: None
            if cal is None
            else [refer(df) for df in cal]
            if isinstance(cal, list)
            else refer(cal)
            for name, cal in work.calibrations.items()
        },
        "parameters": {
            name: recordable(value, f"{step}: {name}")
            for name, value in work.parameters.items()
        },
        "config": {name: work.settings[name] for name in _CONFIG},
        "references": {
            name: refer(value)
            if isinstance(value, DataFile)
            else {"name": value.name, "digest": digest(value, work.digests)}
            for name, value in work.parameters.items()
            if isinstance(value, (Path, DataFile))
        },
        "source": origin.source,
        "code": origin.code,
    }
    entry["script"] = script_block(declaration, origin.context, work.parameters)
    entry["key"] = entry_key(entry)
    return entry


def is_as_recorded(df: DataFile, digests: DigestCache) -> bool:
    """
    Say whether a product is still what its record describes.

    Parameters
    ----------
    df : DataFile
        A product with a record.
    digests : DigestCache
        Digests that are known already, so that no product is read twice for this.

    Returns
    -------
    bool
        False if its content was changed by something that keeps no record.
    """
    return digest(Path(df), digests) == str(df.record[-1]["content"])


def _reference(df: DataFile, digests: DigestCache, *, expected: bool) -> Entry:
    """Refer to a file by its key if a step made it, else by its content."""
    name = Path(str(df)).name if df.filename is not None else "unnamed"
    if not df.unloaded or df.filename is None:
        # What is only in memory is what counts, not what lies on disk.
        with tempfile.TemporaryDirectory(prefix="ndmapper-") as folder:
            path = Path(folder) / "content.fits"
            write_datafile(df, path, rows=[])
            return {"name": name, "digest": digest(path), "memory": True}
    if df.record and is_as_recorded(df, digests):
        key = df.record[-1]["key"]
        if expected and df.expected_key and df.expected_key[0] == key:
            key = df.expected_key[1]
        return {"name": name, "key": key}
    return {"name": name, "digest": digest(Path(str(df)), digests)}


def run_block(started: str, ended: str, paths: Mapping[str, str]) -> Entry:
    """
    Describe what is volatile about a run, which never counts in comparisons.

    Parameters
    ----------
    started, ended : str
        Times in UTC, ISO 8601.
    paths : mapping
        Name to absolute path of the inputs and calibrations.

    Returns
    -------
    dict
        The ``run`` block of an entry.
    """
    return {
        "started": started,
        "ended": ended,
        "host": platform.node(),
        "platform": platform.platform(),
        "paths": dict(paths),
        "workers": 1,
        "versions": {
            "ndmapper": __version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "astropy": astropy.__version__,
        },
    }


def ancestors(files: Sequence[DataFile]) -> list[Entry]:
    """
    Join the records of everything that a product is made of.

    Parameters
    ----------
    files : sequence of DataFile
        Inputs and calibrations.

    Returns
    -------
    list of dict
        Their entries, oldest first, each once.
    """
    joined: dict[tuple[str, str], Entry] = {}
    for df in files:
        for entry in df.record:
            joined.setdefault((entry["key"], entry["product"]), entry)
    return list(joined.values())
