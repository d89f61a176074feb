"""
Services: look up calibrations and get files, on this machine or from archives.

To add an archive, write one file with a class that has the methods of
`ndmapper.services.registry.Service`, and one line in the registry there; or offer it
from another package as an entry point ``ndmapper.services``.
"""

from ndmapper.services.download import download_files
from ndmapper.services.lookup import look_up_cals
from ndmapper.services.search import find_files

__all__ = ["download_files", "find_files", "look_up_cals"]
