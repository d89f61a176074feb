"""The name and mode of a file: where it is saved, and whether it may be."""

import os
from typing import Any, Literal, cast

from ndmapper.data.filename import FileName
from ndmapper.errors import ModeError, OutputExistsError

__all__ = ["FileAccess", "Mode", "refuse_existing"]

Mode = Literal["read", "update", "new", "overwrite"]
"""What may be done with a file."""

_MODES = ("read", "update", "new", "overwrite")


class FileAccess:
    """
    The name of a file and its mode, and under which path it was opened.

    Parameters
    ----------
    filename : FileName or None
        The name; None for a file that was not named yet.
    mode : {'read', 'update', 'new', 'overwrite'} or None
        The mode; None for the usual one.
    has_data : bool
        Content is given, so that nothing need be read.
    """

    def __init__(
        self, filename: FileName | None, mode: Any = None, *, has_data: bool = False
    ) -> None:
        self.filename = filename
        self.mode = _checked_mode(mode, filename, has_data=has_data)
        self._note_path()

    def _note_path(self) -> None:
        self._opened_name = str(self.filename or "")
        self.opened_as = os.path.abspath(self._opened_name)  # noqa: PTH100
        """Absolute path under which the file was opened or saved last."""

    def set_mode(self, mode: Any) -> None:
        """Change the mode of a file with content."""
        self.mode = _checked_mode(mode, self.filename, has_data=True)

    @property
    def current_name(self) -> FileName | None:
        """The name, in full where the current folder has changed since it was given."""
        if not self.filename or self.mode in ("new", "overwrite"):
            return self.filename
        is_same = str(self.filename) == self._opened_name
        if is_same and self.filename != self.opened_as:
            return FileName(self.opened_as)
        return self.filename

    def save_target(self, filename: Any = None, *, overwrite: bool) -> FileName:
        """Return the name to save under; an error where the mode forbids it."""
        target = self.current_name if filename is None else FileName(filename)
        if not target:
            msg = "this DataFile has no name; call save('name.fits')"
            raise ModeError(msg)
        is_other = target != self.opened_as
        if not is_other and self.mode == "read" and not overwrite:
            msg = (
                f"{target} was opened in mode 'read'; open it with mode='update', or "
                "save it under another name"
            )
            raise ModeError(msg)
        if (is_other or self.mode == "new") and not overwrite:
            refuse_existing(target)
        return target

    def saved_as(self, target: FileName) -> None:
        """Take on the name under which the file was saved."""
        self.filename = target
        self._note_path()
        self.mode = "update"


def refuse_existing(name: FileName) -> None:
    """Raise OutputExistsError if there is a file of this name."""
    # A name that no file can have is none that exists; a save says what is wrong.
    if os.path.exists(name):  # noqa: PTH110
        msg = (
            f"{name} exists already; choose another name, or mode='overwrite' to "
            "replace it"
        )
        raise OutputExistsError(msg)


def _checked_mode(mode: Any, name: FileName | None, *, has_data: bool) -> Mode:
    if mode is None:
        return "new" if has_data or name is None else "read"
    if mode not in _MODES:
        msg = f"mode must be one of {', '.join(map(repr, _MODES))}, not {mode!r}"
        raise ModeError(msg)
    if name is None and mode in ("read", "update"):
        msg = f"mode {mode!r} needs the name of a file"
        raise ModeError(msg)
    return cast(Mode, mode)
