"""
What is written down: how a product was made, and whether it still is what it would be.

entry
    The record entry of a product, with values as JSON.
origin, versions
    Where a step comes from: its code and what that refers to, or a package.
differences, equivalence, freshness
    What is stale, and why, in words.
decisions, summary
    What the user decided, what happened in a folder, and what a run comes to.
"""
