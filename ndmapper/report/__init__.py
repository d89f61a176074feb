"""Pages and pictures made from records."""

from ndmapper.report.history import history

__all__ = ["history"]
