"""
A call, hops 6 to 11 of 11: carry a plan out, on disk or in memory.

execute, workers
    Work through the units of a plan, here or in worker processes.
unit, facts
    Run one unit, and take what the step said of its products.
publish
    Check a product, and rename it into place with its record.
in_memory, dry_run
    The same without files, and without doing anything.
"""
