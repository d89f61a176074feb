"""What a script made and re-used in all, said at its end."""

import atexit
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from ndmapper.parallel import end_workers

__all__ = ["Tally", "tally"]

log = logging.getLogger(__name__)


@dataclass
class Tally:
    """
    Counts of products over the steps of a script.

    Parameters
    ----------
    made : list of str
        Products that were made.
    reused : list of str
        Products that were there already.
    differing : list of str
        Those of them that differ from what would be made now.
    failed : list of str
        Products that could not be made, while others went on.
    """

    made: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def add(
        self,
        *,
        made: Sequence[str] = (),
        reused: Sequence[str] = (),
        differing: Sequence[str] = (),
        failed: Sequence[str] = (),
    ) -> None:
        """
        Count the products of one call.

        Parameters
        ----------
        made, reused, differing, failed : sequence of str
            Names of products.
        """
        if not self.made and not self.reused and not self.failed:
            atexit.unregister(_report_at_exit)
            atexit.register(_report_at_exit, os.getpid())
        self.made += made
        self.reused += reused
        self.differing += differing
        self.failed += failed

    def __str__(self) -> str:
        if not self.made and not self.reused and not self.failed:
            return "no step has run"
        if self.made or self.failed:
            words = f"{_products(self.made)} made, {len(self.reused)} re-used"
        else:
            words = f"nothing to do: all {_products(self.reused)} exist already"
        if self.differing:
            words = words.removeprefix("nothing to do: ")
            words += (
                f"; {len(self.differing)} of the re-used differ from what would be "
                "made now (reprocess=True makes them again)"
            )
        if self.failed:
            words += f"; {_products(self.failed)} failed: {', '.join(self.failed)}"
        return words

    def report(self, *, failed: bool = False) -> None:
        """
        Log the counts, once, and start anew.

        Parameters
        ----------
        failed : bool
            Whether the script ended with an error.
        """
        if failed:
            words = "stopped by an error; %s made before that, %d re-used"
            log.info(words, _products(self.made), len(self.reused))
        elif self.made or self.reused or self.failed:
            level = logging.WARNING if self.differing else logging.INFO
            level = logging.ERROR if self.failed else level
            log.log(level, "%s", self)
        self.clear()

    def clear(self) -> None:
        """Forget all counts."""
        self.made, self.reused, self.differing, self.failed = [], [], [], []


def _products(names: Sequence[str]) -> str:
    return f"{len(names)} product{'' if len(names) == 1 else 's'}"


def _report_at_exit(pid: int) -> None:
    # A forked child inherits the call, but not the work that was done.
    if os.getpid() == pid:
        # Set by the interpreter where an error ended the script.
        stopped = getattr(sys, "last_value", None) is not None
        failed = bool(tally.failed) and not stopped
        tally.report(failed=stopped)
        if failed:
            # The script went on, and has ended as if all were well; nobody else can
            # tell the shell now.
            end_workers()
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)


tally = Tally()
"""The counts of this process."""
