"""Versions of the packages that code comes from."""

import platform
import sys
from functools import cache
from importlib import metadata

from ndmapper._version import __version__

__all__ = ["package_version"]


@cache
def package_version(package: str) -> str | None:
    """Find the version of a package."""
    if package == "ndmapper":
        return __version__
    if package in sys.stdlib_module_names or package == "builtins":
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(package), "__version__", None)
        return None if version is None else str(version)
