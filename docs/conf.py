"""Configuration of the documentation: ``sphinx-build -W docs docs/_build/html``."""

import os
import sys
from pathlib import Path

import ndmapper

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

os.environ["COLUMNS"] = "88"  # of the help texts in the reference

project = "ndmapper"
author = "the ndmapper developers"
copyright = "2026, the ndmapper developers"
version = release = ndmapper.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "numpydoc",
    "public",  # in _ext: reference entries of whole modules, steps and verbs
    "house",  # in _ext: the picture of the package in develop/inside.md
    "slit_night",  # in _ext: the pictures of the tutorial
]
exclude_patterns = ["_build"]

# The build needs no network: references to other projects are not resolved.
default_role = "py:obj"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_inherit_docstrings = False
autodoc_typehints = "none"  # numpydoc shows the types that the docstrings give
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = f"ndmapper {release}"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False
