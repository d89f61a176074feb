"""A step: a function or a tool that knows its files."""

import functools
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from astropy.nddata import NDData

from ndmapper.config import Settings, config
from ndmapper.errors import DeclarationError, ParameterError, did_you_mean
from ndmapper.log import FILE_ONLY, log_to_file, log_to_terminal
from ndmapper.steps.call.bind import Bound, bind, freeze_settings
from ndmapper.steps.call.inputs import Inputs, coerce_roles
from ndmapper.steps.call.plan import Plan, make_plan
from ndmapper.steps.declare.declaration import Affix, Declaration
from ndmapper.steps.declare.tool import tool_declaration
from ndmapper.steps.run.dry_run import dry_results
from ndmapper.steps.run.execute import execute, shape_results
from ndmapper.steps.run.nddata import run_on_nddata
from ndmapper.steps.run.unit import Result

__all__ = ["Step", "run_call", "run_planned"]

log = logging.getLogger(__name__)

_KEYWORDS = """
Keywords of every step
----------------------
out_names : str or list of str, optional
    Names of the products; by default they follow from those of the inputs.
outdir : str, optional
    Folder of the products; by default config['outdir'].
reprocess : bool or 'auto', optional
    Where a product exists: False re-uses it, True makes it again, 'auto' makes it
    again only if it differs from what would be made now, None (the default) takes
    config['reprocess'], where None is an error.
by : str, mapping or None, optional
    What the call is split by, in place of what the step says; None leaves it whole,
    so that a tool may use threads of its own.
workers, on_error, timeout, engine, dry_run, interact, use_uncert, use_flags : optional
    As in the configuration.
save : bool, optional
    False keeps the products in memory.

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
    others : mapping of str to Declaration, optional
        The same step by other engines, by their names.
    """

    def __init__(
        self, declaration: Declaration, others: Mapping[str, Declaration] | None = None
    ) -> None:
        self.declaration = declaration
        self._others = dict(others or {})
        self.positional: tuple[str, ...] = ()
        """What may follow the input by position, where that was published so."""
        if declaration.func is not None:
            functools.update_wrapper(self, declaration.func)
        own = inspect.getdoc(declaration.func) if declaration.func else None
        self.__doc__ = f"{own or ''}\n{_KEYWORDS}"

    @property
    def func(self) -> Callable[..., Any]:
        """The bare function."""
        if self.declaration.func is None:
            msg = f"{self.name} is a tool that was run at once, so it has no function"
            raise DeclarationError(msg)
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
        """Names of the engines that can run it, the one that does first."""
        return (self.declaration.task.engine, *self._others)

    def __repr__(self) -> str:
        return f"<step {self.name}{self.signature}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return (Step, (self.declaration, self._others))

    def engine(
        self,
        what: str,
        /,
        *,
        inputs: str | Sequence[str],
        outputs: str | Sequence[str],
        prefix: Affix = None,
        suffix: Affix = None,
        options: Mapping[str, Any] | None = None,
        **words: Any,
    ) -> Callable[[Callable[..., Any]], "Step"]:
        """
        Add a second engine, which a call chooses with ``engine=``.

        Parameters
        ----------
        what : str
            The tool, as for `run_task`.
        inputs, outputs : str or sequence of str
            Names of the tool's parameters (or tags) for files.
        prefix, suffix : str or mapping, optional
            How products are named; by default as those of the step.
        options : mapping, optional
            Words of the framework or of the engine.
        **words : object
            Words of the engine, and parameters of the tool that are always given.

        Returns
        -------
        callable
            A decorator for a function with the same parameters, which gives those of
            the tool. It gives back this step.
        """

        def add(func: Callable[..., Any]) -> Step:
            first = self.declaration
            other = tool_declaration(
                func,
                what,
                name=first.name,
                inputs=inputs,
                outputs=outputs,
                prefix=first.prefix if prefix is None else prefix,
                suffix=first.suffix if suffix is None else suffix,
                cals=first.cals,
                options=options,
                reprocess=first.reprocess,
                logfile=first.logfile,
                words=words,
            )
            if set(other.parameters) != set(first.parameters):
                differ = sorted(set(other.parameters) ^ set(first.parameters))
                msg = (
                    f"the engine {what!r} of the step {first.name} must take the same "
                    f"parameters as the step; what differs: {', '.join(differ)}"
                )
                raise DeclarationError(msg)
            name = other.task.engine
            if name in self.engines:
                msg = f"the step {first.name} has the engine {name!r} already"
                raise DeclarationError(msg)
            self._others[name] = other
            return self

        return add

    def chosen(self, engine: str | None) -> Declaration:
        """
        Give the declaration that an engine goes by.

        Parameters
        ----------
        engine : str or None
            What a call or the configuration says: the name of an engine, or the start
            of the name of a tool.

        Returns
        -------
        Declaration
            The first where nothing that is said fits and only the configuration says
            it.

        Raises
        ------
        ParameterError
            If the step has no such engine.
        """
        wanted = engine if engine is not None else config["engine"]
        found = None if wanted is None else self._by_engine(wanted)
        if found is None and engine is not None:
            hint = did_you_mean(engine, self.engines)
            msg = f"{self.name} has no engine {engine!r}{hint}"
            raise ParameterError(msg)
        return found or self.declaration

    def has_engine(self, engine: str) -> bool:
        """
        Say whether a call may choose an engine.

        Parameters
        ----------
        engine : str
            The name of an engine, or the start of the name of a tool.

        Returns
        -------
        bool
            Whether the step has it.
        """
        return self._by_engine(engine) is not None

    def _by_engine(self, wanted: str) -> Declaration | None:
        for declaration in (self.declaration, *self._others.values()):
            tool = declaration.task.name or ""
            if wanted == declaration.task.engine or f"{tool}.".startswith(f"{wanted}."):
                return declaration
        return None

    def __call__(self, inputs: Any = None, /, *others: Any, **keywords: Any) -> Any:
        """
        Run the step.

        Parameters
        ----------
        inputs : str, Path, FileName, DataFile, list of those, mapping or NDData
            What to work on. A step with several inputs takes a mapping of them, or
            the first one here and the others by name. NDData, where the step works on
            extensions, is worked on in memory: no file is read or written. A tool
            without inputs takes nothing.
        *others : object
            What `positional` names, in that order; everything else is given by name.
        **keywords : object
            Parameters of the step, its calibrations by name, and the words of the
            framework.

        Returns
        -------
        DataFile, DataFileList, NDLater or dict
            The products, mapped from disk.
        """
        declaration = self.chosen(keywords.get("engine"))
        named = dict(zip(self.positional, others, strict=False))
        if len(others) > len(self.positional) or named.keys() & keywords.keys():
            names = [
                *declaration.more_inputs,
                *declaration.cals,
                *declaration.parameters,
            ]
            msg = (
                f"{self.name} takes one input, a file or a list of files; give "
                f"everything else by name{': ' if names else ''}"
                f"{', '.join(f'{name}=...' for name in names)}"
            )
            raise ParameterError(msg)
        # Hop 1: bind.
        bound = bind(declaration, {**named, **keywords})
        if isinstance(inputs, NDData):
            settings = freeze_settings(declaration, bound)
            return run_on_nddata(declaration, inputs, bound, settings)
        given, results = run_call(declaration, inputs, bound)
        return shape_results(declaration, given, results)

    def plan(self, inputs: Any = None, /, **keywords: Any) -> Plan:
        """
        Decide what a call would do, without doing it.

        Parameters
        ----------
        inputs : str, Path, FileName, DataFile, list or mapping of those
            As in a call.
        **keywords : object
            As in a call.

        Returns
        -------
        Plan
            What would run or be re-used, under which names, with which parameters,
            command lines or sets of frames, and why.
        """
        declaration = self.chosen(keywords.get("engine"))
        bound = bind(declaration, keywords)
        settings = freeze_settings(declaration, bound)
        given = coerce_roles(declaration, inputs, bound.inputs)
        return make_plan(declaration, bound, settings, given)


