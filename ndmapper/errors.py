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
    |   |-- MissingTableError       KeyError        no such table
    |   `-- MissingMemberError      KeyError        no such file in a set
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
    "MissingMemberError",
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

    # KeyError shows the repr of its argument and OSError adds an errno; show the
    # message as written.
    def __str__(self) -> str:
        return printable(self.args[0]) if self.args else ""


class MissingFileError(NdmapperError, FileNotFoundError):
    """A file that must be there is not."""


class OutputExistsError(NdmapperError, FileExistsError):
    """A file to be written exists already, and may not be replaced."""


class PartialOutputError(OutputExistsError):
    """Only some of the outputs that are made together exist."""


class FileAccessError(NdmapperError, PermissionError):
    """The operating system refuses to read or write a file or folder."""


class FormatError(NdmapperError, OSError):
    """A file is not what its name or context says."""


class TruncatedFileError(FormatError):
    """A file is shorter than its headers say."""


class CardError(NdmapperError, ValueError):
    """The value of a header card cannot be parsed."""


class FileChangedError(NdmapperError, OSError):
    """A file was replaced on disk after it was mapped."""


class ModeError(NdmapperError, ValueError):
    """An operation is not allowed by the mode of a file."""


class ShapeError(NdmapperError, ValueError):
    """Arrays, or lists of them, have different shapes."""


class UnitError(NdmapperError, ValueError):
    """Units cannot be combined or understood."""


class ChecksumError(FormatError):
    """The data of a file do not match the checksum in its header."""


class IdentError(NdmapperError, LookupError):
    """There is no extension, or more than one, with an ident."""


class MissingTableError(IdentError, KeyError):
    """There is no table of a name."""


class MissingMemberError(IdentError, KeyError):
    """There is no member of a key in a set of files."""


class ConfigError(NdmapperError, ValueError):
    """A configuration value is wrong."""


class UnknownKeyError(ConfigError, KeyError):
    """There is no such configuration key."""


class DeclarationError(NdmapperError, TypeError):
    """A step is declared in an invalid way."""


class ParameterError(NdmapperError, ValueError):
    """A parameter has a wrong value."""


class UnknownParameterError(ParameterError, TypeError):
    """A step does not have such a parameter."""


class PlanError(NdmapperError, ValueError):
    """The outputs of a call cannot be made as requested."""


class StepError(NdmapperError, RuntimeError):
    """The function or tool of a step failed, or its result cannot be saved."""

    log: str = ""
    """Complete output of the tool."""


class TimeLimitError(StepError):
    """A tool exceeded its time limit."""


class MissingToolError(NdmapperError, FileNotFoundError):
    """A program that a step needs is not installed."""


class NotMadeError(NdmapperError, LookupError):
    """Pixels are requested of a product that is only planned."""


class MissingCalibrationError(NdmapperError, LookupError):
    """A step needs a calibration that an input does not have."""


class CalibrationDocumentError(NdmapperError, ValueError):
    """A calibration document (calibrations.json) is malformed."""


class InstrumentError(NdmapperError, ValueError):
    """An instrument is unknown, or its description is wrong."""


class ServiceError(NdmapperError, OSError):
    """An archive or look-up failed."""


class ServiceAccessError(ServiceError, PermissionError):
    """An archive refuses a request without login, or with this one."""


class ServiceUnreachableError(ServiceError, ConnectionError):
    """An archive cannot be reached, or does not respond."""


class RecordError(NdmapperError, ValueError):
    """The record in a product cannot be read."""


class WorkerError(NdmapperError, RuntimeError):
    """A worker process died, or its error cannot be transferred."""


class MissingPackageError(NdmapperError, ImportError):
    """A package for an optional part of ndmapper is not installed."""


_LISTED = 60
"""Maximum number of names listed in a message."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """
    Suggest the nearest of the known names, as the end of an error message.

    Parameters
    ----------
    name : str
        What the user wrote.
    known : iterable of str
        The valid names.

    Returns
    -------
    str
        ``"; did you mean 'x'?"`` if one name is similar, else a list of all names.
    """
    import difflib  # for those who made a mistake

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
