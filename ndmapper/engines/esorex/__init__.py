"""
Engine for recipes of the ESO pipelines, run by esorex.

engine
    The engine.
recipes, parameters
    Installed recipes, their parameters and values.
sof
    Sets of frames.
products
    Products by category (PRO.CATG), checked against the inputs.
preview
    What would be run, as text and as a shell script.
"""

from ndmapper.engines.esorex.engine import EsorexEngine

__all__ = ["EsorexEngine"]
