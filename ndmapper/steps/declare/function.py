"""Make the declaration of a step from its function, and check it."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ndmapper.engines.base import Each, Output, Task
from ndmapper.errors import DeclarationError, did_you_mean
from ndmapper.steps.declare.declaration import (
    HANDED_IN,
    OPTIONS,
    WORDS,
    Affix,
    Declaration,
)
from ndmapper.steps.declare.parameters import Parameter, read_parameters

__all__ = [
    "check_affixes",
    "check_by",
    "declare_python",
    "declare_tool",
    "name_patterns",
    "names_of",
    "without_marks",
]

EACH: tuple[Each, ...] = ("ndd", "file", "list")


def declare_python(
    func: Callable[..., Any],
    *,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
    prefix: Affix = None,
    suffix: Affix = None,
    each: str | None = None,
    cals: str | Sequence[str] | Mapping[str, str] | None = None,
    options: Mapping[str, Any] | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
    by: Any = None,
    name: str | None = None,
) -> Declaration:
    """
    Declare a step of pure Python, and check the declaration.

    Raises
    ------
    DeclarationError
        If the declaration and the function do not fit.
    """
    step = name or _step_name(func)
    positional = _positional(func)
    if not positional:
        msg = f"the step {step} needs a first parameter, which takes the input"
        raise DeclarationError(msg)
    if inputs is not None and names_of(inputs, "inputs", step) != (positional[0],):
        msg = (
            f"the step {step} declares inputs={inputs!r}, but a Python step takes one "
            f"input, its first parameter {positional[0]!r}"
        )
        raise DeclarationError(msg)
    parts = _parts(func, step, positional[:1], cals)
    out_names: tuple[Output, ...] = (None,)
    if outputs:
        out_names = names_of(outputs, "outputs", step)
        marked = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        parts["optional"] |= without_marks(marked)[1]
    split_by, parameter = check_by(by, step)
    if parameter is not None and parameter not in parts["parameters"]:
        msg = f"the step {step} has no parameter {parameter!r}, which by={by!r} names"
        raise DeclarationError(msg)
    if split_by in parts["parameters"]:
        parameter = split_by
    _refuse_clash(step, out_names, parts)
    check_affixes(step, out_names, prefix, suffix)
    return Declaration(
        name=step,
        func=func,
        task=Task(
            engine="python", name=None, inputs=(positional[0],), outputs=out_names
        ),
        each=_checked_each(each or "ndd", step),
        prefix=prefix,
        suffix=suffix,
        options=checked_options(options, step),
        reprocess=reprocess,
        logfile=logfile,
        by=split_by,
        by_parameter=parameter,
        names=name_patterns(outputs, step),
        **parts,
    )


def declare_tool(
    func: Callable[..., Any],
    task: Task,
    *,
    each: Each,
    prefix: Affix = None,
    suffix: Affix = None,
    cals: str | Sequence[str] | Mapping[str, str] | None = None,
    tool_params: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
    name: str | None = None,
    by: Any = None,
    names: Mapping[Output, str] | None = None,
    optional: frozenset[str] = frozenset(),
) -> Declaration:
    """
    Declare a step that runs a tool, with a function that gives its parameters.

    Raises
    ------
    DeclarationError
        If the declaration and the function do not fit.
    """
    step = name or _step_name(func)
    positional = _positional(func)
    if len(positional) > 1:
        msg = (
            f"the function of {step} takes {', '.join(positional)}, but that of a tool "
            "takes at most one file, to look at its headers; put '*,' before its "
            "parameters"
        )
        raise DeclarationError(msg)
    parts = _parts(func, step, positional, cals)
    if parts["table"] is not None:
        msg = (
            f"the step {step} takes an instrument table ({parts['table']}), which only "
            "a step of pure Python can"
        )
        raise DeclarationError(msg)
    _refuse_clash(step, (*task.inputs[1:], *task.outputs), parts)
    check_affixes(step, task.outputs, prefix, suffix)
    split_by, parameter = check_by(by, step)
    parts["optional"] |= optional
    return Declaration(
        name=step,
        func=func,
        task=task,
        by=split_by,
        by_parameter=parameter,
        names=dict(names or {}),
        each=each,
        prefix=prefix,
        suffix=suffix,
        sees_file=bool(positional),
        tool_params=dict(tool_params or {}),
        options=checked_options(options, step),
        reprocess=reprocess,
        logfile=logfile,
        **parts,
    )


def names_of(
    value: Any, word: str, step: str, *, plain: bool = True
) -> tuple[str, ...]:
    """
    Read one name or a sequence of names in a declaration.

    Raises
    ------
    DeclarationError
        If they are no names, or one is given twice.
    """
    names = (value,) if isinstance(value, str) else tuple(value)
    names, _ = without_marks(names)
    for name in names:
        if not isinstance(name, str) or not (name.isidentifier() if plain else name):
            msg = f"the step {step} declares {word}={value!r}; give names of parameters"
            raise DeclarationError(msg)
    if len(set(names)) < len(names):
        msg = f"the step {step} declares a name twice in {word}={value!r}"
        raise DeclarationError(msg)
    return names


def without_marks(names: Sequence[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Take the mark '?' off names that need not be there, and tell which have it."""
    plain = tuple(n.removesuffix("?") if isinstance(n, str) else n for n in names)
    return plain, frozenset(
        new for new, old in zip(plain, names, strict=True) if new != old
    )


