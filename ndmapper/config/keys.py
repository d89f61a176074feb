"""The declared configuration keys, with defaults, checks and descriptions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ndmapper.config import _checks

__all__ = ["KEYS", "Key"]


@dataclass(frozen=True, kw_only=True)
class Key:
    """
    One declared key.

    Parameters
    ----------
    name : str
        The key.
    default : object
        The default value.
    check : callable
        Takes a value and returns it in its final form, or raises a ValueError that says
        what was expected.
    doc : str
        Description in one sentence.
    is_run : bool
        Whether the value names a program that is run, or a host that is trusted like
        code. The file of a working folder may set it only if the user trusts that
        folder.
    """

    name: str
    default: Any
    check: Callable[[Any], Any]
    doc: str
    is_run: bool = False


KEYS: Mapping[str, Key] = {
    key.name: key
    for key in (
        Key(name="filename_regex", default=None, check=_checks.text_or_none,
            doc="Regular expression of a base file name; None takes the union of the "
                "instruments' own."),
        Key(name="labels", default=None, check=_checks.labels,
            doc="Names of the data, uncertainty and flags extensions: None recognises "
                "them, a preset's name, or a mapping."),
        Key(name="instrument", default=None, check=_checks.text_or_none,
            doc="The instrument that all frames are of: its name or the path of its "
                "TOML; None lets the header of each frame tell."),
        Key(name="logfile", default="ndmapper.log", check=_checks.text_or_none,
            doc="Log file; the default lies in outdir, None writes none."),
        Key(name="outdir", default=".", check=_checks.text,
            doc="Folder of products, log and side data (.ndmapper/)."),
        Key(name="reprocess", default=None, check=_checks.reprocess,
            doc="Where an output exists: None is an error, False re-uses it, "
                "True makes it again, 'auto' only if it differs from what would be "
                "made now."),
        Key(name="code", default="make", check=_checks.choice("make", "report"),
            doc="Where the code of a step that stands in a script has changed, "
                "reprocess 'auto' makes its products again ('make') or only says so "
                "('report')."),
        Key(name="interact", default=False, check=_checks.boolean,
            doc="Let steps that can ask the user do so."),
        Key(name="use_uncert", default=True, check=_checks.boolean,
            doc="Propagate uncertainty."),
        Key(name="use_flags", default=True, check=_checks.boolean,
            doc="Propagate flags."),
        Key(name="bad_flags", default=0xFFFFFFFF, check=_checks.flags,
            doc="Bits of the flags that make a pixel masked: an integer, or names "
                "('BAD|SATURATED', '-OVERLAP' for all but one)."),
        Key(name="workers", default=1, check=_checks.workers,
            doc="How many units of work are done at once: a number, or 'all'."),
        Key(name="cluster", default=None, check=_checks.cluster, is_run=True,
            doc="A dask scheduler whose workers do the work: its address, such as "
                "tcp://host:8786, or a distributed.Client."),
        Key(name="cluster_wait", default=600.0, check=_checks.seconds,
            doc="Seconds that work waits for a cluster that has no workers, before it "
                "is an error."),
        Key(name="on_error", default="stop", check=_checks.choice("stop", "continue"),
            doc="What a step does with its other files when one fails."),
        Key(name="dry_run", default=False, check=_checks.boolean,
            doc="Plan only: say what would be done, and do nothing."),
        Key(name="timeout", default=None, check=_checks.seconds_or_none,
            doc="The most time that an external tool may take for one unit of work, "
                "in seconds."),
        Key(name="engine", default=None, check=_checks.text_or_none,
            doc="The engine that steps take which have several: its name, or the start "
                "of the name of a task ('iraf', 'gemini')."),
        Key(name="iraf_python", default=None, check=_checks.text_or_none,
            is_run=True,
            doc="The Python that runs IRAF tasks and has PyRAF; None is this one."),
        Key(name="iraf_setup", default=None, check=_checks.text_or_none,
            is_run=True,
            doc="A file of CL lines that are added to login.cl: external packages."),
        Key(name="esorex", default="esorex", check=_checks.text, is_run=True,
            doc="The esorex program: a name or a path."),
        Key(name="esorex_plugins", default=None, check=_checks.text_or_none,
            is_run=True,
            doc="Folders of pipelines for esorex, with ':' between them; None finds "
                "them."),
        Key(name="esorex_prefix", default=None, check=_checks.text_or_none,
            is_run=True,
            doc="A command that recipes are started by, such as 'taskset -c 0-3' or "
                "'nocache'; None is none."),
        Key(name="record", default="file", check=_checks.choice("file", "side", "both"),
            doc="Where the record of a product goes: into the file, into "
                "outdir/.ndmapper/records/, or both."),
        Key(name="checksums", default="warn",
            check=_checks.choice("warn", "error", "ignore"),
            doc="What becomes of an input whose data do not have the DATASUM of its "
                "header, as other programs leave behind: 'warn', 'error' or 'ignore'. "
                "A product that fails is always an error."),
        Key(name="provenance_tables", default=False, check=_checks.boolean,
            doc="Also write the tables PROVENANCE and HISTORY that DRAGONS keeps, "
                "before the record."),
        Key(name="archive_urls", default={}, check=_checks.urls,
            doc="Where archives are, if elsewhere than usual: a mapping such as "
                "{'gemini': 'https://...'}."),
        Key(name="archive_timeout", default=60.0, check=_checks.seconds,
            doc="Seconds that an archive may be silent before it is asked again."),
        Key(name="archive_transfers", default=4, check=_checks.at_least_one,
            doc="How many requests may go to one archive at a time."),
        Key(name="archive_record", default=None, check=_checks.text_or_none,
            doc="Folder in which all answers of archives are kept."),
        Key(name="archive_replay", default=None, check=_checks.text_or_none,
            doc="Folder of kept answers, from which archives are played; the network "
                "is not used."),
        Key(name="trusted_folders", default=(), check=_checks.folders,
            doc="Folders whose ndmapper.toml may name programs, and archives that get "
                "credentials; said in the user's own file alone."),
        Key(name="offline", default=False, check=_checks.boolean,
            doc="Never use the network; what needs an archive is an error."),
    )
}  # fmt: skip
"""The declared keys, by name."""
