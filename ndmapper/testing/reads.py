"""Count the reads of data units."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ndmapper.io.source import observe_reads

__all__ = ["Reads", "count_reads"]


@dataclass
class Reads:
    """
    Counted reads.

    Parameters
    ----------
    reads : int
        Number of reads.
    bytes : int
        Bytes of decompressed content.
    paths : list of Path
        The file of each read.
    """

    reads: int = 0
    bytes: int = 0
    paths: list[Path] = field(default_factory=list)


@contextmanager
def count_reads() -> Iterator[Reads]:
    """
    Count the reads of data units in this process, without headers.

    Yields
    ------
    Reads
        The reads since the context was entered.
    """
    reads = Reads()

    def note(path: Path, size: int) -> None:
        reads.reads += 1
        reads.bytes += size
        reads.paths.append(path)

    with observe_reads(note):
        yield reads
