"""
The configuration: declared keys, and one mapping that says which value holds.

A value comes from the first of these places that gives one: the argument of a call,
the command line, the script (``config['key'] = value`` or `Config.using`), an
environment variable ``NDMAPPER_KEY``, ``ndmapper.toml`` in the working folder, the
user's own ``ndmapper.toml``, the default.
"""

from ndmapper.config.keys import KEYS, Key
from ndmapper.config.store import Config, Settings, config

__all__ = ["KEYS", "Config", "Key", "Settings", "config"]
