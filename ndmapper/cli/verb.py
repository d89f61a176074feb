"""What a verb of the command consists of, and its parser, which is filled when used."""

import argparse
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["LazyVerb", "Verb", "VerbParser", "add_common_options"]


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb of the command; exit code 2 always is a wrong command line."""

    description: str
    examples: tuple[tuple[str, str], ...]
    """Command lines, and what each is for."""
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Does the work, and returns the exit code."""
    exit_codes: dict[int, str] = field(
        default_factory=lambda: {0: "done", 1: "an error"}
    )

    @property
    def epilog(self) -> str:
        """The end of the help text: examples and exit codes."""
        width = max(len(line) for line, _ in self.examples)
        lines = ["examples:"]
        lines += [f"  {line:<{width}}  {what}" for line, what in self.examples]
        lines += ["", "exit codes:"]
        codes = {**self.exit_codes, 2: "a wrong command line"}
        lines += [f"  {code:<3}  {codes[code]}" for code in sorted(codes)]
        return "\n".join(lines)


@dataclass(frozen=True)
class LazyVerb:
    """A verb as the list of verbs shows it; its module is imported when it is used."""

    name: str
    summary: str

    def load(self) -> Verb:
        """Import the verb, which is the ``VERB`` of the module of its name."""
        module = importlib.import_module(f"ndmapper.cli.{self.name}")
        return module.VERB  # type: ignore[no-any-return]

    def run(self, args: argparse.Namespace) -> int:
        """Do the work of the verb, and return its exit code."""
        return self.load().run(args)


class VerbParser(argparse.ArgumentParser):
    """The parser of one verb, which imports its module when it parses or shows help."""

    def __init__(self, *, verb: LazyVerb, **keywords: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            **keywords,
        )
        self._unfilled: LazyVerb | None = verb
        self.set_defaults(run=verb.run)

    def fill(self) -> None:
        """Add what the module of the verb declares, if that is not done."""
        if self._unfilled is None:
            return
        verb, self._unfilled = self._unfilled.load(), None
        self.description = verb.description
        self.epilog = verb.epilog
        add_common_options(self, default=argparse.SUPPRESS)
        verb.add_arguments(self)

    # argparse's own has overloads; they say nothing that is used here.
    def parse_known_args(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        namespace: Any = None,
    ) -> tuple[Any, list[str]]:
        """Parse what follows the verb."""
        self.fill()
        return super().parse_known_args(args, namespace)

    def format_help(self) -> str:
        """Give the help text of the verb."""
        self.fill()
        return super().format_help()


def add_common_options(parser: argparse.ArgumentParser, default: Any = False) -> None:
    """Add the options of all verbs, which may stand before the verb as well."""
    for option, text in (
        ("--json", "print JSON, for other programs"),
        ("--debug", "show details, and tracebacks of errors"),
        (
            "--trust-folder",
            "let ndmapper.toml of this folder name programs and archives with logins",
        ),
    ):
        parser.add_argument(option, action="store_true", default=default, help=text)
