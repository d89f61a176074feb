"""What a file of a working folder may not say unless its user trusts the folder."""

from typing import NoReturn, TypeVar

from ndmapper.errors import ConfigError

__all__ = ["Refused", "usable"]

_T = TypeVar("_T")


class Refused:
    """
    A value that is not used: a working folder's file names what would be run.

    Whatever needs it as a text or as a path gets a ConfigError.

    Parameters
    ----------
    value : object
        What the file says.
    why : str
        Why it is not used, and what allows it.
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
        Refuse the value.

        Raises
        ------
        ConfigError
            Always.
        """
        raise ConfigError(self.why)


def usable(value: _T) -> _T:
    """
    Give a value of the configuration that is about to be run.

    Parameters
    ----------
    value : object
        Of a key that names a program.

    Returns
    -------
    object
        The same.

    Raises
    ------
    ConfigError
        If it comes from a folder that the user does not trust.
    """
    if isinstance(value, Refused):
        value.refuse()
    return value
