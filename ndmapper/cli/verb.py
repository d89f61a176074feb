"""What a verb of the command consists of."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Verb"]


@dataclass(frozen=True, kw_only=True)
class Verb:
    """
    One verb of the command.

    Parameters
    ----------
    name : str
        The word that is typed.
    summary : str
        One line for the list of verbs.
    description : str
        What it does, for ``ndmapper VERB --help``.
    examples : tuple of (str, str)
        Command lines, and what each is for.
    add_arguments : callable
        Takes the verb's parser and adds its arguments.
    run : callable
        Takes the parsed arguments, does the work, returns the exit code.
    exit_codes : dict of int to str
        What each exit code means, besides 2 (a wrong command line).
    """

    name: str
    summary: str
    description: str
    examples: tuple[tuple[str, str], ...]
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
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
