"""Recipes of the ESO pipelines, run by esorex."""

from ndmapper.engines.esorex.engine import EsorexEngine

__all__ = ["EsorexEngine"]
