"""Words of the framework in the call of a step."""

__all__ = ["CONFIG_WORDS", "HANDED_IN", "OF_DECLARATION", "OPTIONS", "WORDS"]

HANDED_IN = frozenset({"interact", "use_uncert", "use_flags"})
"""A function that names one of these is given its value, resolved."""

CONFIG_WORDS = HANDED_IN | {
    "reprocess", "outdir", "workers", "on_error", "dry_run", "engine", "timeout",
}  # fmt: skip
"""Keywords of a call that override the configuration."""

WORDS = CONFIG_WORDS | {"out_names", "save"}
"""All keywords of the framework; no parameter of a function may have such a name."""

OF_DECLARATION = frozenset({"memory", "revision"})
"""What is said of a step once, in its ``options``, and not configured."""

OPTIONS = CONFIG_WORDS | OF_DECLARATION | {"record"}
"""What a declaration may say in its ``options``, beside the words of its engine."""
