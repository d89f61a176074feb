"""What the published classes have in common: spellings, and information on a screen."""

import sys
from typing import Any

__all__ = ["Spellings", "show"]


class Spellings:
    """The published names of the operators, beside the operators themselves."""

    def _add(self, x: Any) -> Any:
        return self + x

    def _sub(self, x: Any) -> Any:
        return self - x

    def _mul(self, x: Any) -> Any:
        return self * x

    def _div(self, x: Any) -> Any:
        return self / x


def show(text: str) -> None:
    """Print a text, which is what `info` of these classes does."""
    sys.stdout.write(f"{text}\n")
