"""Hand processed calibrations to the files that they are for."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ndmapper.calibrations.entries import association, types_of
from ndmapper.calibrations.names import (
    file_name,
    frame_name,
    name_variants,
    original_name,
)
from ndmapper.config import config
from ndmapper.data import DataFile, DataFileList
from ndmapper.errors import MissingCalibrationError, ParameterError

__all__ = ["associate_cals"]


def associate_cals(
    cals: Any,
    inputs: Any,
    cal_type: str | None = None,
    from_type: str | None = None,
    cal_dict: Mapping[str, Any] | None = None,
) -> Any:
    """
    Give every input its calibration, in ``cals`` of the DataFile.

    Parameters
    ----------
    cals : DataFileList, DataFile, mapping of str to DataFile, or names
        The calibrations that there are.
    inputs : DataFileList, DataFile, or names
        The files to be calibrated.
    cal_type : str, optional
        The name under which later steps look for the calibration. By default every
        type that the document associates with one of `cals`.
    from_type : str, optional
        The type in the document, if it has another name there, such as ``"flat"`` for
        a ``"trace"``. ``"self"`` takes the calibration that was made from the input
        itself.
    cal_dict : dict, optional
        The calibration document. Without it there must be exactly one calibration,
        which is for all inputs.

    Returns
    -------
    DataFileList or DataFile
        The inputs. An input for which the document has no calibration of this type
        is left as it is.

    Raises
    ------
    MissingCalibrationError
        If a calibration that the document names is neither in `cals`, nor in the
        folder of products, nor beside the document.
    ParameterError
        If arguments do not go together.
    """
    by_name = _by_name(cals)
    if not isinstance(inputs, DataFile | DataFileList):
        inputs = DataFileList(inputs)
    files = [inputs] if isinstance(inputs, DataFile) else inputs
    if from_type == "self":
        _associate_self(by_name, files, cal_type)
    elif cal_dict is None:
        _associate_only(by_name, files, cal_type or from_type)
    elif cal_type is None and from_type is None:
        _associate_all(by_name, files, cal_dict)
    else:
        _associate_type(by_name, files, cal_dict, cal_type, from_type)
    return inputs


def _by_name(cals: Any) -> dict[str, DataFile]:
    if isinstance(cals, Mapping):
        return {file_name(name): _opened(cal) for name, cal in cals.items()}
    if isinstance(cals, DataFile):
        cals = [cals]
    elif not isinstance(cals, DataFileList):
        cals = DataFileList(cals)
    unnamed = [repr(cal) for cal in cals if cal.filename is None]
    if unnamed:
        msg = (
            f"a calibration without a file name, {unnamed[0]}, cannot be told from "
            "others; save it first, or give a mapping of names to calibrations"
        )
        raise ParameterError(msg)
    return {file_name(cal): cal for cal in cals}


def _opened(cal: Any) -> DataFile:
    return cal if isinstance(cal, DataFile) else DataFile(cal)


def _names(file: DataFile) -> Iterator[str]:
    """
    Give the names under which the document may know a file, the likeliest first.

    A product that was opened afresh has lost which part of its name is a prefix,
    where no regular expression knows its base; but its record says what it was made
    of. That is read only if its own name does not do.
    """
    if file.filename is None:
        return
    yield original_name(file)
    yield file_name(file)
    products = {frame_name(str(entry.get("product"))) for entry in file.record}
    for entry in file.record:
        for source in entry.get("inputs") or ():
            name = str(source.get("name"))
            if frame_name(name) not in products:
                yield file_name(name)
                yield original_name(name)


def _given(by_name: Mapping[str, DataFile], label: str) -> DataFile | None:
    names = (file_name(name) for name in name_variants(label))
    return next((by_name[name] for name in names if name in by_name), None)


def _find(
    by_name: Mapping[str, DataFile], label: str, cal_dict: Mapping[str, Any]
) -> DataFile | None:
    cal = _given(by_name, label)
    if cal is None:
        paths = (folder / label for folder in _folders(cal_dict))
        path = next((path for path in paths if path.is_file()), None)
        cal = None if path is None else DataFile(path)
    return cal


def _folders(cal_dict: Mapping[str, Any]) -> list[Path]:
    folders = [Path(config["outdir"])]
    document = getattr(cal_dict, "path", None)
    if document is not None:
        folders.append(document.parent)
    return folders


def _associate_self(
    by_name: Mapping[str, DataFile], files: Iterable[DataFile], cal_type: str | None
) -> None:
    if cal_type is None:
        msg = "from_type='self' needs a cal_type, the name for later steps"
        raise ParameterError(msg)
    made_from = {
        frame_name(name): cal for cal in by_name.values() for name in _names(cal)
    }
    for file in files:
        names = [frame_name(name) for name in _names(file)]
        cal = next((made_from[name] for name in names if name in made_from), None)
        if cal is None:
            msg = (
                f"none of the calibrations given is {_shown(file)} itself, which "
                f"from_type='self' asks for; there are: {_list(by_name)}"
            )
            raise MissingCalibrationError(msg)
        file.cals[cal_type] = cal


def _associate_only(
    by_name: Mapping[str, DataFile], files: Iterable[DataFile], cal_type: str | None
) -> None:
    if cal_type is None or len(by_name) != 1:
        msg = (
            "without cal_dict, one calibration and its cal_type are needed, but there "
            f"are {len(by_name)} and cal_type is {cal_type!r}; give cal_dict=, the "
            "document that says which is for which"
        )
        raise ParameterError(msg)
    for file in files:
        file.cals[cal_type] = next(iter(by_name.values()))


def _associate_all(
    by_name: Mapping[str, DataFile],
    files: Iterable[DataFile],
    cal_dict: Mapping[str, Any],
) -> None:
    for file in files:
        # The likeliest name comes last, and wins.
        for name in reversed(list(_names(file))):
            for cal_type, label in types_of(cal_dict, name).items():
                cal = None if label is None else _given(by_name, label)
                if cal is not None:
                    file.cals[cal_type] = cal


def _associate_type(
    by_name: Mapping[str, DataFile],
    files: Iterable[DataFile],
    cal_dict: Mapping[str, Any],
    cal_type: str | None,
    from_type: str | None,
) -> None:
    wanted = str(from_type or cal_type)
    found: dict[str, DataFile | None] = {}
    for file in files:
        label = association(cal_dict, _names(file), wanted)
        if label is None:
            continue
        if label not in found:
            found[label] = _find(by_name, label, cal_dict)
        cal = found[label]
        if cal is None:
            raise _missing(label, wanted, file, by_name, cal_dict)
        file.cals[cal_type or wanted] = cal


def _missing(
    label: str,
    cal_type: str,
    file: DataFile,
    by_name: Mapping[str, DataFile],
    cal_dict: Mapping[str, Any],
) -> MissingCalibrationError:
    places = " or ".join(str(folder) for folder in _folders(cal_dict))
    msg = (
        f"{_shown(file)} has the {cal_type} {label}, which is not among the "
        f"calibrations given ({_list(by_name)}) nor in {places}; make it first, or "
        "edit the calibration document"
    )
    return MissingCalibrationError(msg)


def _shown(file: DataFile) -> str:
    return str(file) if file.filename is not None else "the unnamed file"


def _list(by_name: Mapping[str, DataFile]) -> str:
    return ", ".join(by_name) or "none"
