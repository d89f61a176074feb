"""Small raw files, and an engine, for the tests of steps."""

import os
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import pytest
from astropy.io import fits
from shared_steps import DONE, double, make_bias, subtract

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import registry
from ndmapper.engines.base import Outcome, Preview
from ndmapper.errors import UnknownParameterError
from ndmapper.steps.record.summary import summary


@pytest.fixture(autouse=True)
def _empty_summary():
    """Count steps and products of each test from nothing; leave no counts behind."""
    DONE.clear()
    summary.clear()
    yield
    summary.clear()


@pytest.fixture
def reprocess_auto():
    """Make products again where what they were made of has changed."""
    with config.using(reprocess="auto"):
        yield


@pytest.fixture
def reprocess_never():
    """Use products that exist, whatever has changed, and report what has."""
    with config.using(reprocess=False):
        yield


@pytest.fixture
def pixels():
    """Read the first pixel of every SCI extension with another reader."""

    def read(name):
        with fits.open(name) as hdus:
            return [float(h.data.flat[0]) for h in hdus if h.name == "SCI"]

    return read


@pytest.fixture
def reduce_night(make_raw):
    """Write the raw frames of a night; a function that reduces them, as a script."""
    for n in range(3):
        make_raw(f"bias{n}.fits", (float(n),))
    make_raw("raw1.fits", (10.0,))
    make_raw("raw2.fits", (20.0,))
    for path in Path().glob("*.fits"):
        os.utime(path, (1e9, 1e9))  # digests of files written just now are not kept

    def script(
        biases=(0, 1, 2),
        raws=("raw1.fits", "raw2.fits"),
        *,
        factor=1.0,
        scale=1.0,
        table=None,
        offset=0.0,
        **keywords,
    ):
        DONE.clear()
        summary.clear()
        names = [f"bias{n}.fits" for n in biases]
        bias = make_bias(names, bias="bias.fits", factor=factor, **keywords)
        subtracted = subtract([*raws], bias=bias, scale=scale, table=table, **keywords)
        return double(subtracted, offset=offset, **keywords)

    return script


@pytest.fixture
def rerun_night(reduce_night):
    """Reduce the night; the function reduces it again."""
    reduce_night()
    return reduce_night


class FakeEngine:
    """An engine that notes its jobs, and adds 1 to the first input for each output."""

    name = "fake"
    each = "file"
    words = MappingProxyType({"speed": "slow", "sof": None})
    version = "1.0"
    known = None
    jobs: ClassVar[list] = []

    def tool(self, task):
        return {"name": f"fake {task.name}", "version": type(self).version}

    def parameters(self, task):
        return type(self).known

    def check(self, job):
        known = type(self).known
        for name in job.parameters if known is not None else ():
            if name not in known:
                raise UnknownParameterError(f"{job.task.name} has no parameter {name}")

    def preview(self, job):
        values = " ".join(f"{n}={v}" for n, v in job.parameters.items())
        return Preview(text=f"fake {job.task.name} {values}".rstrip())

    def run(self, job):
        self.jobs.append(job)
        products = {}
        for number, output in enumerate(job.outputs, 1):
            products[output] = product = DataFile(data=job.inputs[0])
            for index, ndd in enumerate([*product]):
                product[index] = ndd + number
        return Outcome(products=products, log="fake was here\n")


@pytest.fixture
def fake(monkeypatch):
    """Register an engine 'fake'; its class, whose attributes a test may set."""

    class Fake(FakeEngine):
        jobs: ClassVar[list] = []

    monkeypatch.setitem(registry._OURS, "fake", Fake)
    return Fake
