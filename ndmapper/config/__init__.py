"""
The configuration: declared keys, and one mapping with the values that hold.

A value comes from the first of these sources that gives one: the argument of a call,
the command line, the script (``config['key'] = value`` or `Config.using`), the
environment variable ``NDMAPPER_KEY``, ``ndmapper.toml`` in the working folder, the
user's own ``ndmapper.toml``, the default. A working folder cannot set which programs
run and where credentials are sent, unless the user trusts it (``trusted_folders``).

keys
    The declared keys, with defaults and checks.
store
    The mapping `config`.
trust
    What the file of a working folder may not set.
"""

from ndmapper.config.keys import KEYS, Key
from ndmapper.config.store import Config, Settings, config
from ndmapper.config.trust import Refused, usable

__all__ = ["KEYS", "Config", "Key", "Refused", "Settings", "config", "usable"]
