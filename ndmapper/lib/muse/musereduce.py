"""Scripts that were written for MUSEreduce: the class of that name, on our steps."""

import os
from pathlib import Path
from typing import Any

from ndmapper.config import config
from ndmapper.lib.muse.musereduce_config import read_musereduce
from ndmapper.lib.muse.reduction import reduce_muse

__all__ = ["musereduce"]


class musereduce:  # noqa: N801  # the published name
    """
    A reduction as a configuration of MUSEreduce says.

    Parameters
    ----------
    configfile : str or path
        The configuration, ``config.json``.
    debug : bool
        Show what would be run, and write lists and sets of frames, but run nothing.
        Unlike with MUSEreduce, products of earlier steps need not be there.
    """

    def __init__(self, configfile: str | os.PathLike[str], debug: bool = False) -> None:
        self.configfile = Path(configfile)
        self.debug = debug
        self.config = read_musereduce(configfile)

    def execute(self) -> dict[str, Any]:
        """
        Run the steps whose ``execute`` is true.

        Products that are there already and would be the same are not made again.

        Returns
        -------
        dict of str to object
            As of `ndmapper.lib.muse.reduce_muse`.

        Raises
        ------
        StepError
            If observation blocks failed.
        """
        with config.using(dry_run=self.debug or bool(config["dry_run"])):
            return reduce_muse(self.config)
