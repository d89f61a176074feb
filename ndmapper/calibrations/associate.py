"""Associate processed calibrations with the files that they calibrate."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.calibrations.folders import find_frame
from ndmapper.calibrations.further import FurtherProduct, instrument_of
from ndmapper.calibrations.given import Calibration, GivenCals
from ndmapper.calibrations.labels import is_raw_label
from ndmapper.calibrations.names import (
    file_name,
    frame_name,
    known_key,
    original_name,
)
from ndmapper.calibrations.patterns import open_product
from ndmapper.calibrations.products import product_folders
from ndmapper.calibrations.provenance import answer_of, good_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.calibrations.sets import find_in_any_form
from ndmapper.data import DataFile, DataFileList, FileSet
from ndmapper.data.name_pattern import Key
from ndmapper.documents import is_file
from ndmapper.errors import MissingCalibrationError, ParameterError
from ndmapper.instruments import Instrument

__all__ = ["associate_cals"]


def associate_cals(
    cals: Any,
    inputs: Any,
    cal_type: str | Sequence[str] | None = None,
    from_type: str | None = None,
    cal_dict: Mapping[str, Any] | None = None,
) -> Any:
    """
    Assign a calibration to every input, in ``cals`` of the DataFile.

    Parameters
    ----------
    cals : DataFile, FileSet, names, or a list or mapping of these or of results
        The calibrations that were made. A mapping has labels as keys; results of
        steps may be put into a list, or under a label, as they are. Those that lie on
        disk need not be among them.
    inputs : DataFileList, DataFile, FileSet, or names
        The files to be calibrated. The calibrations of a set that the document does
        not list are those of its files.
    cal_type : str or sequence of str, optional
        The name under which steps find the calibration, or several. By default all
        types that the document associates with one of `cals`, with a file that has no
        raw frames to be made of, or with a raw frame that is used as it is.
    from_type : str, optional
        The type in the document, if it differs, such as ``"flat"`` for a ``"trace"``;
        not needed where the table of the instrument says so (``[products]``).
        ``"self"`` takes the calibration that was made from the input itself.
    cal_dict : dict, optional
        The calibration document. Without it there must be exactly one calibration,
        which is used for all inputs.

    Returns
    -------
    DataFileList, DataFile or FileSet
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
    if isinstance(cals, Mapping) and "associations" in cals:
        msg = (
            "the calibration document was given in the place of the calibrations that "
            "were made; pass these, or [] where none was, and cal_dict=<the document>"
        )
        raise ParameterError(msg)
    given = GivenCals(cals)
    if not isinstance(inputs, DataFile | DataFileList | FileSet):
        inputs = DataFileList(inputs)
    files: Any = [inputs] if isinstance(inputs, DataFile | FileSet) else inputs
    several = cal_type is not None and not isinstance(cal_type, str)
    if several and (from_type is not None or cal_dict is None):
        msg = "several types are looked up in cal_dict=, and have no from_type"
        raise ParameterError(msg)
    if from_type == "self":
        _associate_self(given, files, _one_type(cal_type))
    elif cal_dict is None:
        _associate_only(given, files, _one_type(cal_type) or from_type)
    else:
        association = _Association(given, cal_dict)
        types = [_one_type(cal_type)] if not several else list(cal_type or ())
        for file in files:
            if types == [None] and from_type is None:
                file.cals.update(association.all_of(file))
                continue
            for name in types:
                cal = association.find(file, name or str(from_type), from_type)
                if cal is not None:
                    file.cals[name or str(from_type)] = cal
    return inputs


def _one_type(cal_type: str | Sequence[str] | None) -> str | None:
    return cal_type if cal_type is None or isinstance(cal_type, str) else None


def _names(file: Calibration) -> Iterator[str]:
    """
    Yield the names under which the document may list a file, the likeliest first.

    The record is read only if the name is not listed: a reopened product may have lost
    which part of its name is a prefix, but its record names its raw input.
    """
    if file.filename is None:
        return
    yield original_name(file)
    yield file_name(file)
    if isinstance(file, FileSet) and not file.is_made:
        return  # planned, by a step that names its products by what it finds
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
            if source.get("set"):  # the pattern of the set that the file is of
                yield str(source["set"])
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