def name_patterns(outputs: Any, step: str) -> dict[Output, str]:
    """Read the patterns of names that a declaration gives for its outputs."""
    if not isinstance(outputs, Mapping):
        return {}
    for output, pattern in outputs.items():
        if str(pattern)[:1] in ("@", "!"):
            msg = (
                f"the step {step} names its output {output!r} by {pattern!r}, which is "
                "for a tool that is run at once, with its inputs in a mapping"
            )
            raise DeclarationError(msg)
        if not isinstance(pattern, str) or not pattern:
            msg = (
                f"the step {step} names its output {output!r} by {pattern!r}; give a "
                "pattern such as '{base}_" + str(output).lower() + ".fits'"
            )
            raise DeclarationError(msg)
    return {str(output).removesuffix("?"): text for output, text in outputs.items()}


def check_by(by: Any, step: str) -> tuple[str | None, str | None]:
    """Read what a step is split by, and the parameter that is given the key."""
    if by is None:
        return None, None
    if isinstance(by, str) and by:
        return by, None
    if isinstance(by, Mapping) and len(by) == 1:
        ((field, parameter),) = by.items()
        if isinstance(field, str) and isinstance(parameter, str):
            return field, parameter
    msg = (
        f"the step {step} is split by={by!r}; give the name of a key, such as 'ifu' or "
        "'ident', or a mapping of it to the parameter of the tool that takes it"
    )
    raise DeclarationError(msg)


def check_affixes(
    step: str, outputs: Sequence[Output], prefix: Affix, suffix: Affix
) -> None:
    """
    Check the prefixes and suffixes of a declaration.

    Raises
    ------
    DeclarationError
        If one cannot be part of a file name, or belongs to no output.
    """
    for which, affix in (("prefix", prefix), ("suffix", suffix)):
        texts = affix.values() if isinstance(affix, Mapping) else [affix or ""]
        if odd := [t for t in texts if not isinstance(t, str) or set(t) & set("/\\\0")]:
            msg = (
                f"the step {step} has the {which} {odd[0]!r}; it is part of a file name"
            )
            raise DeclarationError(msg)
        if isinstance(affix, Mapping) and (unknown := set(affix) - set(outputs)):
            msg = f"the step {step} has a {which} for unknown outputs {sorted(unknown)}"
            raise DeclarationError(msg)


