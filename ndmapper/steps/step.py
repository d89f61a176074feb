"""A step: a function that knows its files."""

import functools
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from astropy.nddata import NDData

from ndmapper.config import Settings, config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.engines.base import Output
from ndmapper.errors import ParameterError
from ndmapper.io.digest import DigestCache
from ndmapper.log import FILE_ONLY, log_to_file, log_to_terminal
from ndmapper.steps.bind import Bound, bind
from ndmapper.steps.calibrate import resolve_calibrations
from ndmapper.steps.coerce import Inputs, coerce
from ndmapper.steps.declaration import Declaration
from ndmapper.steps.entry import Work
from ndmapper.steps.execute import execute, run_work
from ndmapper.steps.plan import Plan, make_plan

__all__ = ["Step"]

log = logging.getLogger(__name__)

_KEYWORDS = """
Keywords of every step
----------------------
out_names : str or list of str, optional
    Names of the products; by default they follow from those of the inputs.
outdir : str, optional
    Folder of the products; by default config['outdir'].
reprocess : bool, optional
    Where a product exists: False re-uses it, True makes it again, None (the
    default) takes config['reprocess'], where None is an error.
interact, use_uncert, use_flags : bool, optional
    As in the configuration.

Returns
-------
DataFile or DataFileList
    A file for a file, a list for a list. A step with each='list' gives one file, a
    step with several outputs a dict of those by name.
"""


class Step:
    """
    What `run_task` makes of a function.

    Call it with files, and keywords: ``step(inputs, /, **keywords)``.

    Parameters
    ----------
    declaration : Declaration
        Everything that is known before a call.
    """

    def __init__(self, declaration: Declaration) -> None:
        self.declaration = declaration
        functools.update_wrapper(self, declaration.func)
        own = inspect.getdoc(declaration.func) or ""
        self.__doc__ = f"{own}\n{_KEYWORDS}"

    @property
    def func(self) -> Callable[..., Any]:
        """The bare function."""
        return self.declaration.func

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.declaration.name

    @property
    def signature(self) -> inspect.Signature:
        """Signature of the function."""
        return inspect.signature(self.func)

    @property
    def engines(self) -> tuple[str, ...]:
        """Names of the engines that can run it."""
        return ("python",)

    def __repr__(self) -> str:
        return f"<step {self.name}{self.signature}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (Step, (self.declaration,))

    def __call__(self, inputs: Any, /, *others: Any, **keywords: Any) -> Any:
        """
        Run the step.

        Parameters
        ----------
        inputs : str, Path, FileName, DataFile, list of those or NDData
            What to work on. NDData, where the step works on extensions, is worked on
            in memory: no file is read or written.
        *others : object
            Not allowed: everything else is given by name.
        **keywords : object
            Parameters of the step, its calibrations by name, and the words of the
            framework.

        Returns
        -------
        DataFile, DataFileList, NDLater or dict
            The products, mapped from disk.
        """
        if others:
            names = [*self.declaration.cals, *self.declaration.parameters]
            msg = (
                f"{self.name} takes one input, a file or a list of files; give "
                f"everything else by name{': ' if names else ''}"
                f"{', '.join(f'{name}=...' for name in names)}"
            )
            raise ParameterError(msg)
        bound = bind(self.declaration, keywords)
        settings = self._settings(bound)
        if isinstance(inputs, NDData):
            return self._in_memory(inputs, bound, settings)
        log_to_terminal()
        with log_to_file(self._logfile(settings)):
            try:
                given, plan = self._plan(inputs, bound, settings)
                results = execute(plan)
            except Exception as err:
                log.error("%s failed", self.name, exc_info=err, extra=FILE_ONLY)
                raise
        return self._shaped(given, results)

    def plan(self, inputs: Any, /, **keywords: Any) -> Plan:
        """
        Decide what a call would do, without doing it.

        Parameters
        ----------
        inputs : str, Path, FileName, DataFile or list of those
            As in a call.
        **keywords : object
            As in a call.

        Returns
        -------
        Plan
            What would run or be re-used, under which names, and why.
        """
        bound = bind(self.declaration, keywords)
        return self._plan(inputs, bound, self._settings(bound))[1]

    def _settings(self, bound: Bound) -> Settings:
        words = dict(bound.words)
        if words.get("reprocess") is None:
            words["reprocess"] = self.declaration.reprocess
        return config.snapshot(**words)

    def _logfile(self, settings: Settings) -> Path | None:
        """Find the log file; a name without a folder lies in outdir."""
        name = self.declaration.logfile or settings["logfile"]
        if name is None:
            return None
        path = Path(name)
        return Path(settings["outdir"]) / path if path.parent == Path() else path

    def _plan(
        self, inputs: Any, bound: Bound, settings: Settings
    ) -> tuple[Inputs, Plan]:
        given = coerce(inputs, self.name)
        cals = resolve_calibrations(self.declaration, bound.calibrations, given.files)
        plan = make_plan(self.declaration, bound, settings, given.files, cals)
        return given, plan

    def _shaped(self, given: Inputs, results: list[dict[Output, DataFile]]) -> Any:
        """Give back one file or a list, and a dict where outputs have names."""
        outputs = self.declaration.outputs
        shaped: dict[Output, Any] = {}
        for output in outputs:
            files = [result[output] for result in results]
            single = given.form == "one" or self.declaration.each == "list"
            shaped[output] = files[0] if single else DataFileList(data=files)
        return shaped if len(outputs) > 1 else shaped[outputs[0]]

    def _in_memory(self, ndd: NDData, bound: Bound, settings: Settings) -> Any:
        declaration = self.declaration
        if declaration.each != "ndd":
            msg = (
                f"{self.name} works on a whole {declaration.each}, not on NDData; "
                "give it files"
            )
            raise ParameterError(msg)
        if bound.out_names is not None:
            msg = f"{self.name} writes no file for NDData in memory; leave out_names"
            raise ParameterError(msg)
        # As an unnamed file, so that memory and files go the same way.
        item = ndd if isinstance(ndd, NDLater) else NDLater(ndd)
        file = _as_file(item)
        given = {
            name: _as_file(value) if isinstance(value, NDData) else value
            for name, value in bound.calibrations.items()
        }
        (cals,) = resolve_calibrations(declaration, given, DataFileList(data=[file]))
        work = Work(
            declaration=declaration,
            inputs=(file,),
            calibrations=cals,
            parameters=bound.parameters,
            settings=settings,
            digests=DigestCache(settings["outdir"]),
        )
        results = {output: df[0] for output, df in run_work(work).items()}
        for result in results.values():
            result.ident = item.ident
        outputs = declaration.outputs
        return results if len(outputs) > 1 else results[outputs[0]]


def _as_file(ndd: NDData) -> DataFile:
    """Hold NDData like a file of one extension, with the header of its own file."""
    item = ndd if isinstance(ndd, NDLater) else NDLater(ndd)
    return DataFile(data=[item], meta=item.primary_meta)
