"""The engine of IRAF tasks."""

from ndmapper.engines.iraf.engine import IrafEngine

__all__ = ["IrafEngine"]
