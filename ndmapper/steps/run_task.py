"""`run_task`: the one interface that makes steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, overload

from ndmapper.data import DataFileList
from ndmapper.errors import DeclarationError, did_you_mean
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.declare.declaration import Affix
from ndmapper.steps.declare.function import declare_python
from ndmapper.steps.declare.tool import find_tool, now_declaration, tool_declaration
from ndmapper.steps.run.execute import files_of
from ndmapper.steps.step import Step, run_call

__all__ = [
    "TaskResult",
    "run_now",
    "run_task",
]


class TaskResult(dict[str, DataFileList]):
    """
    What came of a tool that was run at once: output to its files.

    Attributes
    ----------
    text : str
        What the tool printed, where it makes no products.
    """

    text: str = ""


def run_now(
    what: str,
    *,
    inputs: Any,
    outputs: Any,
    words: Mapping[str, Any],
    prefix: Affix,
    suffix: Affix,
    each: str | None,
    params: Mapping[str, Any] | None,
    options: Mapping[str, Any] | None,
    reprocess: bool | str | None,
    logfile: str | None,
) -> TaskResult:
    """
    Run a named tool on files that are given as a mapping.

    Raises
    ------
    DeclarationError
        If inputs and outputs are not both mappings.
    """
    if not isinstance(inputs, Mapping) or not isinstance(outputs or {}, Mapping):
        word = "outputs" if isinstance(inputs, Mapping) else "inputs"
        msg = (
            f"run_task({what!r}) runs at once, since one of inputs and outputs is a "
            f"mapping; give {word} as a mapping too, or names for both to declare a "
            "step"
        )
        raise DeclarationError(msg)
    named = {name.removesuffix("?"): spec for name, spec in (outputs or {}).items()}
    declaration = now_declaration(
        what,
        inputs=tuple(inputs),
        outputs=tuple(outputs or ()),
        words=words,
        prefix=prefix,
        suffix=suffix,
        each=each,
        params=params or {},
        options=options or {},
        reprocess=reprocess,
        logfile=logfile,
    )
    bound = Bound(
        words={},
        calibrations={},
        inputs={},
        out_names=named or None,
        save=True,
        parameters={},
    )
    files = {name.removesuffix("?"): given for name, given in inputs.items()}
    _, results = run_call(declaration, files, bound)
    made = TaskResult()
    for output in declaration.outputs:
        made[str(output)] = files_of(output, results)
    made.text = "\n".join(result for result in results if isinstance(result, str))
    return made


_WORDS = (
    "inputs", "outputs", "prefix", "suffix", "each", "by", "cals", "name",
    "reprocess", "logfile", "options",
)  # fmt: skip


@overload
def run_task(
    what: None = None, /, **keywords: Any
) -> Callable[[Callable[..., Any]], Step]: ...


@overload
def run_task(what: Callable[..., Any], /, **keywords: Any) -> Step: ...


@overload
def run_task(
    what: str, /, *, inputs: Mapping[str, Any], **keywords: Any
) -> TaskResult: ...


@overload
def run_task(
    what: str, /, *, inputs: str | Sequence[str] | None = None, **keywords: Any
) -> Callable[[Callable[..., Any]], Step]: ...


def run_task(
    what: str | Callable[..., Any] | None = None,
    /,
    *,
    inputs: Any = None,
    outputs: Any = None,
    prefix: Affix = None,
    suffix: Affix = None,
    each: str | None = None,
    by: str | Mapping[str, str] | None = None,
    cals: str | Sequence[str] | Mapping[str, str] | None = None,
    name: str | None = None,
    comb_in: bool | None = None,
    MEF_ext: bool | None = None,  # noqa: N803  # the published spelling
    path_param: str | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    **tool_params: Any,
) -> Any:
    """
    Make a step of something that can run, or run it at once.

    With `inputs` as a mapping, a named task runs at once. Otherwise what comes back is
    a step, or a decorator that makes one.

    Parameters
    ----------
    what : callable, str or None
        None or a function: a step of pure Python; None makes a decorator. A string
        names a task of another engine: ``'a.b.c'`` one of IRAF, ``'scheme:name'`` one
        of the engine called scheme (esorex, command, those of other packages).
    inputs : str, tuple of str or mapping, optional
        Of a function, the name of the parameter that takes the input: the first one,
        so it need not be said. Of a tool, the names of its parameters for files (for
        esorex, tags of frames); a mapping gives files for each, and runs the tool.
        ``'A|B'`` is the tag that fits the class of the frame, ``'A?'`` an input that
        may be absent.
    outputs : str, tuple of str or mapping, optional
        Names of the outputs: of a tool, its parameters (for esorex, PRO.CATG). A call
        may then name a product by the name of its output:
        ``make_bias(files, bias='bias.fits')``. A mapping has a pattern for the name of
        each, with ``{base}`` of the input and ``{tag}``. One with more keys in braces,
        as ``'{base}-{ifu:02d}.fits'``, takes as many products as are made, each named
        by what it says of itself. Where the tool runs at once, ``'@p'`` names products
        after each file of the input p, with the prefix or suffix, ``'!p'`` after its
        first file only.
    prefix, suffix : str or mapping, optional
        Put before and after the base name of the input to name the product. A
        mapping has one for each output.
    each : {'ndd', 'file', 'list'}, optional
        What the function sees: one extension as an `~ndmapper.data.NDLater` (the
        default), one `~ndmapper.data.DataFile`, or a `~ndmapper.data.DataFileList` of
        all inputs. A tool is handed one file at a time, or all. A set counts as one.
    by : str or mapping, optional
        Split a call into units of work, one for each key: a name of the table of the
        instrument (``'ifu'``), ``'ident'`` for extensions, or a header keyword. A
        mapping names the parameter that is given the key, too: ``{'ifu': 'nifu'}``.
        Units run in parallel; what fails leaves the others standing.
    cals : str, sequence of str or mapping, optional
        Parameters of the function that are calibrations; a call finds them in the
        ``cals`` of the inputs unless it is given them. A mapping of tag to type hands
        them to the tool under the tag: ``{'MASTER_BIAS': 'bias', 'ILLUM?': 'illum'}``.
    name : str, optional
        Name of the step; by default that of the function.
    comb_in : bool, optional
        Hand all files to the tool in one call.
    MEF_ext : bool, optional
        Call an IRAF task for each extension (the default), or once for the file.
    path_param : str, optional
        The parameter of an IRAF task that takes the folder of the inputs, whose names
        are then passed bare.
    reprocess : bool, 'auto' or None
        What the step does where a product exists, unless a call says otherwise.
    logfile : str, optional
        A log file of the step's own.
    params : mapping, optional
        Parameters of the tool, whatever their names.
    options : mapping, optional
        Words of the framework (workers, timeout, memory, ...) and of the engine. Of
        a step in a package, ``revision`` is raised where the step makes other numbers
        than before; what was made by an older revision is stale.
    **tool_params : object
        Parameters of the tool, with ``_`` for ``-`` and ``.``.

    Returns
    -------
    Step, callable or dict
        A step; for ``what=None``, and for a tool with named inputs, a decorator that
        makes one; for a tool that is run at once, its outputs: name to DataFileList.

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
    of_tools = {"comb_in": comb_in, "MEF_ext": MEF_ext, "path_param": path_param}
    words = {n: v for n, v in of_tools.items() if v is not None}
    common = {
        "inputs": inputs, "outputs": outputs, "prefix": prefix, "suffix": suffix,
        "each": each, "options": options, "reprocess": reprocess, "logfile": logfile,
    }  # fmt: skip
    of_steps: dict[str, Any] = {"by": by, "name": name}
    if isinstance(what, str):
        given = tool_params | words
        if not isinstance(inputs, Mapping) and not _is_for_now(inputs, outputs):
            return _decorator(
                what, words=given, cals=cals, params=params, **common, **of_steps
            )
        if by is not None or name is not None:
            msg = f"run_task({what!r}) runs at once, so it has neither by nor name"
            raise DeclarationError(msg)
        if cals is not None:
            msg = (
                f"run_task({what!r}) runs at once, so it has no cals; give the "
                "calibrations among the inputs or parameters"
            )
            raise DeclarationError(msg)
        return run_now(what, words=given, params=params, **common)
    _check_python(
        what, words, params, tool_params, {"inputs": inputs, "outputs": outputs}
    )

    def make(func: Callable[..., Any]) -> Step:
        return Step(declare_python(func, cals=cals, **common, **of_steps))

    return make if what is None else make(what)