def _associate_self(
    given: GivenCals, files: Iterable[Any], cal_type: str | None
) -> None:
    if cal_type is None:
        msg = "from_type='self' needs a cal_type, the name for later steps"
        raise ParameterError(msg)
    made_from: dict[str, tuple[int, Calibration]] = {}
    for cal in given:
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
                f"from_type='self' asks for; there are: {given}"
            )
            raise MissingCalibrationError(msg)
        file.cals[cal_type] = found[1]


def _associate_only(
    given: GivenCals, files: Iterable[Any], cal_type: str | None
) -> None:
    if cal_type is None or len(given) != 1:
        msg = (
            "without cal_dict, one calibration and its cal_type are needed, but there "
            f"are {len(given)} and cal_type is {cal_type!r}; give cal_dict=, the "
            "document that says which is for which"
        )
        raise ParameterError(msg)
    for file in files:
        file.cals[cal_type] = next(iter(given))


class _Association:
    """Calibrations of files by a document: those that are given, or lie there."""

    def __init__(self, given: GivenCals, cal_dict: Mapping[str, Any]) -> None:
        self.given = given
        self.cal_dict = cal_dict
        # A calibration is opened once for all files.
        self._found: dict[tuple[str, str, str], Calibration | None] = {}

    def find(
        self, file: Calibration, cal_type: str, from_type: str | None
    ) -> Calibration | None:
        """Find the calibration of a file; None if the document names none."""
        key, types = self._types(file)
        if key is None and isinstance(file, FileSet):
            each = {k: self.find(df, cal_type, from_type) for k, df in file.items()}
            return _joined(file, cal_type, each)
        label = types.get(cal_type)
        instrument = None
        if from_type in (None, cal_type):
            is_found = key is not None and answer_of(key, cal_type, self.cal_dict)
            if label is not None or (cal_type in types and not is_found):
                return self._labelled(file, cal_type, label)
            instrument = self._instrument(file, types)
            from_type = None if instrument is None else instrument.source_of(cal_type)
        main = types.get(str(from_type))
        if main is None or from_type is None:
            return None
        instrument = instrument or self._instrument(file, types)
        if instrument is None or cal_type not in instrument.products.get(from_type, {}):
            return self._labelled(file, from_type, main)
        if label is not None:
            return self._labelled(file, cal_type, label)
        product = FurtherProduct(
            label=main, from_type=from_type, cal_type=cal_type, instrument=instrument
        )
        return self._further(file, product)

    def all_of(self, file: Calibration) -> dict[str, Calibration]:
        """Find all calibrations of a file that are given, or ready to be used."""
        key, types = self._types(file)
        found: dict[str, Calibration] = {}
        if key is None and isinstance(file, FileSet):
            each = {k: self.all_of(df) for k, df in file.items()}
            for cal_type in dict.fromkeys(t for cals in each.values() for t in cals):
                cals = {k: cals.get(cal_type) for k, cals in each.items()}
                if (cal := _joined(file, cal_type, cals)) is not None:
                    found[cal_type] = cal
            return found
        for cal_type, label in types.items():
            if label is None:
                continue
            cal = self.given.find(label)
            if cal is None and self._is_ready(label):
                cal = self._labelled(file, cal_type, label)
            if cal is not None:
                found[cal_type] = cal
        instrument = self._instrument(file, types)
        for product in _further_ones(types, instrument):
            if product.from_type in found or self.given.under(product.label):
                cal = self._found_further(product)
                if cal is not None:
                    found[product.cal_type] = cal
        return found

    def _is_ready(self, label: str) -> bool:
        """Whether nothing has to be made of raw frames first."""
        raws = self.cal_dict.get(CALIBRATIONS, {}).get(label)
        return not raws or is_raw_label(label, self.cal_dict)

    def _types(self, file: Calibration) -> tuple[str | None, Mapping[str, str | None]]:
        """Return the name under which a file is listed, and its calibrations."""
        associations = self.cal_dict[ASSOCIATIONS]
        keys = (known_key(associations, name) for name in _names(file))
        key = next((key for key in keys if key in associations), None)
        return key, {} if key is None else associations[key]

    def _instrument(
        self, file: Calibration, types: Mapping[str, str | None]
    ) -> Instrument | None:
        # The header of a file with no calibrations is not looked at.
        return instrument_of(file) if any(types.values()) else None

    def _labelled(
        self, file: Calibration, cal_type: str, label: str | None
    ) -> Calibration | None:
        if label is None:
            return None
        place = (label, "", "")
        if self._found.get(place) is None:
            self._found[place] = self._by_label(file, cal_type, label)
        cal = self._found[place]
        if cal is None:
            raise self._missing(file, cal_type, label)
        return cal

    def _by_label(
        self, file: Calibration, cal_type: str, label: str
    ) -> Calibration | None:
        cal = self.given.find(label)
        if cal is not None:
            return cal
        if not is_raw_label(label, self.cal_dict):
            path = find_in_any_form(label, self.cal_dict)
            if path is not None:
                return open_product(path)
        raws = good_frames(self.cal_dict.get(CALIBRATIONS, {}).get(label, ()),
                           self.cal_dict)  # fmt: skip
        if len(raws) == 1 and self._is_used_raw(file, cal_type, label):
            beside = Path(str(file)).parent / raws[0]
            raw = beside if is_file(beside) else find_frame(raws[0], self.cal_dict)
            return None if raw is None else DataFile(raw)
        return None

    def _is_used_raw(self, file: Calibration, cal_type: str, label: str) -> bool:
        if is_raw_label(label, self.cal_dict):
            return True
        # Earlier versions gave such a frame a label of its own.
        instrument = instrument_of(file)
        rule = None if instrument is None else instrument.rule(cal_type)
        return rule is not None and rule.raw

    def _found_further(self, product: FurtherProduct) -> Calibration | None:
        place = (product.label, product.from_type, product.cal_type)
        if self._found.get(place) is None:
            self._found[place] = product.find(self.given, self.cal_dict)
        return self._found[place]

    def _further(self, file: Calibration, product: FurtherProduct) -> Calibration:
        cal = self._found_further(product)
        if cal is None:
            what = (
                f"but no {product.cal_type} of it: {product.name} is not among the "
                f"calibrations given ({self.given})"
            )
            raise self._missing(file, product.from_type, product.label, what)
        return cal

    def _missing(
        self, file: Calibration, cal_type: str, label: str, what: str | None = None
    ) -> MissingCalibrationError:
        places = " or ".join(str(folder) for folder in product_folders(self.cal_dict))
        if what is None:
            what = f"which is not among the calibrations given ({self.given})"
        advice = "make it first"
        if is_raw_label(label, self.cal_dict):
            advice = "it is a raw frame, so put it beside the others"
            if not good_frames([label], self.cal_dict):
                advice = "it is marked bad, so look the calibrations up again"
        msg = (
            f"{_shown(file)} has the {cal_type} {label}, {what} nor in {places}; "
            f"{advice}, or edit the calibration document"
        )
        return MissingCalibrationError(msg)


