"""The records of products as a graph: text tree, Mermaid or DOT."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ndmapper.report.lineage import Lineage, Row, UsedFile, references_of

__all__ = ["FORMS", "Graph", "make_graph"]

FORMS = ("tree", "mermaid", "dot")


@dataclass(frozen=True)
class Node:
    """A file in the graph."""

    # File name.
    name: str
    # Step that made it; None for other files.
    step: str | None
    # 'product', 'raw', 'memory' or 'edited'.
    kind: Literal["product", "raw", "memory", "edited"]

    @property
    def note(self) -> str:
        """Text behind the name."""
        if self.kind == "memory":
            return "as it was in memory"
        return self.step or ""


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


def make_graph(records: Mapping[str, Sequence[Row]]) -> Graph:
    """Make the graph of products."""
    lineage = Lineage.of(records.values())
    numbers: dict[Any, int] = {}
    nodes: list[Node] = []
    edges: dict[tuple[int, int, str], None] = {}

    def number_of(use: UsedFile) -> int:
        maker = lineage.maker(use)
        mark = use.identity if maker is None else id(maker)
        if mark not in numbers:
            numbers[mark] = len(nodes)
            nodes.append(Node(use.name, None, "memory" if use.in_memory else "raw"))
        return numbers[mark]

    for row in lineage.rows:
        sources = [(number_of(use), use.role) for use in references_of(row)]
        numbers[id(row)] = number = len(nodes)
        kind: Any = "edited" if row["step"] == "edited" else "product"
        nodes.append(Node(row["product"], row["step"], kind))
        edges |= dict.fromkeys((source, number, role) for source, role in sources)
    products = [
        next(r for r in lineage.rows
             if (r["key"], r["product"]) == (t["key"], t["product"]))
        for t in lineage.targets
    ]  # fmt: skip
    targets = dict.fromkeys(numbers[id(row)] for row in products)
    return Graph(nodes, list(edges), list(targets))


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
