"""``python -m ndmapper`` is the command."""

import sys

# Python puts the working folder first, where a file beside the data would be taken for
# a package; the command never looks there.
if not sys.flags.safe_path:
    del sys.path[0]

from ndmapper.cli import main

raise SystemExit(main())
