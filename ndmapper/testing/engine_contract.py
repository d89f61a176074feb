"""Contract tests of engines: inherit, describe yours, and run pytest."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ndmapper.config import config
from ndmapper.data import DataFile
from ndmapper.engines import Engine, Job, Task
from ndmapper.errors import ParameterError
from ndmapper.testing.files import make_mef

__all__ = ["EngineContract"]


class _Tests:
    """The tests, named by what they check."""

    task: ClassVar[Task]
    parameters: ClassVar[Mapping[str, Any]]
    unknown_parameter: ClassVar[str | None]
    failing: ClassVar[Mapping[str, Any] | None]

    def make_engine(self) -> Engine:
        raise NotImplementedError

    def make_inputs(self, folder: Path) -> dict[str, list[DataFile]]:
        raise NotImplementedError

    def _job(self, where: Path, /, **more: Any) -> Job:
        engine = self.make_engine()
        words = {**engine.words, **self.task.words}
        task = Task(
            engine=engine.name, name=self.task.name, inputs=self.task.inputs,
            outputs=self.task.outputs, words=words,
        )  # fmt: skip
        given: dict[str, Any] = {
            "step": "contract", "task": task, "each": engine.each,
            "roles": self.make_inputs(where), "parameters": self.parameters,
            "outputs": task.outputs, "settings": config.snapshot(outdir=str(where)),
            "targets": {o: f"{o or 'product'}.fits" for o in task.outputs},
        }  # fmt: skip
        return Job(**given | more)

    def _run(self, folder: Path, **more: Any) -> Any:
        work = folder / "work"
        work.mkdir()
        return self.make_engine().run(self._job(folder, folder=work, **more))

    def test_tool_says_what_would_run(self, tmp_path: Path) -> None:
        """Name and version, the same each time."""
        task = self._job(tmp_path).task
        tool = self.make_engine().tool(task)
        assert set(tool) == {"name", "version"}
        assert tool["version"]
        assert self.make_engine().tool(task) == tool

    def test_check_takes_what_is_right(self, tmp_path: Path) -> None:
        """Nothing is written."""
        job = self._job(tmp_path)
        before = _tree(tmp_path)
        self.make_engine().check(job)
        assert _tree(tmp_path) == before

    def test_check_refuses_an_unknown_parameter(self, tmp_path: Path) -> None:
        """The error names it."""
        name = self.unknown_parameter
        if name is None:
            return
        job = self._job(tmp_path, parameters={**self.parameters, name: 1})
        err = _error_of(lambda: self.make_engine().check(job))
        assert isinstance(err, ParameterError)
        assert name in str(err)

    def test_preview_touches_nothing(self, tmp_path: Path) -> None:
        """The text names the tool and the inputs."""
        job = self._job(tmp_path)
        before = _tree(tmp_path)
        shown = self.make_engine().preview(job)
        assert _tree(tmp_path) == before
        assert Path(str(job.inputs[0])).name in shown.text
        assert bool(shown.script) == bool(shown.language)

    def test_run_makes_every_output(self, tmp_path: Path) -> None:
        """The products are complete and readable."""
        products = self._run(tmp_path).products
        assert tuple(products) == self.task.outputs
        for df in products.values():
            assert all(np.size(ndd.data) == np.prod(ndd.shape) for ndd in df)

    def test_run_gives_all_products_of_an_open_output(self, tmp_path: Path) -> None:
        """By number, by key, or by its own name where it is only one."""
        if not self.task.outputs:
            return
        first, *others = self.task.outputs
        targets = {o: f"{o or 'product'}.fits" for o in others}
        targets[first] = f"{first or 'product'}-{{key}}.fits"
        made = self._run(tmp_path, open=frozenset((first,)), targets=targets).products
        own = [o for o in made if o not in others]
        numbered = tuple(f"{first or ''}{mark}" for mark in "#[")
        assert own
        assert all(o == first or str(o).startswith(numbered) for o in own)
        assert set(others) <= set(made)
        for df in made.values():
            assert all(np.size(ndd.data) == np.prod(ndd.shape) for ndd in df)

    def test_run_leaves_the_inputs_alone(self, tmp_path: Path) -> None:
        """Inputs are copied before they are changed."""
        job = self._job(tmp_path)
        before = {p: p.read_bytes() for df in job.inputs for p in [Path(df)]}
        work = tmp_path / "work"
        work.mkdir()
        self.make_engine().run(self._job(tmp_path, folder=work, roles=job.roles))
        assert all(path.read_bytes() == content for path, content in before.items())

    def test_run_takes_inputs_that_changed_in_memory(self, tmp_path: Path) -> None:
        """The content in memory counts, not the file on disk."""
        roles = self.make_inputs(tmp_path)
        plain = self._run(tmp_path, roles=roles).products
        first = next(iter(roles.values()))[0]
        first.meta["CHANGED"] = True
        other = tmp_path / "other"
        other.mkdir()
        job = self._job(other, roles=roles, folder=other)
        changed = self.make_engine().run(job).products
        assert set(changed) == set(plain)
        assert first.meta["CHANGED"]

    def test_run_that_fails_names_the_step_and_the_file(self, tmp_path: Path) -> None:
        """The error has the last lines of the tool's output."""
        if self.failing is None:
            return
        err = _error_of(lambda: self._run(tmp_path, **dict(self.failing or {})))
        assert isinstance(err, RuntimeError | ValueError | OSError)
        assert "contract" in str(err)


class EngineContract(_Tests):
    """
    Tests that an engine inherits.

    A subclass sets the attributes and defines `make_engine`.

    Attributes
    ----------
    task : Task
        What is run: name, inputs, outputs, and non-default options. The name of the
        engine is filled in.
    parameters : mapping
        Valid parameters of the tool.
    unknown_parameter : str or None
        A parameter that the tool does not have; None for an engine that accepts any.
    failing : mapping or None
        Attributes of the job to replace so that the tool fails; None if it cannot fail.
    """

    task: ClassVar[Task]
    parameters: ClassVar[Mapping[str, Any]] = {}
    unknown_parameter: ClassVar[str | None] = "no_such_parameter"
    failing: ClassVar[Mapping[str, Any] | None] = None

    def make_engine(self) -> Engine:
        """
        Make the engine.

        Returns
        -------
        Engine
            A new engine.
        """
        raise NotImplementedError

    def make_inputs(self, folder: Path) -> dict[str, list[DataFile]]:
        """
        Make the inputs; small files of two extensions unless a subclass says more.

        Parameters
        ----------
        folder : Path
            Where they are written.

        Returns
        -------
        dict of str to list of DataFile
            Files for every input of the task.
        """
        return {
            name: [DataFile(_once(folder / f"contract{n}.fits"))]
            for n, name in enumerate(self.task.inputs)
        }


def _once(path: Path) -> Path:
    return path if path.exists() else make_mef(path, table=False)


def _tree(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in folder.rglob("*")}


def _error_of(call: Callable[[], object]) -> BaseException:
    try:
        call()
    except Exception as err:
        return err
    msg = "there was no error"
    raise AssertionError(msg)
