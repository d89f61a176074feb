"""QC values and figures of a product, recorded from within a step."""

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
    """QC values and figures of one product."""

    # Numbers, quantities or text by name.
    numbers: dict[str, Any] = field(default_factory=dict)
    # matplotlib figures, or paths of images.
    figures: list[Any] = field(default_factory=list)


_findings: ContextVar[Findings | None] = ContextVar("findings", default=None)
_about: ContextVar[str] = ContextVar("about", default="")


def qc(*, figure: Any = None, **numbers: Any) -> None:
    """
    Record QC values or a figure of a product, from within the step that makes it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure or path, optional
        A figure, which is kept in ``outdir/.ndmapper/figures``.
    **numbers : float, int, str, bool or Quantity
        Values for the record of the product. For a step that works on extensions, each
        has its own: ``rms[2]`` is that of extension 2.

    Raises
    ------
    ParameterError
        If a value is neither a number, a scalar quantity, nor text.

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
    """Collect the QC values recorded within a ``with`` block."""
    findings = Findings()
    token = _findings.set(findings)
    try:
        yield findings
    finally:
        _findings.reset(token)


def current_findings() -> Findings | None:
    """Return the QC values that are being collected; None outside of a step."""
    return _findings.get()


def where_now() -> str:
    """Return which extension is being processed."""
    return _about.get()


@contextmanager
def about(where: str) -> Iterator[None]:
    """Set which extension QC values refer to, within a ``with`` block."""
    token = _about.set(where)
    try:
        yield
    finally:
        _about.reset(token)
