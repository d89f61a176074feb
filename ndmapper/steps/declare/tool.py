"""Make the declaration of a step from the name of a tool: 'a.b.c', 'scheme:name'."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ndmapper.engines import Engine, Task, get_engine
from ndmapper.engines.base import Each
from ndmapper.errors import DeclarationError, ParameterError, did_you_mean
from ndmapper.steps.declare.declaration import OPTIONS, Affix, Declaration
from ndmapper.steps.declare.function import (
    EACH,
    check_affixes,
    checked_options,
    declare_tool,
    name_patterns,
    names_of,
    without_marks,
)
from ndmapper.steps.declare.tool_parameters import check_switches, python_name

__all__ = ["find_tool", "now_declaration", "tool_declaration"]

_TOOL_WORDS = frozenset({"comb_in", "MEF_ext", "path_param"})
"""Published words, which are ours whatever parameters a tool may have."""


def find_tool(what: str) -> tuple[Engine, str]:
    """
    Find the engine of a named tool.

    Raises
    ------
    DeclarationError
        If there is no such engine, or no name.
    """
    scheme, colon, name = what.partition(":")
    if not colon:
        scheme, name = "iraf", what
    if not name.strip():
        msg = f"run_task({what!r}) names no task; give for instance 'esorex:muse_bias'"
        raise DeclarationError(msg)
    try:
        engine = get_engine(scheme)
    except DeclarationError as err:
        msg = f"run_task cannot run {what!r}: {err}"
        raise DeclarationError(msg) from err
    if engine.name == "python":
        msg = f"run_task({what!r}): the engine 'python' takes a function, not a name"
        raise DeclarationError(msg)
    return engine, name


def _sorted_words(
    engine: Engine,
    task: Task,
    words: Mapping[str, Any],
    options: Mapping[str, Any],
    params: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """
    Sort bare keywords into options of the engine, of ndmapper, and of the tool.

    Those in `options` are ndmapper's or the engine's, those in `params` the tool's.
    """
    of_engine = {n: v for n, v in options.items() if n in engine.words}
    of_ours = {n: v for n, v in options.items() if n not in engine.words}
    of_tool = {python_name(n): v for n, v in params.items()}
    # What a tool takes may depend on words of its engine, such as a command line.
    given = {n: v for n, v in {**words, **options}.items() if n in engine.words}
    task = _with_words(task, engine, given)
    for name, value in words.items():
        if name in _TOOL_WORDS:
            of_engine[name] = value
        elif name in engine.words or name in OPTIONS:
            known = engine.parameters(task)
            if known is not None and name in known:
                msg = (
                    f"{task.name} has a parameter {name!r}, which is a word of the "
                    f"framework as well; give params={{{name!r}: ...}} or "
                    f"options={{{name!r}: ...}}"
                )
                raise ParameterError(msg)
            (of_engine if name in engine.words else of_ours)[name] = value
        else:
            of_tool[python_name(name)] = value
    return of_engine, of_ours, of_tool


def _each_of(engine: Engine, each: str | None, words: Mapping[str, Any]) -> Each:
    if words.get("comb_in"):
        return "list"
    if each is None:
        return engine.each
    for known in EACH:
        if each == known and each != "ndd":
            return known
    msg = f"each={each!r}{did_you_mean(each, ('file', 'list'))} for a tool"
    raise DeclarationError(msg)


def tool_declaration(
    func: Callable[..., Any],
    what: str,
    *,
    inputs: str | Sequence[str] | None,
    outputs: str | Sequence[str] | Mapping[str, str] | None,
    words: Mapping[str, Any],
    prefix: Affix = None,
    suffix: Affix = None,
    each: str | None = None,
    cals: str | Sequence[str] | Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
    name: str | None = None,
    by: Any = None,
) -> Declaration:
    """
    Declare a step that runs a named tool.

    Raises
    ------
    DeclarationError
        If it cannot work.
    """
    engine, tool = find_tool(what)
    step = name or str(getattr(func, "__name__", what))
    if inputs is None:
        msg = (
            f"the step {step} runs {what!r}, so it must say which parameters of that "
            "take the input: inputs='name' or a tuple of names"
        )
        raise DeclarationError(msg)
    task = Task(
        engine=engine.name,
        name=tool,
        inputs=names_of(inputs, "inputs", step, plain=False),
        outputs=names_of(outputs or (), "outputs", step, plain=False),
    )
    given = [
        [one] if isinstance(one, str) else [*one] for one in (inputs, outputs or ())
    ]
    optional = frozenset().union(*(without_marks(one)[1] for one in given))
    # The tool is not asked for its parameters where a step is only declared.
    mine = {*engine.words, *_TOOL_WORDS}
    of_engine = {n: v for n, v in words.items() if n in mine}
    of_ours = {n: v for n, v in words.items() if n in OPTIONS and n not in of_engine}
    of_tool = {n: v for n, v in words.items() if n not in of_engine | of_ours}
    for option, value in (options or {}).items():
        (of_engine if option in engine.words else of_ours)[option] = value
    return declare_tool(
        func,
        _with_words(task, engine, of_engine),
        each=_each_of(engine, each, of_engine),
        prefix=prefix,
        suffix=suffix,
        cals=cals,
        tool_params={**of_tool, **(params or {})},
        options=of_ours,
        reprocess=reprocess,
        logfile=logfile,
        name=name,
        by=by,
        names=name_patterns(outputs, step),
        optional=optional,
    )


def now_declaration(
    what: str,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    words: Mapping[str, Any],
    prefix: Affix,
    suffix: Affix,
    each: str | None,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    reprocess: bool | str | None,
    logfile: str | None,
) -> Declaration:
    """
    Make the declaration of a tool that is run at once.

    Raises
    ------
    DeclarationError, ParameterError
        If it cannot work.
    """
    engine, tool = find_tool(what)
    task = Task(
        engine=engine.name,
        name=tool,
        inputs=names_of(inputs, "inputs", what, plain=False),
        outputs=names_of(outputs, "outputs", what, plain=False),
    )
    optional = without_marks(inputs)[1] | without_marks(outputs)[1]
    of_engine, of_ours, of_tool = _sorted_words(engine, task, words, options, params)
    check_affixes(what, task.outputs, prefix, suffix)
    return Declaration(
        name=tool.rpartition(".")[2],
        task=_with_words(task, engine, of_engine),
        each=_each_of(engine, each, of_engine),
        prefix=prefix,
        suffix=suffix,
        tool_params=of_tool,
        options=checked_options(of_ours, what),
        reprocess=reprocess,
        logfile=logfile,
        optional=optional,
    )


def _with_words(task: Task, engine: Engine, given: Mapping[str, Any]) -> Task:
    if unknown := [n for n in given if n not in engine.words and n != "comb_in"]:
        msg = (
            f"{task.name}: {unknown[0]!r} means nothing to the engine {engine.name!r}"
            f"{did_you_mean(unknown[0], engine.words)}"
        )
        raise DeclarationError(msg)
    made = Task(
        engine=task.engine,
        name=task.name,
        inputs=task.inputs,
        outputs=task.outputs,
        words={**engine.words, **{n: v for n, v in given.items() if n in engine.words}},
    )
    check_switches(made)
    return made