def run_call(
    declaration: Declaration, inputs: Any, bound: Bound
) -> tuple[Inputs, list[Result]]:
    """Take a call whose words are bound through hops 2 to 11."""
    # Hop 2: config.
    settings = freeze_settings(declaration, bound)

    def plan() -> tuple[Inputs, Plan]:
        # Hop 3: coerce.
        given = coerce_roles(declaration, inputs, bound.inputs)
        # Hops 4 and 5: calibrations, plan.
        return given, make_plan(declaration, bound, settings, given)

    return run_planned(declaration, settings, plan)


def run_planned(
    declaration: Declaration,
    settings: Settings,
    plan: Callable[[], tuple[Inputs, Plan]],
) -> tuple[Inputs, list[Result]]:
    """Plan a call and run it, with its log file; a dry run only shows the plan."""
    if settings["dry_run"]:
        given, planned = plan()
        return given, dry_results(planned)
    log_to_terminal()
    with log_to_file(_logfile(declaration, settings)):
        try:
            given, planned = plan()
            # Hops 6 to 11.
            return given, execute(planned)
        except Exception as err:
            log.error("%s failed", declaration.name, exc_info=err, extra=FILE_ONLY)
            raise


def _logfile(declaration: Declaration, settings: Settings) -> Path | None:
    """Give the path of the log file; a name without a folder is in outdir."""
    name = declaration.logfile or settings["logfile"]
    if name is None:
        return None
    path = Path(name)
    return Path(settings["outdir"]) / path if path.parent == Path() else path
