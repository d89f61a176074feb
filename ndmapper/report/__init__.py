"""
Text, tables, graphs and scripts made from records.

history, lineage, graph
    How a product was made, as text and as graph.
script, calls, definitions, python_text
    A script that makes a product again.
qc
    QC values as tables.
compare, array_differences
    Differences of two products.
doctor, doctor_tools
    What is installed, and what is wrong with it.
"""

from ndmapper.report.history import history

__all__ = ["history"]
