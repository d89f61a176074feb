"""Small raw files, and an engine, for the tests of steps."""

from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pytest
from astropy.io import fits
from shared_steps import DONE

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
def make_raw(folder):
    """Write a raw file of extensions with one value each; give its name."""

    def make(name, values=(10.0, 20.0), shape=(3, 4)):
        hdus = fits.HDUList([fits.PrimaryHDU()])
        hdus[0].header["OBJECT"] = "star"
        for extver, value in enumerate(values, 1):
            data = np.full(shape, value, dtype=np.float32)
            hdus.append(fits.ImageHDU(data, name="SCI", ver=extver))
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        hdus.writeto(path)
        return name

    return make


@pytest.fixture
def pixels():
    """Read the first pixel of every SCI extension with another reader."""

    def read(name):
        with fits.open(name) as hdus:
            return [float(h.data.flat[0]) for h in hdus if h.name == "SCI"]

    return read


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
