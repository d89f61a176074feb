"""
The picture of the package in docs/develop/inside.md, drawn from its imports.

A floor is a layer of the contract in ``setup.cfg``, a box a package with its rooms and
files. An arrow leads from a package to one that it imports; those that follow from
others are left out (the transitive reduction).
"""

import configparser
import re
from pathlib import Path

import grimp
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

REPOSITORY = Path(__file__).resolve().parents[2]


def floors():
    """List the packages of each layer, the highest first."""
    settings = configparser.ConfigParser()
    settings.read(REPOSITORY / "setup.cfg")
    layers = settings["importlinter:contract:layers"]["layers"].split("\n")
    named = [re.findall(r"\((\w+)\)", line) for line in layers]
    rows = [[name for name in names if name != "__main__"] for names in named]
    return [row for row in rows if row]


def arrows(packages):
    """Give the packages that each imports, without what follows from others."""
    graph = grimp.build_graph("ndmapper", cache_dir=None)
    home = {
        module: module.split(".")[1] for module in graph.modules if module != "ndmapper"
    }
    direct = {name: set() for name in packages}
    for module, package in home.items():
        for other in graph.find_modules_directly_imported_by(module):
            if other in home and package in direct and home[other] in direct:
                direct[package].add(home[other])
        direct.get(package, set()).discard(package)
    below = {}
    for name in reversed(packages):  # the lowest first
        below[name] = direct[name].union(*(below.get(x, set()) for x in direct[name]))
    return {
        name: {x for x in others if not any(x in below[y] for y in others - {x})}
        for name, others in direct.items()
    }


def rooms_of(package):
    """List what is in a package: rooms first, then files."""
    folder = REPOSITORY / "ndmapper" / package
    if not folder.is_dir():
        return []
    rooms = sorted(f"{path.parent.name}/" for path in folder.glob("*/__init__.py"))
    files = sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))
    return [*rooms, *files]


def wrapped(words, width):
    """Put words into lines that are not longer than a width."""
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def draw(path):
    """
    Draw the picture.

    Parameters
    ----------
    path : Path
        The SVG.
    """
    rows = floors()
    texts = {}
    for names in rows:
        for name in names:
            texts[name] = wrapped(rooms_of(name), int(150 / len(names)))
    heights = [0.42 + 0.17 * max(len(texts[name]) for name in row) for row in rows]
    total = sum(heights) + 0.35 * len(rows)
    figure = Figure(figsize=(11, total), layout="none")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 11), ylim=(total, 0))
    axes.axis("off")
    places, top = {}, 0.15
    for row, height in zip(rows, heights, strict=True):
        width = 10.6 / len(row)
        for number, name in enumerate(row):
            left = 0.2 + number * width
            box = (left + 0.05, top)
            places[name] = (left + width / 2, top, top + height)
            axes.add_artist(
                Rectangle(
                    box, width - 0.1, height, facecolor="#f4f6fa", edgecolor="#5a6a85"
                )
            )
            axes.text(left + 0.15, top + 0.22, name, weight="bold", size=9)
            for line, text in enumerate(texts[name]):
                axes.text(left + 0.15, top + 0.42 + 0.17 * line, text, size=6.5)
        top += height + 0.35
    for name, others in arrows([name for row in rows for name in row]).items():
        for other in others:
            start, end = places[name], places[other]
            if start[1] == end[1]:
                continue  # on one floor, at the bottom
            axes.annotate(
                "", (end[0], end[1]), (start[0], start[2]),
                arrowprops={"arrowstyle": "->", "color": "#4a6fa5", "alpha": 0.6},
            )  # fmt: skip
    figure.savefig(path, metadata={"Date": None})


def setup(app):
    """Have Sphinx draw the picture before it reads the pages."""
    app.connect(
        "builder-inited", lambda app: draw(Path(app.srcdir) / "develop" / "house.svg")
    )
    return {"parallel_read_safe": True}
