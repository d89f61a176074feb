"""
The ``ndmapper`` command. It only prints; the work is done by the rooms below.

command, verb
    The list of verbs, reading the command line; what a verb is. A verb is imported when
    it is used, from the file of its name: config, info, run, steps, completion ...
output, records
    How verbs print and write tables; records of the files that are named.
run_script, planning, definitions
    Running a script; with steps that only plan; and only its definitions.
catalogue, step_list
    The steps that there are, imported; the list of the library's, from its source.
cals_look, cals_edit
    The actions of ``ndmapper cals``.
"""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these words, or those of the process."""
    from ndmapper.cli import command  # not before __main__ has seen to the path

    return command.main(argv)
