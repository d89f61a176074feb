"""Entries of records, and scripts that are run as a user runs them."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.documents import canonical

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def run_script():
    """Run a script in a folder, in a process of its own; warnings are errors there."""

    def run(script, *arguments, folder):
        env = {k: v for k, v in os.environ.items() if not k.startswith("NDMAPPER_")}
        env["PYTHONPATH"] = str(REPOSITORY)
        return subprocess.run(
            [sys.executable, "-W", "error", script, *arguments],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )

    return run


@pytest.fixture
def make_raw(folder):
    """Write a raw file of two extensions with one value each; give its name."""

    def make(name, values=(10.0, 20.0)):
        hdus = fits.HDUList([fits.PrimaryHDU()])
        for extver, value in enumerate(values, 1):
            data = np.full((3, 4), value, dtype=np.float32)
            hdus.append(fits.ImageHDU(data, name="SCI", ver=extver))
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        hdus.writeto(path)
        return name

    return make


@pytest.fixture
def entry():
    """Make an entry of a record, as a step would write it."""

    def make(product, inputs=(), **parts):
        row = {
            "schema": 1, "step": "work", "module": "ndmapper.lib.ccd.bias",
            "engine": "python", "tool": {"name": "ndmapper", "version": "9.9"},
            "product": product, "output": None, "content": "sha256:00",
            "inputs": list(inputs), "calibrations": {}, "parameters": {},
            "config": {"use_uncert": True, "use_flags": True, "bad_flags": 1},
            "references": {}, "source": None, "code": None,
            "script": {"each": "file", "outputs": [None]},
            "run": {"host": "here", "ended": "2026-01-01", "versions": {"numpy": "2"}},
        } | parts  # fmt: skip
        key = hashlib.sha256(canonical(row).encode()).hexdigest()
        return row | {"key": f"sha256:{key}"}

    return make


@pytest.fixture
def product():
    """Refer to a product by its entry."""

    def refer(row, **parts):
        return {"name": row["product"], "key": row["key"]} | parts

    return refer


@pytest.fixture
def raw():
    """Refer to a raw file."""

    def refer(name, digest="sha256:aa", **parts):
        return {"name": name, "digest": digest} | parts

    return refer
