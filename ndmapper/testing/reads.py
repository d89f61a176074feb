"""Counting how often, and how much, data are read from files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ndmapper.io.source import observe_reads

__all__ = ["Reads", "count_reads"]


@dataclass
class Reads:
    """
    What was read.

    Parameters
    ----------
    reads : int
        How often.
    bytes : int
        How much, in bytes of the decompressed content.
    paths : list of Path
        Of which file, one for each read.
    """

    reads: int = 0
    bytes: int = 0
    paths: list[Path] = field(default_factory=list)


@contextmanager
def count_reads() -> Iterator[Reads]:
    """
    Count the reads of data units in this process; headers do not count.

    Yields
    ------
    Reads
        What was read since the context was entered.
    """
    reads = Reads()

    def note(path: Path, size: int) -> None:
        reads.reads += 1
        reads.bytes += size
        reads.paths.append(path)

    with observe_reads(note):
        yield reads
