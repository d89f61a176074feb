"""
Hops 1 to 5 of 11: from the words of a call to a plan. Nothing is written.

bind
    1, 2: the words of the call, sorted and checked, and its configuration.
inputs
    3, 4: inputs and calibrations as DataFiles.
plan, naming, decide
    5: units of work, the names of their products, and whether each runs or is re-used.
"""
