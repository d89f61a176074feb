"""The declaration of a step: everything that is known before it is called."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ndmapper.engines.base import Each, Output
from ndmapper.errors import DeclarationError, did_you_mean
from ndmapper.steps.parameters import Parameter, read_parameters
from ndmapper.steps.words import HANDED_IN, WORDS

__all__ = ["Declaration", "declare"]

Affix = str | Mapping[str, str] | None
"""A prefix or suffix: one for all outputs, or one for each by its name."""

_EACH = ("ndd", "file", "list")


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """
    What a step is.

    Parameters
    ----------
    func : callable
        The bare function.
    each : {'ndd', 'file', 'list'}
        What it sees.
    outputs : tuple of (str or None)
        Names of its outputs; ``(None,)`` for one output without a name.
    prefix, suffix : str, mapping or None
        How products are named.
    cals : tuple of str
        Names of its calibrations, which are parameters of the function.
    parameters : mapping of str to Parameter
        All other parameters but the first, which takes the input.
    cal_parameters : mapping of str to Parameter
        Those of the calibrations.
    handed_in : frozenset of str
        Words of the framework that the function names to be given their value.
    reprocess : object
        What holds where neither the call nor the configuration says anything.
    logfile : str or None
        A log file of the step's own.
    """

    func: Callable[..., Any]
    each: Each
    outputs: tuple[Output, ...]
    prefix: Affix
    suffix: Affix
    cals: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    cal_parameters: Mapping[str, Parameter]
    handed_in: frozenset[str]
    reprocess: bool | str | None
    logfile: str | None

    @property
    def name(self) -> str:
        """Name of the step."""
        return self.func.__name__

    def affix(self, which: str, output: Output) -> str:
        """
        Give the prefix or suffix of one output.

        Parameters
        ----------
        which : {'prefix', 'suffix'}
            Which of the two.
        output : str or None
            Name of the output.

        Returns
        -------
        str
            The affix. One suffix for several outputs is told apart by their names.
        """
        declared: Affix = getattr(self, which)
        if isinstance(declared, Mapping):
            return declared.get(str(output), "")
        if (
            which == "suffix"
            and len(self.outputs) > 1
            and not isinstance(self.prefix, Mapping)
        ):
            return f"{declared or ''}_{output}"
        return declared or ""


def _names(value: Any, word: str, step: str) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value)
    for name in names:
        if not isinstance(name, str) or not name.isidentifier():
            msg = f"the step {step} declares {word}={value!r}; give names of parameters"
            raise DeclarationError(msg)
    if len(set(names)) < len(names):
        msg = f"the step {step} declares a name twice in {word}={value!r}"
        raise DeclarationError(msg)
    return names


def declare(
    func: Callable[..., Any],
    *,
    inputs: str | Sequence[str] | None = None,
    outputs: str | Sequence[str] | None = None,
    prefix: Affix = None,
    suffix: Affix = None,
    each: str = "ndd",
    cals: str | Sequence[str] | None = None,
    reprocess: bool | str | None = None,
    logfile: str | None = None,
) -> Declaration:
    """
    Declare a step of pure Python, and check the declaration.

    Parameters
    ----------
    func : callable
        The function; its first parameter takes the input.
    inputs : str, optional
        Name of the first parameter; it need not be said.
    outputs : str or sequence of str, optional
        Names of the outputs, where they have names.
    prefix, suffix : str or mapping, optional
        How products are named; a mapping has one for each output.
    each : {'ndd', 'file', 'list'}
        What the function sees.
    cals : str or sequence of str, optional
        Names of the parameters that take calibrations.
    reprocess : bool or None
        See `ndmapper.steps.run_task.run_task`.
    logfile : str, optional
        A log file of the step's own.

    Returns
    -------
    Declaration
        The declaration.

    Raises
    ------
    DeclarationError
        If the declaration and the function do not fit.
    """
    if not callable(func) or not hasattr(func, "__name__"):
        msg = f"a step is made of a function, not of {func!r}"
        raise DeclarationError(msg)
    step = func.__name__
    if each not in _EACH:
        msg = f"the step {step} declares each={each!r}{did_you_mean(each, _EACH)}"
        raise DeclarationError(msg)
    positional = [
        p.name
        for p in inspect.signature(func).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
    ]
    if not positional:
        msg = f"the step {step} needs a first parameter, which takes the input"
        raise DeclarationError(msg)
    if inputs is not None and _names(inputs, "inputs", step) != (positional[0],):
        msg = (
            f"the step {step} declares inputs={inputs!r}, but a Python step takes one "
            f"input, its first parameter {positional[0]!r}"
        )
        raise DeclarationError(msg)
    cal_names = _names(cals or (), "cals", step)
    out_names = _names(outputs, "outputs", step) if outputs else (None,)
    everything = read_parameters(func, frozenset({positional[0]}))
    if clash := sorted(set(everything) & (WORDS - HANDED_IN)):
        msg = (
            f"the step {step} has a parameter {clash[0]!r}, which is a word of the "
            "framework; give it another name"
        )
        raise DeclarationError(msg)
    for name in cal_names:
        if name not in everything:
            msg = (
                f"the step {step} declares the calibration {name!r}, but its function "
                f"has no such parameter{did_you_mean(name, everything)}"
            )
            raise DeclarationError(msg)
    if clash := sorted(set(filter(None, out_names)) & (set(everything) | WORDS)):
        msg = (
            f"the step {step} has an output and a parameter {clash[0]!r}; call one "
            "of them something else"
        )
        raise DeclarationError(msg)
    for which, affix in (("prefix", prefix), ("suffix", suffix)):
        texts = affix.values() if isinstance(affix, Mapping) else [affix or ""]
        if odd := [t for t in texts if not isinstance(t, str) or set(t) & set("/\\\0")]:
            msg = (
                f"the step {step} has the {which} {odd[0]!r}; it is part of a file name"
            )
            raise DeclarationError(msg)
        if isinstance(affix, Mapping) and (unknown := set(affix) - set(out_names)):
            msg = f"the step {step} has a {which} for unknown outputs {sorted(unknown)}"
            raise DeclarationError(msg)
    return Declaration(
        func=func,
        each=each,  # type: ignore[arg-type]  # one of _EACH, as checked above
        outputs=out_names,
        prefix=prefix,
        suffix=suffix,
        cals=cal_names,
        parameters={
            n: p for n, p in everything.items() if n not in cal_names and n not in WORDS
        },
        cal_parameters={n: everything[n] for n in cal_names},
        handed_in=frozenset(everything) & HANDED_IN,
        reprocess=reprocess,
        logfile=logfile,
    )
