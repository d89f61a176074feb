"""
Pages and pictures made from records.

history, lineage, calls
    Where a product comes from, as text.
script, python_text, definitions
    A script that makes a product again.
graph, qc, compare, pixels
    Pictures of lineage and quality, and differences of two products.
doctor, doctor_tools
    What is installed, and what is wrong with it.
"""

from ndmapper.report.history import history

__all__ = ["history"]
