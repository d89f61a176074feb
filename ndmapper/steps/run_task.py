"""`run_task`: the one interface that makes steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from ndmapper.engines import get_engine
from ndmapper.errors import DeclarationError, did_you_mean
from ndmapper.steps.declaration import Affix, declare
from ndmapper.steps.step import Step

__all__ = ["run_task"]

_WORDS = (
    "inputs", "outputs", "prefix", "suffix", "each", "cals", "reprocess", "logfile",
)  # fmt: skip
_FOR_TOOLS = {"comb_in", "MEF_ext", "path_param", "params", "options"}


@overload
def run_task(
    what: None = None, /, **keywords: Any
) -> Callable[[Callable[..., Any]], Step]: ...


@overload
def run_task(what: Callable[..., Any], /, **keywords: Any) -> Step: ...


@overload
def run_task(what: str, /, **keywords: Any) -> Any: ...


def run_task(
    what: str | Callable[..., Any] | None = None,
    /,
    *,
    inputs: Any = None,
    outputs: Any = None,
    prefix: Affix = None,
    suffix: Affix = None,
    each: str = "ndd",
    cals: str | Sequence[str] | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
    **tool_params: Any,
) -> Any:
    """
    Make a step of something that can run.

    Parameters
    ----------
    what : callable, str or None
        None or a function: a step of pure Python; None makes a decorator. A string
        names a task of another engine: ``'a.b.c'`` one of IRAF, ``'scheme:name'`` one
        of the engine called scheme.
    inputs : str, optional
        Name of the parameter that takes the input; the first one of the function.
    outputs : str or tuple of str, optional
        Names of the outputs. A call may then name a product by the name of its
        output: ``make_bias(files, bias='bias.fits')``.
    prefix, suffix : str or mapping, optional
        Put before and after the base name of the input to name the product. A
        mapping has one for each output.
    each : {'ndd', 'file', 'list'}
        What the function sees: one extension as an `~ndmapper.data.NDLater`, one
        `~ndmapper.data.DataFile`, or a `~ndmapper.data.DataFileList` of all inputs.
    cals : str or sequence of str, optional
        Parameters of the function that are calibrations; a call finds them in the
        ``cals`` of the inputs unless it is given them.
    reprocess : bool or None
        What the step does where a product exists, unless a call says otherwise.
    logfile : str, optional
        A log file of the step's own.
    **tool_params : object
        Parameters of the tool, for engines other than Python.

    Returns
    -------
    Step or callable
        A step, or for ``what=None`` a decorator that makes one.

    Raises
    ------
    DeclarationError
        If the declaration cannot work.

    Examples
    --------
    >>> @run_task(prefix="b", cals=["bias"])
    ... def subtract_bias(ndd, bias):
    ...     '''Subtract the associated bias.'''
    ...     return ndd - bias
    """
    if isinstance(what, str):
        _other_engine(what, inputs, outputs)
    if what is not None and not callable(what):
        msg = f"run_task takes a function or the name of a task, not {what!r}"
        raise DeclarationError(msg)
    for name in _FOR_TOOLS & set(tool_params):
        msg = f"{name!r} is for named tools; a Python step does not take it"
        raise DeclarationError(msg)
    if tool_params:
        name = next(iter(tool_params))
        msg = (
            f"run_task does not know {name!r} for a Python step"
            f"{did_you_mean(name, _WORDS)}"
        )
        raise DeclarationError(msg)
    for word, value in (("inputs", inputs), ("outputs", outputs)):
        if isinstance(value, Mapping):
            msg = (
                f"{word} is a mapping, which runs a named task at once; a Python step "
                f"is declared with names: {word}='name' or a tuple of names"
            )
            raise DeclarationError(msg)

    def make(func: Callable[..., Any]) -> Step:
        return Step(
            declare(
                func,
                inputs=inputs,
                outputs=outputs,
                prefix=prefix,
                suffix=suffix,
                each=each,
                cals=cals,
                reprocess=reprocess,
                logfile=logfile,
            )
        )

    return make if what is None else make(what)


def _other_engine(what: str, inputs: Any, outputs: Any) -> None:
    """Find the engine of a named task, and say whether it would run or declare."""
    now = isinstance(inputs, Mapping) or isinstance(outputs, Mapping)
    scheme = what.partition(":")[0] if ":" in what else "iraf"
    try:
        get_engine(scheme)
    except DeclarationError as err:
        verb = "run" if now else "declare"
        msg = f"run_task cannot {verb} {what!r}: {err}"
        raise DeclarationError(msg) from err
    msg = f"run_task({what!r}): the engine {scheme!r} takes a function, not a name"
    raise DeclarationError(msg)
