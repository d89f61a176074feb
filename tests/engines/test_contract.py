"""The engines of ndmapper keep the contract of engines."""

from pathlib import Path
from types import MappingProxyType

import pytest

from ndmapper.data import DataFile
from ndmapper.engines import Task, get_engine
from ndmapper.lib.simulate import simulate_hawki_darks
from ndmapper.testing import EngineContract


def task(name, inputs, outputs, **words):
    return Task(engine="", name=name, inputs=inputs, outputs=outputs, words=words)


@pytest.mark.iraf
class TestIraf(EngineContract):
    task = task("images.imutil.imarith", ("operand1", "operand2"), ("result",))
    parameters = MappingProxyType({"op": "+"})
    failing = MappingProxyType({"parameters": {"op": "+", "pixtype": "nonsense"}})

    @pytest.fixture(autouse=True)
    def _tools(self, need):
        need("iraf")

    def make_engine(self):
        return get_engine("iraf")


@pytest.mark.esorex
class TestEsorex(EngineContract):
    task = task("hawki_dark_combine", ("DARK",), ("MASTER_DARK",))

    @pytest.fixture(autouse=True)
    def _tools(self, need):
        need("esorex", recipes=["hawki_dark_combine"])

    def make_engine(self):
        return get_engine("esorex")

    def make_inputs(self, folder):
        paths = sorted(Path(folder).glob("raw/*.fits"))
        paths = paths or simulate_hawki_darks(folder / "raw")
        return {"DARK": [DataFile(path) for path in paths]}


class TestCommand(EngineContract):
    task = task("cp", ("in",), ("out",), argv=["{in}", "{out}"])
    unknown_parameter = "order"
    failing = MappingProxyType({
        "task": Task(
            engine="command", name="false", inputs=("in",), outputs=("out",),
            words={"argv": [], "ok_exit": (0,), "version": None, "bare": True},
        )
    })  # fmt: skip

    def make_engine(self):
        return get_engine("command")
