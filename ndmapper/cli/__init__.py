"""The ``ndmapper`` command: one small file per verb. It only prints."""

from ndmapper.cli.command import main

__all__ = ["main"]
