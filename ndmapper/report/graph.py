"""The records of products as a graph: text tree, Mermaid or DOT."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ndmapper.data.fold_names import list_names
from ndmapper.report.lineage import (
    Lineage,
    Row,
    UsedFile,
    kind_of_work,
    references_of,
)
from ndmapper.steps.record.entry import output_name

__all__ = ["FORMS", "Graph", "make_graph"]

FORMS = ("tree", "mermaid", "dot")

_LEAST = 3
"""Least number of raw files that are shown as one."""

_Source = int | tuple[str, str]
"""The number of a group of products, or a file that no step made."""


@dataclass(frozen=True)
class Node:
    """A file in the graph, or several that were made alike."""

    # File name, or names.
    name: str
    # Step that made it; None for other files.
    step: str | None
    # 'product', 'raw', 'memory' or 'edited'.
    kind: Literal["product", "raw", "memory", "edited"]
    # How many files.
    count: int = 1

    @property
    def note(self) -> str:
        """Text behind the name."""
        if self.kind == "memory":
            return "as it was in memory"
        number = f" ({self.count} files)" if self.count > 1 else ""
        return f"{self.step}{number}" if self.step else ""


@dataclass(frozen=True)
class Graph:
    """Files, and what they were made from."""

    # Files, each after its inputs.
    nodes: list[Node]
    # (input, product, role), as indices of nodes.
    edges: list[tuple[int, int, str]]
    # Indices of the requested products.
    targets: list[int]

    def as_dict(self) -> dict[str, Any]:
        """Return the graph as plain data."""
        return {
            "nodes": [vars(node) for node in self.nodes],
            "edges": [
                {"from": source, "to": product, "role": role}
                for source, product, role in self.edges
            ],
            "targets": self.targets,
        }

    def tree(self) -> str:
        """Draw the graph as a tree."""
        sources: dict[int, list[tuple[int, str]]] = {}
        for source, product, role in self.edges:
            sources.setdefault(product, []).append((source, role))
        lines: list[str] = []
        shown: set[int] = set()
        # Not recursive: long records exceed Python's recursion limit.
        stack = [(n, "", "", "") for n in reversed(self.targets)]
        while stack:
            number, role, branch, below = stack.pop()
            node = self.nodes[number]
            words = [_line(node.name)]
            words += [f"({role})"] if role not in ("", "input") else []
            words += [f"<- {_line(node.note)}"] if node.note else []
            again = number in shown and number in sources
            lines.append(branch + " ".join(words) + (" ..." if again else ""))
            if again:
                continue
            shown.add(number)
            children = sources.get(number, [])
            for place, (child, child_role) in reversed([*enumerate(children, 1)]):
                last = place == len(children)
                start, rest = ("`-- ", "    ") if last else ("|-- ", "|   ")
                stack.append((child, child_role, below + start, below + rest))
        return "\n".join(lines)

    def mermaid(self) -> str:
        """Write the graph for Mermaid."""
        lines = ["flowchart LR"]
        for number, node in enumerate(self.nodes):
            note = f"<br/>{_mermaid(node.note)}" if node.note else ""
            start, end = ("[", "]") if node.kind == "product" else ("([", "])")
            lines.append(f'    n{number}{start}"{_mermaid(node.name)}{note}"{end}')
        for source, product, role in self.edges:
            label = f'|"{_mermaid(role)}"| ' if role != "input" else ""
            lines.append(f"    n{source} --> {label}n{product}")
        return "\n".join(lines)

    def dot(self) -> str:
        """Write the graph for Graphviz."""
        lines = ["digraph record {", "    rankdir=LR;", "    node [shape=box];"]
        for number, node in enumerate(self.nodes):
            note = f"\\n{_dot(node.note)}" if node.note else ""
            shape = "" if node.kind == "product" else ", shape=ellipse"
            lines.append(f'    n{number} [label="{_dot(node.name)}{note}"{shape}];')
        for source, product, role in self.edges:
            label = f' [label="{_dot(role)}"]' if role != "input" else ""
            lines.append(f"    n{source} -> n{product}{label};")
        return "\n".join([*lines, "}"])


def make_graph(records: Mapping[str, Sequence[Row]], *, each: bool = False) -> Graph:
    """Make the graph of products; files that were made alike are one node or `each`."""
    lineage = Lineage.of(records.values())
    groups = [[row] for row in lineage.rows] if each else lineage.group(_output_mark)
    home = {id(row): number for number, rows in enumerate(groups) for row in rows}
    # What each group was made of: files that no step made, and numbers of groups.
    used: list[dict[tuple[_Source, str], None]] = []
    raws: dict[_Source, UsedFile] = {}
    for rows in groups:
        uses = [use for row in rows for use in references_of(row)]
        makers = [lineage.maker(use) for use in uses]
        sources = [
            use.identity if maker is None else home[id(maker)]
            for use, maker in zip(uses, makers, strict=True)
        ]
        raws |= dict(zip(sources, uses, strict=True))
        roles = [use.role for use in uses]
        used.append(dict.fromkeys(zip(sources, roles, strict=True)))
    bundles = {} if each else _bundles(used, raws)
    numbers: dict[Any, int] = {}
    nodes: list[Node] = []
    edges: dict[tuple[int, int, str], None] = {}
    for group, rows in enumerate(groups):
        ends = []
        for source, role in used[group]:
            members = bundles.get(source, [source])
            if members[0] not in numbers:
                numbers[members[0]] = len(nodes)
                nodes.append(_raw_node([raws[member] for member in members]))
            ends.append((numbers[members[0]], role))
        numbers[group] = number = len(nodes)
        nodes.append(_product_node(rows))
        edges |= dict.fromkeys((end, number, role) for end, role in ends)
    products = [
        next(r for r in lineage.rows
             if (r["key"], r["product"]) == (t["key"], t["product"]))
        for t in lineage.targets
    ]  # fmt: skip
    targets = dict.fromkeys(numbers[home[id(row)]] for row in products)
    return Graph(nodes, list(edges), list(targets))


def _output_mark(row: Row) -> str:
    """Mark entries of one output that were made alike."""
    return f"{output_name(row.get('output'))} {kind_of_work(row)}"


def _bundles(
    used: Sequence[Mapping[tuple[_Source, str], None]],
    raws: Mapping[_Source, UsedFile],
) -> dict[_Source, list[_Source]]:
    """Bundle files that no step made and that went into the same, in the same roles."""
    users: dict[_Source, list[tuple[int, str]]] = {}
    for group, sources in enumerate(used):
        for source, role in sources:
            if not isinstance(source, int):
                users.setdefault(source, []).append((group, role))
    bundles: dict[object, list[_Source]] = {}
    for source, ways in users.items():
        mark = raws[source].in_memory, *ways
        bundles.setdefault(mark, []).append(source)
    return {
        source: members
        for members in bundles.values()
        if len(members) >= _LEAST
        for source in members
    }


def _raw_node(uses: Sequence[UsedFile]) -> Node:
    sets = {use.name: use.reference.get("set", "") for use in uses}
    kind: Any = "memory" if uses[0].in_memory else "raw"
    return Node(list_names(sets, sets), None, kind, len(uses))


def _product_node(rows: Sequence[Row]) -> Node:
    sets = {row["product"]: row.get("set", "") for row in rows}
    kind: Any = "edited" if rows[0]["step"] == "edited" else "product"
    return Node(list_names(sets, sets), rows[0]["step"], kind, len(sets))


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)


def _mermaid(text: str) -> str:
    """Escape text for Mermaid."""
    plain = set(" .,:-+/=_*")
    return "".join(
        c if c.isalnum() or c in plain else f"#{ord(c)};" for c in _line(text)
    )


def _dot(text: str) -> str:
    return _line(text).replace("\\", "\\\\").replace('"', '\\"')
