"""The ``ndmapper`` command: one small file per verb. It only prints."""

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run the ``ndmapper`` command.

    Parameters
    ----------
    argv : sequence of str, optional
        The words after the command's name; those of the process by default.

    Returns
    -------
    int
        The exit code.
    """
    from ndmapper.cli import command  # not before __main__ has seen to the path

    return command.main(argv)
