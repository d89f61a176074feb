"""The structure of the package: what no other tool checks."""

from graphlib import TopologicalSorter

import grimp


def test_no_module_imports_itself_by_way_of_others():
    # Imports for annotations count: who is known to each other is one room too many.
    graph = grimp.build_graph("ndmapper", cache_dir=None)
    imports = {
        module: graph.find_modules_directly_imported_by(module)
        for module in graph.modules
    }
    TopologicalSorter(imports).prepare()  # raises a CycleError that shows the circle
