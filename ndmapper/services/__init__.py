"""
Services: look up calibrations and get files, locally or from archives.

To add an archive, write one file with a class that has the methods of
`ndmapper.services.registry.Service`, and add a line to the registry; or offer it from
another package through the entry point group ``ndmapper.services``.

lookup, query
    The look-up of calibrations, written to the calibration document.
download, check
    Download raw files; check that they exist and are intact.
search, criteria
    Search archives for files.
registry, local, urls, eso/, gemini/
    The services: local folders, user-supplied URLs, archives.
transfer/
    HTTP requests, downloads, checksums, replay.
parsing, safename, credentials, redaction, threads
    Untrusted input, secrets, and threads that can be interrupted.
"""

from ndmapper.services.download import download_files
from ndmapper.services.lookup import look_up_cals
from ndmapper.services.search import find_files

__all__ = ["download_files", "find_files", "look_up_cals"]
