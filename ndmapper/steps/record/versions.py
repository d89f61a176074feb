"""Versions of the packages that code comes from."""

import platform
import sys
from functools import cache
from importlib import metadata

from ndmapper._version import __version__

__all__ = ["package_version"]


@cache
def package_version(package: str) -> str | None:
    """
    Find the version of a package.

    Parameters
    ----------
    package : str
        Name of a module without dots.

    Returns
    -------
    str or None
        Its version, for a part of Python that of Python; None for a script, or a
        module that has none.
    """
    if package == "ndmapper":
        return __version__
    if package in sys.stdlib_module_names or package == "builtins":
        return platform.python_version()
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        version = getattr(sys.modules.get(package), "__version__", None)
        return None if version is None else str(version)
