"""The version of ndmapper, in the one place that everything else reads it from."""

__version__ = "0.2.0.dev0"
