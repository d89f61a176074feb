"""Associate processed calibrations with the files that they calibrate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ndmapper.calibrations.entries import types_of_known
from ndmapper.calibrations.names import (
    file_name,
    frame_name,
    name_variants,
    original_name,
    product_name,
)
from ndmapper.calibrations.products import find_product, product_folders
from ndmapper.data import DataFile, DataFileList
from ndmapper.data.plainfile import open_file
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
    Assign a calibration to every input, in ``cals`` of the DataFile.

    Parameters
    ----------
    cals : DataFileList, DataFile, mapping of str to DataFile, or names
        The calibrations.
    inputs : DataFileList, DataFile, or names
        The files to be calibrated.
    cal_type : str, optional
        The name under which steps find the calibration. By default all types that the
        document associates with one of `cals`.
    from_type : str, optional
        The type in the document, if it differs, such as ``"flat"`` for a ``"trace"``.
        ``"self"`` takes the calibration that was made from the input itself.
    cal_dict : dict, optional
        The calibration document. Without it there must be exactly one calibration,
        which is used for all inputs.

    Returns
    -------
    DataFileList or DataFile
        The inputs. An input without a calibration of this type in the document is not
        changed.

    Raises
    ------
    MissingCalibrationError
        If a calibration in the document is neither in `cals`, nor in the folder of
        products, nor beside the document.
    ParameterError
        If the combination of arguments is invalid.
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
        return {
            product_name(file_name(name)): _opened(cal) for name, cal in cals.items()
        }
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
    return {product_name(file_name(cal)): cal for cal in cals}


def _opened(cal: Any) -> DataFile:
    return cal if isinstance(cal, DataFile) else open_file(cal)


def _names(file: DataFile) -> Iterator[str]:
    """
    Yield the names under which the document may list a file, the likeliest first.

    The record is read only if the name is not listed: a reopened product may have lost
    which part of its name is a prefix, but its record names its raw input.
    """
    if file.filename is None:
        return
    yield original_name(file)
    yield file_name(file)
    for name in _lineage(file.record):
        yield file_name(name)
        yield original_name(name)


def _lineage(record: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """
    Yield the names of all inputs of a product, back to raw frames.

    Calibrations that were applied are skipped: they are other frames, with calibrations
    of their own.
    """
    pending = [len(record) - 1] if record else []
    seen = set(pending)
    for number in pending:
        for source in record[number].get("inputs") or ():
            if not source.get("name"):
                continue
            yield str(source["name"])
            maker = _maker(source, record)
            if maker is not None and maker not in seen:
                seen.add(maker)
                pending.append(maker)


def _maker(
    source: Mapping[str, Any], record: Sequence[Mapping[str, Any]]
) -> int | None:
    """
    Return the index of the entry that made an input, by key or name; None for raw
    frames.
    """
    numbers = range(len(record))
    key = source.get("key")
    made = [n for n in numbers if key is not None and record[n].get("key") == key]
    # A product edited in memory is referred to by its content and has no key.
    named = [n for n in made or numbers if record[n].get("product") == source["name"]]
    return next(reversed(named or made), None)


def _given(by_name: Mapping[str, DataFile], label: str) -> DataFile | None:
    names = (file_name(name) for name in name_variants(product_name(label)))
    return next((by_name[name] for name in names if name in by_name), None)


def _find(
    by_name: Mapping[str, DataFile], label: str, cal_dict: Mapping[str, Any]
) -> DataFile | None:
    cal = _given(by_name, label)
    if cal is None:
        path = find_product(label, cal_dict)
        cal = None if path is None else open_file(path)
    return cal


def _associate_self(
    by_name: Mapping[str, DataFile], files: Iterable[DataFile], cal_type: str | None
) -> None:
    if cal_type is None:
        msg = "from_type='self' needs a cal_type, the name for later steps"
        raise ParameterError(msg)
    made_from: dict[str, tuple[int, DataFile]] = {}
    for cal in by_name.values():
        for steps, name in enumerate(_names(cal)):
            # If several calibrations share an ancestor, the most direct descendant is
            # taken.
            nearest = made_from.setdefault(frame_name(name), (steps, cal))
            if steps < nearest[0]:
                made_from[frame_name(name)] = steps, cal
    for file in files:
        names = [frame_name(name) for name in _names(file)]
        found = next((made_from[name] for name in names if name in made_from), None)
        if found is None:
            msg = (
                f"none of the calibrations given is {_shown(file)} itself, which "
                f"from_type='self' asks for; there are: {_list(by_name)}"
            )
            raise MissingCalibrationError(msg)
        file.cals[cal_type] = found[1]


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
        for cal_type, label in types_of_known(cal_dict, _names(file)).items():
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
        label = types_of_known(cal_dict, _names(file)).get(wanted)
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
    places = " or ".join(str(folder) for folder in product_folders(cal_dict))
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
