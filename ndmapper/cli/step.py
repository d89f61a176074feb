"""``ndmapper step``: run one step on files."""

import argparse
import ast
from typing import TYPE_CHECKING, Any

from ndmapper.cli.output import print_json
from ndmapper.cli.verb import Verb

if TYPE_CHECKING:
    from ndmapper.steps import Step

__all__ = ["VERB"]

_WORDS = (
    "out_names",
    "outdir",
    "reprocess",
    "workers",
    "on_error",
    "engine",
    "timeout",
)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the step")
    parser.add_argument("files", nargs="+", metavar="FILE", help="its inputs")
    parser.add_argument(
        "--dry-run", action="store_true", help="only say what it would do"
    )
    parser.epilog = (parser.epilog or "") + (
        "\n\nparameters:\n  --NAME VALUE for each parameter, calibration or word of "
        "the step\n  ('ndmapper steps show NAME' lists them); VALUE is a number, a "
        "text, True,\n  False, None, or a list such as [1,2]."
    )


def _run(args: argparse.Namespace) -> int:
    from ndmapper.cli.catalogue import find_step

    step = find_step(args.name, to_run=True)
    keywords = _keywords(step, args.rest)
    if args.dry_run:
        keywords["dry_run"] = True
    keywords.setdefault("reprocess", "auto")
    files: Any = args.files if len(args.files) > 1 else args.files[0]
    made = step(files, **keywords)
    names = [str(df) for df in _flat(made)]
    if args.json:
        print_json({"step": step.name, "parameters": keywords, "products": names})
    return 0


def _flat(made: Any) -> list[Any]:
    from ndmapper.data import DataFile, FileSet

    if isinstance(made, DataFile):
        return [made]
    if isinstance(made, FileSet):
        return made.members
    items = made.values() if isinstance(made, dict) else made
    return [df for item in items for df in _flat(item)]


def _keywords(step: "Step", words: list[str]) -> dict[str, Any]:
    """Read ``--name value`` and ``--name=value``; the step checks what they mean."""
    from ndmapper.errors import ParameterError

    found: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            msg = f"{word!r} is no parameter; give --NAME VALUE"
            raise ParameterError(msg)
        if not equals:
            if not rest:
                msg = f"--{name} needs a value"
                raise ParameterError(msg)
            value = rest.pop(0)
        name = name.replace("-", "_")
        found[name] = _value(step, name, value)
    return found


def _value(step: "Step", name: str, text: str) -> Any:
    """Read a value as Python would, but what the step takes as text stays text."""
    declaration = step.declaration
    parameter = declaration.parameters.get(name)
    if name in declaration.cals:
        return None if text in ("None", "none") else text
    if name in _WORDS and name != "reprocess":
        return text if name in ("outdir", "engine", "on_error") else _literal(text)
    if parameter is not None and parameter.kind.types == {str}:
        return text
    return _literal(text)


def _literal(text: str) -> Any:
    known = {"true": True, "false": False, "none": None}
    if text.lower() in known:
        return known[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


VERB = Verb(
    description="""\
Run one step of ndmapper's libraries, of another module (module:step) or of a script
(script.py:step). Of a script nothing else is run: only its imports, functions, classes
and literals are read, and a step that needs more is refused. Parameters, calibrations
and the words of the framework are given as --name value; wrong ones are refused before
anything is read.""",
    examples=(
        ("ndmapper step trim raw/*.fits --outdir reduced", "one step on many files"),
        (
            "ndmapper step subtract_bias trim.fits --bias bias.fits",
            "with a calibration",
        ),
        ("ndmapper step night.py:flatten a.fits --order 5", "a step of a script"),
    ),
    exit_codes={0: "made, or there already", 1: "an error"},
    add_arguments=_add_arguments,
    run=_run,
)
