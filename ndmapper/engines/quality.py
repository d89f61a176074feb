"""What a step says of the quality of its product while it works."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ndmapper.errors import ParameterError

__all__ = [
    "Findings",
    "about",
    "collect_findings",
    "current_findings",
    "qc",
    "where_now",
]


@dataclass
class Findings:
    """What was said."""

    # Name to number, quantity or text.
    numbers: dict[str, Any] = field(default_factory=dict)
    # Figures of matplotlib, or paths of pictures.
    figures: list[Any] = field(default_factory=list)


_findings: ContextVar[Findings | None] = ContextVar("findings", default=None)
_about: ContextVar[str] = ContextVar("about", default="")


def qc(*, figure: Any = None, **numbers: Any) -> None:
    """
    Say something of the quality of a product, from within the step that makes it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or path, optional
        A picture; it is kept in ``outdir/.ndmapper/figures``.
    **numbers : float, int, str, bool or Quantity
        What was measured. They go to the record of the product. A step that works on
        several extensions says them for each: ``rms[2]`` is that of extension 2.

    Raises
    ------
    ParameterError
        If something is neither a number, a quantity with one value, nor text.

    Notes
    -----
    Outside a step nothing happens, so that its function can be called by itself.
    """
    for name, value in numbers.items():
        bare = getattr(value, "value", value)
        if np.shape(bare) != () or not isinstance(
            bare, (int, float, str, np.number, np.bool_)
        ):
            msg = (
                f"qc({name}={value!r}): give a number, a quantity with one value, or "
                "text"
            )
            raise ParameterError(msg)
    findings = _findings.get()
    if findings is None:
        return
    where = _about.get()
    for name, value in numbers.items():
        findings.numbers[f"{name}{where}"] = value
    if figure is not None:
        findings.figures.append(figure)


@contextmanager
def collect_findings() -> Iterator[Findings]:
    """Collect what is said while a ``with`` block lasts."""
    findings = Findings()
    token = _findings.set(findings)
    try:
        yield findings
    finally:
        _findings.reset(token)


def current_findings() -> Findings | None:
    """Give what is being collected."""
    return _findings.get()


def where_now() -> str:
    """Say which extension is worked on."""
    return _about.get()


@contextmanager
def about(where: str) -> Iterator[None]:
    """Say what the findings of a ``with`` block are about."""
    token = _about.set(where)
    try:
        yield
    finally:
        _about.reset(token)
