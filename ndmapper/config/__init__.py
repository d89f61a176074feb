"""
The configuration: declared keys, and one mapping that says which value holds.

A value comes from the first of these places that gives one: the argument of a call,
the command line, the script (``config['key'] = value`` or `Config.using`), an
environment variable ``NDMAPPER_KEY``, ``ndmapper.toml`` in the working folder, the
user's own ``ndmapper.toml``, the default. What is run, and where credentials go, is not
taken from a working folder unless the user trusts it (``trusted_folders``).
"""

from ndmapper.config.keys import KEYS, Key
from ndmapper.config.store import Config, Settings, config
from ndmapper.config.trust import Refused, usable

__all__ = ["KEYS", "Config", "Key", "Refused", "Settings", "config", "usable"]
