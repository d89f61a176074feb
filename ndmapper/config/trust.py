"""Values that the file of a working folder may not set unless the user trusts it."""

from typing import NoReturn, TypeVar

from ndmapper.errors import ConfigError

__all__ = ["Refused", "usable"]

_T = TypeVar("_T")


class Refused:
    """
    A value that is ignored, since an untrusted working folder would run a program.

    Using it as a string or path raises ConfigError.

    Parameters
    ----------
    value : object
        The value in the file.
    why : str
        Why it is refused, and how to allow it.
    """

    def __init__(self, value: object, why: str) -> None:
        self.value = value
        self.why = why

    def __repr__(self) -> str:
        return f"{self.value!r}, not used since this folder is not trusted"

    def __str__(self) -> str:
        raise ConfigError(self.why)

    def __fspath__(self) -> str:
        raise ConfigError(self.why)

    def refuse(self) -> NoReturn:
        """
        Raise the error.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(self.why)


def usable(value: _T) -> _T:
    """
    Return a configuration value that is about to be run; ConfigError if refused.

    Parameters
    ----------
    value : object
        Value of a key that names a program.

    Returns
    -------
    object
        The value.

    Raises
    ------
    ConfigError
        If it was set by a folder that the user does not trust.
    """
    if isinstance(value, Refused):
        value.refuse()
    return value
