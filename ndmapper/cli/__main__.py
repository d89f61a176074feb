"""Run the command as ``python -m ndmapper.cli``, where it is not on the path."""

import sys

from ndmapper.cli.command import main

sys.exit(main())
