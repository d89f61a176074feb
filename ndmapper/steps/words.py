"""Words of the framework in the call of a step."""

__all__ = ["CONFIG_WORDS", "HANDED_IN", "RESERVED", "WORDS"]

HANDED_IN = frozenset({"interact", "use_uncert", "use_flags"})
"""A function that names one of these is given its value, resolved."""

CONFIG_WORDS = HANDED_IN | {"reprocess", "outdir"}
"""Keywords of a call that override the configuration."""

RESERVED = frozenset({"workers", "save", "on_error", "dry_run", "engine", "timeout"})
"""Keywords that belong to the framework, and that nothing answers to here."""

WORDS = CONFIG_WORDS | RESERVED | {"out_names"}
"""All keywords of the framework; no parameter of a function may have such a name."""
