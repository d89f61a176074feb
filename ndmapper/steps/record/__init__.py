"""
What is written down: how a product was made, and whether it still is what it would be.

entry, values, literals
    The record entry of a product, and values as JSON or as Python text.
origin, source_text, versions
    Where a step comes from: its code and what that refers to, or a package.
differences, equivalence, freshness
    What is stale, and why, in words.
decisions, event_log, summary
    What the user decided, what happened in a folder, and what a run comes to.
"""
