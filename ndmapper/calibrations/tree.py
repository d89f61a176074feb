"""The tree of calibrations of a frame, as text, Mermaid or DOT."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ndmapper.calibrations.names import known_key
from ndmapper.calibrations.provenance import good_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.documents import DEEPEST
from ndmapper.errors import CalibrationDocumentError

__all__ = ["FORMS", "Branch", "cal_tree", "draw_tree"]

_MOST = 100_000
_SHOWN = 4

FORMS = ("text", "mermaid", "dot")
"""Output formats of a tree."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A frame or calibration, and its calibrations."""

    # Name of a frame, label of a calibration, or "none".
    name: str
    # None for a frame at the top.
    cal_type: str | None = None
    # Raw frames of the calibration.
    frames: tuple[str, ...] = ()
    # Calibrations of its frames.
    branches: tuple["Branch", ...] = field(default=())


def cal_tree(cal_dict: Mapping[str, Any], keys: Iterable[str]) -> list[Branch]:
    """Build the tree of the calibrations of frames."""
    left = itertools.count(_MOST, -1)
    return [
        Branch(name=key, branches=_below(cal_dict, [key], (), left)) for key in keys
    ]


def _below(
    cal_dict: Mapping[str, Any],
    frames: Sequence[str],
    above: tuple[str, ...],
    left: Iterator[int],
) -> tuple[Branch, ...]:
    associations = cal_dict[ASSOCIATIONS]
    found: dict[tuple[str, str | None], None] = {}
    for frame in frames:
        types = associations.get(known_key(associations, frame), {})
        found |= dict.fromkeys(types.items())
    branches = []
    for cal_type, label in found:
        if len(above) > DEEPEST or not next(left):
            raise _too_large(above)
        files = good_frames(cal_dict[CALIBRATIONS].get(label, ()), cal_dict)
        deeper: tuple[Branch, ...] = ()
        if label is not None and label not in above:
            deeper = _below(cal_dict, files, (*above, label), left)
        branches.append(
            Branch(
                name=label or "none",
                cal_type=cal_type,
                frames=tuple(files),
                branches=deeper,
            )
        )
    return tuple(branches)


def _too_large(above: Sequence[str]) -> CalibrationDocumentError:
    what = f"more than {_MOST} branches"
    if len(above) > DEEPEST:
        what = f"a chain of more than {DEEPEST}"
    msg = (
        f"the calibrations of the document need each other in {what}, such as "
        f"{' > '.join(above[:_SHOWN])}; name fewer frames, or mend it"
    )
    return CalibrationDocumentError(msg)


def draw_tree(tree: Iterable[Branch], form: str = "text") -> str:
    """Draw a tree in one of `FORMS`."""
    if form == "text":
        return "\n".join(line for top in tree for line in _text(top))
    nodes: dict[tuple[str, str], str] = {}
    edges: dict[tuple[str, str, str], None] = {}
    for top in tree:
        _connect(top, nodes, edges)
    if form == "mermaid":
        lines = ["graph LR"]
        lines += [f'    {n}["{_escaped(key[0])}"]' for key, n in nodes.items()]
        lines += [f'    {a} -->|"{_escaped(kind)}"| {b}' for a, b, kind in edges]
        return "\n".join(lines)
    lines = ["digraph calibrations {", "    rankdir=LR;", "    node [shape=box];"]
    lines += [f"    {n} [label={_quoted(key[0])}];" for key, n in nodes.items()]
    lines += [f"    {a} -> {b} [label={_quoted(kind)}];" for a, b, kind in edges]
    return "\n".join([*lines, "}"])


def _text(branch: Branch) -> list[str]:
    count = len(branch.frames)
    made_of = f" ({count} frame{'s' if count > 1 else ''})" if count else ""
    kind = f"{branch.cal_type}: " if branch.cal_type else ""
    lines = [f"{kind}{branch.name}{made_of}"]
    for number, below in enumerate(branch.branches, 1):
        first, *others = _text(below)
        is_last = number == len(branch.branches)
        lines.append(f"{'└─' if is_last else '├─'} {first}")
        lines += [f"{'  ' if is_last else '│ '} {line}" for line in others]
    return lines


def _connect(
    branch: Branch,
    nodes: dict[tuple[str, str], str],
    edges: dict[tuple[str, str, str], None],
) -> str:
    """Add a node for each frame and calibration, once, and return its identifier."""
    # "none" has one node for each type.
    key = (branch.name, branch.cal_type or "" if branch.name == "none" else "")
    node = nodes.setdefault(key, f"n{len(nodes)}")
    for below in branch.branches:
        edges[node, _connect(below, nodes, edges), str(below.cal_type)] = None
    return node


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
