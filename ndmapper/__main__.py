"""``python -m ndmapper`` is the command."""

from ndmapper.cli import main

raise SystemExit(main())
