"""What speaks against a calibration that a person gives: said, and done anyway."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.calibrations.folders import find_frame
from ndmapper.calibrations.frames import PROCESSED_WHY, read_frame
from ndmapper.calibrations.names import file_name, frame_name
from ndmapper.calibrations.products import find_product, product_folders
from ndmapper.calibrations.provenance import bad_frames
from ndmapper.calibrations.schema import ASSOCIATIONS, CALIBRATIONS
from ndmapper.errors import MissingFileError, ParameterError

__all__ = ["doubts_of_frames", "doubts_of_product"]


def doubts_of_frames(
    key: str, cal_type: str, frames: Sequence[str], cal_dict: Mapping[str, Any]
) -> list[str]:
    """
    Say what speaks against a set of raw frames.

    Parameters
    ----------
    key : str
        The frame that is to be calibrated.
    cal_type : str
        Type of calibration.
    frames : sequence of str
        Names or paths of the raw frames.
    cal_dict : dict
        The calibration document.

    Returns
    -------
    list of str
        Sentences, for warnings.

    Raises
    ------
    ParameterError
        If one of the files cannot be read as FITS.
    """
    bad = bad_frames(cal_dict)
    found = []
    for file in frames:
        name = file_name(file)
        if (said := bad.get(frame_name(name))) is not None:
            found.append(
                f"{name} is marked bad ({said}) and left out of the {cal_type}"
            )
        if frame_name(name) == frame_name(key):
            found.append(f"{key} is itself part of the {cal_type} that it gets")
        path = find_frame(file, cal_dict)
        if path is not None:
            found += _doubts_of_file(path, cal_type)
    return found


def _doubts_of_file(path: Path, cal_type: str) -> Iterator[str]:
    try:
        frame = read_frame(path)
    except MissingFileError:
        return
    if not frame.readable:
        msg = f"{path} can be no frame of a calibration: it {frame.why}"
        raise ParameterError(msg)
    if frame.is_processed or PROCESSED_WHY in frame.why:
        yield f"{frame.name} is no raw frame: {frame.why}"
    elif frame.instrument is not None and frame.frame_class is not None:
        rules = [r for r in frame.instrument.rules if r.type == cal_type]
        classes = list(dict.fromkeys(name for rule in rules for name in rule.select))
        if classes and frame.frame_class not in classes:
            wanted = " or ".join(classes)
            yield f"{frame.name} is of class {frame.frame_class}, not {wanted}"


def doubts_of_product(
    key: str, cal_type: str, product: str, cal_dict: Mapping[str, Any]
) -> list[str]:
    """
    Say what speaks against a calibration that is made, or will be.

    Parameters
    ----------
    key : str
        The frame that is to be calibrated.
    cal_type : str
        Type of calibration.
    product : str
        Its name.
    cal_dict : dict
        The calibration document.

    Returns
    -------
    list of str
        Sentences, for warnings.

    Raises
    ------
    ParameterError
        If it has the name of a raw frame of the document.
    """
    sets = cal_dict[CALIBRATIONS]
    raw = {frame_name(name) for files in sets.values() for name in files}
    raw |= {frame_name(name) for name in (key, *cal_dict[ASSOCIATIONS])}
    if frame_name(product) in raw - {frame_name(label) for label in sets}:
        msg = (
            f"{product} is a raw frame of the document, and no product; name it "
            "without --product for a calibration that is made of it"
        )
        raise ParameterError(msg)
    found = []
    others = {
        kind
        for types in cal_dict[ASSOCIATIONS].values()
        for kind, label in types.items()
        if label == product
    }
    if others and cal_type not in others:
        found.append(f"{product} is the {', '.join(sorted(others))} of other frames")
    if product not in sets and find_product(product, cal_dict) is None:
        places = " or ".join(map(str, product_folders(cal_dict)))
        found.append(f"there is no {product} in {places} yet; put it there")
    return found
