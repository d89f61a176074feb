"""
Every error that ndmapper raises on purpose.

All of them are a `NdmapperError`, and each is also the built-in exception that a
reader would think of first, so ``except FileNotFoundError`` works as expected::

    NdmapperError
    |-- MissingFileError            FileNotFoundError
    |-- OutputExistsError           FileExistsError
    |   `-- PartialOutputError
    |-- FileAccessError             PermissionError
    |-- FormatError                 OSError         not FITS, or damaged
    |   `-- TruncatedFileError                      shorter than its headers say
    |-- FileChangedError            OSError         replaced on disk since it was mapped
    |-- CardError                   ValueError      a header card that cannot be read
    |-- ModeError                   ValueError      against the mode of a file
    |-- ShapeError                  ValueError      arrays or lists that do not match
    |-- UnitError                   ValueError
    |-- IdentError                  LookupError     no, or more than one, such extension
    |   `-- MissingTableError       KeyError        no such table
    |-- ConfigError                 ValueError      a wrong value of a known key
    |   `-- UnknownKeyError         KeyError        no such key
    |-- DeclarationError            TypeError       a step is declared wrongly
    |-- ParameterError              ValueError      a wrong value given to a step
    |   `-- UnknownParameterError   TypeError       no such parameter
    |-- PlanError                   ValueError      outputs that cannot be made as asked
    |-- StepError                   RuntimeError    a step's function or tool failed
    |   `-- TimeLimitError                          a tool took too long
    |-- MissingToolError            FileNotFoundError  a program is not installed
    |-- NotMadeError                LookupError     pixels of what is only planned
    |-- MissingCalibrationError     LookupError
    |-- CalibrationDocumentError    ValueError      calibrations.json is malformed
    |-- InstrumentError             ValueError      unknown, or wrongly described
    |-- ServiceError                OSError         an archive or a look-up failed
    |   |-- ServiceAccessError      PermissionError it refuses this, or any, login
    |   `-- ServiceUnreachableError ConnectionError no network, or no answer
    |-- RecordError                 ValueError      a record that cannot be read
    |-- WorkerError                 RuntimeError    a worker process died
    `-- MissingPackageError         ImportError     an extra is not installed

Messages say what was wrong with which file, what was expected and found, and what
to do. They never start with "Error:".
"""

import difflib
from collections.abc import Iterable

from ndmapper.terminal import printable

__all__ = [
    "CalibrationDocumentError",
    "CardError",
    "ConfigError",
    "DeclarationError",
    "FileAccessError",
    "FileChangedError",
    "FormatError",
    "IdentError",
    "InstrumentError",
    "MissingCalibrationError",
    "MissingFileError",
    "MissingPackageError",
    "MissingTableError",
    "MissingToolError",
    "ModeError",
    "NdmapperError",
    "NotMadeError",
    "OutputExistsError",
    "ParameterError",
    "PartialOutputError",
    "PlanError",
    "RecordError",
    "ServiceAccessError",
    "ServiceError",
    "ServiceUnreachableError",
    "ShapeError",
    "StepError",
    "TimeLimitError",
    "TruncatedFileError",
    "UnitError",
    "UnknownKeyError",
    "UnknownParameterError",
    "WorkerError",
    "did_you_mean",
]


class NdmapperError(Exception):
    """Base of all errors that ndmapper raises on purpose."""

    # KeyError shows the repr of its argument and OSError fills in an errno; a
    # message written for a person is shown as it was written.
    def __str__(self) -> str:
        return printable(self.args[0]) if self.args else ""


class MissingFileError(NdmapperError, FileNotFoundError):
    """A file that must be there is not."""


class OutputExistsError(NdmapperError, FileExistsError):
    """A file that would be written exists already, and replacing it was not asked."""


class PartialOutputError(OutputExistsError):
    """Some of the outputs that are made together exist, and others do not."""


class FileAccessError(NdmapperError, PermissionError):
    """The operating system refuses to read or write a file or folder."""


class FormatError(NdmapperError, OSError):
    """A file is not what its name or its caller says that it is."""


class TruncatedFileError(FormatError):
    """A file is shorter than its own headers say."""


class CardError(NdmapperError, ValueError):
    """The value of a header card cannot be parsed."""


class FileChangedError(NdmapperError, OSError):
    """A file was replaced on disk after it was mapped."""


class ModeError(NdmapperError, ValueError):
    """An operation goes against the mode that a file was opened with."""


class ShapeError(NdmapperError, ValueError):
    """Arrays, or lists of them, do not match."""


class UnitError(NdmapperError, ValueError):
    """Units cannot be combined or understood."""


class ChecksumError(FormatError):
    """The data of a file have not the sum that their header states."""


class IdentError(NdmapperError, LookupError):
    """There is no extension, or more than one, with an ident."""


class MissingTableError(IdentError, KeyError):
    """There is no table of a name."""


class ConfigError(NdmapperError, ValueError):
    """A configuration value is wrong."""


class UnknownKeyError(ConfigError, KeyError):
    """There is no such configuration key."""


class DeclarationError(NdmapperError, TypeError):
    """A step is declared in a way that cannot work."""


class ParameterError(NdmapperError, ValueError):
    """A step was given a wrong value."""


class UnknownParameterError(ParameterError, TypeError):
    """A step was given a parameter that it does not have."""


class PlanError(NdmapperError, ValueError):
    """The outputs of a call cannot be made as asked."""


class StepError(NdmapperError, RuntimeError):
    """The function or tool of a step failed, or gave what cannot be saved."""

    log: str = ""
    """All that the tool printed."""


class TimeLimitError(StepError):
    """A tool took longer than it may."""


class MissingToolError(NdmapperError, FileNotFoundError):
    """A program that a step needs is not installed."""


class NotMadeError(NdmapperError, LookupError):
    """The pixels of a product are asked for that is only planned."""


class MissingCalibrationError(NdmapperError, LookupError):
    """A step needs a calibration that an input does not have."""


class CalibrationDocumentError(NdmapperError, ValueError):
    """A calibration document (calibrations.json) is malformed."""


class InstrumentError(NdmapperError, ValueError):
    """An instrument is unknown, or its description is wrong."""


class ServiceError(NdmapperError, OSError):
    """An archive, or a look-up in one, failed."""


class ServiceAccessError(ServiceError, PermissionError):
    """An archive refuses what was asked without a login, or with this one."""


class ServiceUnreachableError(ServiceError, ConnectionError):
    """An archive cannot be reached, or does not answer."""


class RecordError(NdmapperError, ValueError):
    """The record in a product cannot be read."""


class WorkerError(NdmapperError, RuntimeError):
    """A worker process died, or its error cannot be brought here."""


class MissingPackageError(NdmapperError, ImportError):
    """A package that an optional part of ndmapper needs is not installed."""


_LISTED = 60
"""No more names than this are listed in a message."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Suggest the nearest of the known names, as the end of an error message.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        What they could have written.

    Returns
    -------
    str
        ``"; did you mean 'x'?"`` when one name is near, else the list of all of them.
    """
    names = sorted(str(n) for n in known)
    alike = {n.casefold(): n for n in names}
    near = difflib.get_close_matches(str(name), names, n=1)
    if str(name).casefold() in alike or not near:
        near = difflib.get_close_matches(str(name).casefold(), alike, n=1)
        near = [alike[n] for n in near]
    if near:
        return f"; did you mean {near[0]!r}?"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"; there are: {', '.join(names[:_LISTED])}{more}" if names else ""
