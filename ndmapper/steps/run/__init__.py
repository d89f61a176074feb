"""
Hops 6 to 11 of 11: carry a plan out.

execute
    All units of a plan, here or in worker processes; 11: products mapped from disk.
unit
    6 to 10 for one unit: stage, run, collect, record, publish.
publish, in_memory
    10: products renamed into place with their records, or kept in memory with them.
dry_run, nddata
    A call that does nothing, and a call without files.
"""
