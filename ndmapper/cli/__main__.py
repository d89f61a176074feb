"""Run the command as ``python -m ndmapper.cli``, where it is not on the path."""

import sys

# As in ndmapper/__main__.py: the working folder is no place of packages.
if not sys.flags.safe_path:
    del sys.path[0]

from ndmapper.cli.command import main

sys.exit(main())