def checked_options(options: Mapping[str, Any] | None, step: str) -> dict[str, Any]:
    """
    Check the options of a declaration.

    Raises
    ------
    DeclarationError
        If one is no word of the framework, or the revision no number from 1 on.
    """
    for name in options or {}:
        if name not in OPTIONS:
            msg = (
                f"the step {step} has the option {name!r}, which means nothing here"
                f"{did_you_mean(name, OPTIONS)}"
            )
            raise DeclarationError(msg)
    revision = (options or {}).get("revision", 1)
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:
        msg = (
            f"the step {step} has the revision {revision!r}; it is a number from 1 on, "
            "raised where the step makes other numbers than before"
        )
        raise DeclarationError(msg)
    return dict(options or {})


def _step_name(func: Any) -> str:
    if not callable(func) or not hasattr(func, "__name__"):
        msg = f"a step is made of a function, not of {func!r}"
        raise DeclarationError(msg)
    return str(func.__name__)


def _checked_each(each: str, step: str) -> Each:
    for known in EACH:
        if each == known:
            return known
    msg = f"the step {step} declares each={each!r}{did_you_mean(each, EACH)}"
    raise DeclarationError(msg)


def _positional(func: Callable[..., Any]) -> list[str]:
    try:
        signature = inspect.signature(func)
    except ValueError as err:
        msg = f"{func!r} does not tell its parameters, so it cannot be a step"
        raise DeclarationError(msg) from err
    return [
        p.name
        for p in signature.parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]


def _parts(
    func: Callable[..., Any],
    step: str,
    taking_input: Iterable[str],
    cals: str | Sequence[str] | Mapping[str, str] | None,
) -> dict[str, Any]:
    """Sort the parameters of a function into calibrations, words and the others."""
    tags: dict[str, str] = {}
    optional: frozenset[str] = frozenset()
    if isinstance(cals, Mapping):
        plain, optional = without_marks(tuple(cals))
        cal_names = names_of(tuple(cals.values()), "cals", step)
        tags = dict(zip(cal_names, plain, strict=True))
        optional = frozenset(name for name, tag in tags.items() if tag in optional)
    else:
        cal_names = names_of(cals or (), "cals", step)
    everything = read_parameters(func, frozenset(taking_input))
    if clash := sorted(set(everything) & (WORDS - HANDED_IN)):
        msg = (
            f"the step {step} has a parameter {clash[0]!r}, which is a word of the "
            "framework; give it another name"
        )
        raise DeclarationError(msg)
    for name in cal_names:
        if name not in everything and name not in tags:
            msg = (
                f"the step {step} declares the calibration {name!r}, but its function "
                f"has no such parameter{did_you_mean(name, everything)}"
            )
            raise DeclarationError(msg)
    parameters: dict[str, Parameter] = {
        n: p for n, p in everything.items() if n not in cal_names and n not in WORDS
    }
    tables = [n for n, p in parameters.items() if p.is_table]
    if tables not in ([], ["instrument"]):
        msg = (
            f"the step {step} takes an instrument table as {' and '.join(tables)}; "
            "call that parameter instrument, as in all steps"
        )
        raise DeclarationError(msg)
    for name in tables:
        del parameters[name]
    return {
        "cals": cal_names,
        "parameters": parameters,
        "cal_parameters": {n: everything[n] for n in cal_names if n in everything},
        "tags": tags,
        "optional": optional,
        "handed_in": frozenset(everything) & HANDED_IN,
        "table": next(iter(tables), None),
    }


def _refuse_clash(step: str, names: Iterable[Output], parts: Mapping[str, Any]) -> None:
    """Refuse files and parameters of one name, which a call could not tell apart."""
    taken = {*parts["parameters"], *parts["cals"], *WORDS, parts["table"]}
    if clash := sorted(set(filter(None, names)) & taken):
        msg = (
            f"the step {step} has an output and a parameter {clash[0]!r}; call one "
            "of them something else"
        )
        raise DeclarationError(msg)
