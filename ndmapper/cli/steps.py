"""``ndmapper steps``: which steps there are, and what one takes."""

import argparse
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ndmapper.cli.output import format_columns, print_json, say
from ndmapper.cli.step_list import list_steps
from ndmapper.cli.verb import Verb
from ndmapper.errors import ParameterError

if TYPE_CHECKING:
    from ndmapper.steps import Step

__all__ = ["VERB", "describe_step"]

# Modules before the names of types, but not what stands in a text.
_MODULES = re.compile(r"(?<![\w.'\"/])(?:[a-z_]\w*\.)+(?=[A-Z])")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", nargs="?", choices=("list", "show"), default="list",
        help="list all (the default), or show one",
    )  # fmt: skip
    parser.add_argument("name", nargs="?", metavar="NAME", help="the step to show")


def _run(args: argparse.Namespace) -> int:
    if args.action == "show":
        from ndmapper.cli.catalogue import find_step

        if args.name is None:
            msg = "which step? 'ndmapper steps' lists them"
            raise ParameterError(msg)
        step = find_step(args.name)
        if args.json:
            print_json(describe_step(step))
        else:
            say(_text(step))
        return 0
    if args.json:
        from ndmapper.cli.catalogue import library_steps

        steps = library_steps()
        print_json({name: describe_step(step) for name, step in steps.items()})
        return 0
    rows = [
        (name, "/".join(step.engines), step.summary)
        for name, step in list_steps().items()
    ]
    say(format_columns(rows, ("step", "engine", "what it does")))
    return 0


def describe_step(step: "Step") -> dict[str, Any]:
    """Describe a step by what it declares."""
    declaration = step.declaration
    return {
        "name": step.name,
        "module": _home(step.func),
        "engines": list(step.engines),
        "task": declaration.task.name,
        "each": declaration.each,
        "prefix": declaration.prefix,
        "suffix": declaration.suffix,
        "outputs": [output for output in declaration.outputs if output is not None],
        "calibrations": list(declaration.cals),
        "parameters": {
            name: {
                "takes": str(parameter),
                **(
                    {} if parameter.required else {"default": _plain(parameter.default)}
                ),
            }
            for name, parameter in declaration.parameters.items()
        },
        "summary": _summary(step),
    }


def _home(func: Any) -> str:
    """Name the module of a function, or the script that it stands in."""
    if func.__module__ != "__main__":
        return str(func.__module__)
    return Path(inspect.unwrap(func).__code__.co_filename).name


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)


class _Words:
    """An annotation in words."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _shown(signature: inspect.Signature) -> inspect.Signature:
    """Say in words what a parameter for an instrument table takes."""
    from ndmapper.steps import InstrumentTable

    parameters = [
        one.replace(annotation=_Words("name or path of an instrument table"))
        if one.annotation == InstrumentTable else one
        for one in signature.parameters.values()
    ]  # fmt: skip
    return signature.replace(parameters=parameters)


def _summary(step: "Step") -> str:
    text = inspect.getdoc(step.func) or ""
    return text.strip().partition("\n")[0]


def _text(step: "Step") -> str:
    facts = describe_step(step)
    made = [
        f"{which} {facts[which]!r}" for which in ("prefix", "suffix") if facts[which]
    ]
    lines = [
        f"{step.name}{_MODULES.sub('', str(_shown(step.signature)))}",
        "",
        f"  from    {facts['module']}",
        f"  engine  {', '.join(facts['engines'])}"
        + (f" ({facts['task']})" if facts["task"] else ""),
        f"  sees    {facts['each']}",
        f"  makes   {', '.join(made) or 'products named by the call'}",
    ]
    if facts["calibrations"]:
        lines.append(f"  cals    {', '.join(facts['calibrations'])}")
    lines += ["", inspect.getdoc(step.func) or ""]
    return "\n".join(lines).rstrip()


VERB = Verb(
    description="""\
List the steps of ndmapper's libraries, or show one: where it comes from, its engines,
how it names products, its calibrations and parameters. A step of a script or of another
module is named 'script.py:step' or 'module:step'; of a script only imports, functions,
classes and literals are read, nothing is run.""",
    examples=(
        ("ndmapper steps", "all of them"),
        ("ndmapper steps show subtract_bias", "one"),
        ("ndmapper steps show night.py:flatten", "one of a script"),
    ),
    exit_codes={0: "shown", 1: "no such step"},
    add_arguments=_add_arguments,
    run=_run,
)
