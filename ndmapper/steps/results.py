"""What comes of one unit of work."""

from dataclasses import dataclass

from ndmapper.data import DataFile
from ndmapper.engines.base import Output

__all__ = ["Failure", "Products", "Result"]

Products = dict[Output, DataFile]
"""Output to product."""


@dataclass(frozen=True)
class Failure:
    """
    What went wrong with one unit of work, where the others go on.

    Parameters
    ----------
    error : str
        The message.
    """

    error: str


Result = Products | Failure | str
"""Products; what went wrong; or what a tool without products printed."""