def _joined(
    file: FileSet, cal_type: str, found: Mapping[Key, Calibration | None]
) -> Calibration | None:
    """Join the calibrations of the members of a set that is not listed itself."""
    kinds = {id(cal): cal for cal in found.values()}
    if len(kinds) == 1:
        return next(iter(kinds.values()))
    lacking = [str(file[key]) for key, cal in found.items() if cal is None]
    if lacking or any(isinstance(cal, FileSet) for cal in kinds.values()):
        what = f"{', '.join(lacking)} have none" if lacking else "some are sets"
        msg = (
            f"the files of {file} have different {cal_type}s, and {what}; name one "
            f"for {file} in the calibration document"
        )
        raise MissingCalibrationError(msg)
    return FileSet(dict(found), by=file.by)


def _further_ones(
    types: Mapping[str, str | None], instrument: Instrument | None
) -> Iterator[FurtherProduct]:
    """Yield the further products of the calibrations of a file."""
    if instrument is None:
        return
    for from_type, label in types.items():
        for cal_type in instrument.products.get(from_type, {}):
            if label is not None and types.get(cal_type) is None:
                yield FurtherProduct(
                    label=label,
                    from_type=from_type,
                    cal_type=cal_type,
                    instrument=instrument,
                )


def _shown(file: Calibration) -> str:
    return str(file) if file.filename is not None else "the unnamed file"