def _is_for_now(inputs: Any, outputs: Any) -> bool:
    """Whether outputs are for a tool that runs at once, although inputs are not."""
    if not isinstance(outputs, Mapping):
        return False
    return inputs is None or any(
        str(text)[:1] in ("@", "!") for text in outputs.values()
    )


def _decorator(what: str, **declared: Any) -> Callable[[Any], Step]:
    """Make the decorator for the function that gives the parameters of a tool."""
    find_tool(what)

    def make(func: Any) -> Step:
        if not callable(func):
            msg = (
                f"run_task({what!r}, ...) makes a decorator for a function, and was "
                f"given {func!r}; to run the task at once give its inputs as a "
                "mapping: inputs={'name': files}"
            )
            raise DeclarationError(msg)
        return Step(tool_declaration(func, what, **declared))

    return make


def _check_python(
    func: Any,
    words: Mapping[str, Any],
    params: Mapping[str, Any] | None,
    tool_params: Mapping[str, Any],
    files: Mapping[str, Any],
) -> None:
    """Refuse what is not for a Python step."""
    if func is not None and not callable(func):
        msg = f"run_task takes a function or the name of a task, not {func!r}"
        raise DeclarationError(msg)
    for name in [*words, *(["params"] if params is not None else [])]:
        msg = f"{name!r} is for named tools; a Python step does not take it"
        raise DeclarationError(msg)
    for name in tool_params:
        msg = (
            f"run_task does not know {name!r} for a Python step"
            f"{did_you_mean(name, _WORDS)}"
        )
        raise DeclarationError(msg)
    for word, value in files.items():
        if isinstance(value, Mapping) and word == "inputs":
            msg = (
                f"{word} is a mapping, which runs a named task at once; a Python step "
                f"is declared with names: {word}='name' or a tuple of names"
            )
            raise DeclarationError(msg)
