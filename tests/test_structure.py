"""The structure of the package: what no other tool checks."""

import configparser
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

REPOSITORY = Path(__file__).resolve().parents[1]


def test_no_module_imports_itself_by_way_of_others():
    # Imports for annotations count: who is known to each other is one room too many.
    graph = grimp.build_graph("ndmapper", cache_dir=None)
    imports = {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
    }
    TopologicalSorter(imports).prepare()  # raises a CycleError that shows the circle


def test_accesses_to_what_is_private_to_another_object_only_fall():
    options = ("--select=SLF001", "--exit-zero", "--no-cache", "--output-format=json")
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, "ndmapper"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    allowed = setup.getint("structure", "private_accesses")
    # If there are fewer, their number in setup.cfg is to fall with them.
    assert len(json.loads(found.stdout)) == allowed
