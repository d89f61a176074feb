"""
One object that calibrates images, in the manner of SuperPhot's image calibration.

Make a `Calibrator`, set what is common to many images, and call it with the name of
each. Areas are counted from 0, and their ends are not included.

Examples
--------
>>> calibrate = Calibrator(
...     overscans=[dict(xmin=0, xmax=4096, ymin=0, ymax=20)],
...     gain=16.0,
...     image_area=dict(xmin=0, xmax=4096, ymin=20, ymax=4116),
... )
>>> calibrate.set_masters(dark='masters/dark3.fits')

Then ``calibrate(raw='raw1.fits', calibrated='calib1.fits')`` writes a calibrated image.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.errors import FormatError, IdentError, ParameterError, ShapeError
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.overscan_methods import (
    Method,
    OverscanMethods,
    area_section,
    as_method,
    level_of,
    scatter_of,
)
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.noise import pixel_variance
from ndmapper.steps import Range, Unit, run_task

__all__ = ["Calibrator", "OverscanMethods", "calibrate_image"]

_MASTERS = ("bias", "dark", "flat")


@run_task(
    each="file",
    outputs="calibrated",
    suffix="_calib",
    cals=["master_bias", "master_dark", "master_flat"],
)
def calibrate_image(
    raw: DataFile,
    master_bias: DataFile | None = None,
    master_dark: DataFile | None = None,
    master_flat: DataFile | None = None,
    *,
    overscans: Sequence[Mapping[str, int]] | None = None,
    overscan_method: Any = OverscanMethods.median,
    gain: Annotated[float, Range(ge=1e-4, le=1e12), Unit("electron/adu")] = 1.0,
    read_noise: Annotated[float | None, Range(ge=0, le=1e5), Unit("electron")] = None,
    saturation: float | None = None,
    image_area: Mapping[str, int] | None = None,
    output: Literal["sci+var+dq", "image+error"] = "sci+var+dq",
) -> DataFile:
    """
    Calibrate one image: overscan, trim, bias, variance, dark, flat.

    Parameters
    ----------
    raw : DataFile
        The raw image [adu].
    master_bias, master_dark, master_flat : DataFile, optional
        Of the shape of the image area. The dark is subtracted as it is; the flat is
        divided by as it is.
    overscans : list of mapping, optional
        Areas, each with xmin, xmax, ymin, ymax. Of several the mean level, weighted by
        their size, is subtracted.
    overscan_method : OverscanMethods, its name, or a function
        A function takes the image and one overscan area, and gives the corrected image.
        The uncertainty of what it subtracts is not known, and not counted.
    gain : float
        Gain [electron/adu].
    read_noise : float, optional
        Read noise [electron]; by default the scatter of the overscan pixels, or 0
        where there is none.
    saturation : float, optional
        Raw pixels from this level on are flagged SATURATED [adu].
    image_area : mapping, optional
        xmin, xmax, ymin, ymax of the pixels that are kept; all by default.
    output : {'sci+var+dq', 'image+error'}
        How the file is laid out: extensions SCI, VAR and DQ, or the image in the
        primary HDU and its standard deviation in ERROR (with flags, where there are
        any, in MASK).

    Returns
    -------
    DataFile
        The calibrated extensions [adu], with variance and flags.
    """
    masters = {"bias": master_bias, "dark": master_dark, "flat": master_flat}
    for name, master in masters.items():
        if master is not None:
            _refuse_unplaced(master, raw, name)
    method = as_method(overscan_method)
    results = []
    for ndd in raw:
        image = np.asarray(ndd.data, np.float64)
        if image.ndim != 2:
            msg = f"{raw}[{ndd.ident}] has {image.ndim} axes, and images have 2"
            raise ShapeError(msg)
        level, level_variance = level_of(image, overscans or (), method)
        section = (
            (slice(0, image.shape[0]), slice(0, image.shape[1]))
            if image_area is None
            else area_section(image_area, image.shape, "image area")
        )
        noise = read_noise
        if noise is None:
            noise = scatter_of(image, overscans or ()) * gain
        flags = None
        if saturation is not None:
            flags = flags_with(ndd, (image >= saturation, Flag.SATURATED))[section]
        part = ndd[section]
        new = part.replace(
            data=(image - level)[section].astype(np.float32),
            variance=np.broadcast_to(level_variance, image.shape)[section].astype("f4"),
            unit=ndd.unit or "adu",
            **({} if flags is None else {"flags": flags}),
        )
        new = _apply_masters(new, masters, gain, noise)
        _describe_masters(new.meta, masters)
        _describe_areas(new.meta, overscans or (), method, section)
        new.meta["CALBGAIN"] = (gain, "[electron/adu] gain used for the variance")
        results.append(new)
    return _laid_out(raw, results, output)


def _laid_out(raw: DataFile, results: list[NDLater], output: str) -> DataFile:
    """Put calibrated images into a file of the layout that is wanted."""
    product = DataFile(data=raw)
    del product[:]
    product.extend(results)
    if output == "image+error":
        is_single = len(results) == 1
        product.labels = {
            "data": "PRIMARY" if is_single else "IMAGE",
            "uncertainty": "ERROR",
            "flags": "MASK",
            "uncertainty_is": "std",
        }
        if is_single:
            product.renumber()
    return product


def _refuse_unplaced(master: DataFile, raw: DataFile, what: str) -> None:
    """Refuse a master with an image of unknown meaning, which may be its error."""
    advice = (
        "; an error is told by its EXTNAME (ERROR, VAR) or by IMAGETYP = 'error', and "
        "labels can name another one"
    )
    if master.unplaced:
        msg = (
            f"the master {what} {master} has images that are neither data nor known "
            f"to be errors or flags: {', '.join(master.unplaced)}{advice}"
        )
        raise FormatError(msg)
    if len(raw) == 1 < len(master) and not all(x.meta.get("EXTNAME") for x in master):
        msg = (
            f"the master {what} {master} has {len(master)} images without names, and "
            f"{raw} has one{advice}"
        )
        raise IdentError(msg)


@dataclass(kw_only=True)
class Calibrator:
    """
    Calibrates images, all in the same way until its attributes are changed.

    Parameters
    ----------
    overscans : list of dict, optional
        Areas of the overscan: ``dict(xmin=..., xmax=..., ymin=..., ymax=...)``.
    overscan_method : OverscanMethods, str or callable
        How they are used. A function of your own takes the image and one area, and
        returns the corrected image as floating-point numbers.
    master_bias, master_dark, master_flat : str, Path or DataFile, optional
        The masters; None is not applied.
    gain : float
        Gain [electron/adu].
    read_noise : float, optional
        Read noise [electron]; by default measured in the overscan.
    saturation : float, optional
        Level from which raw pixels are flagged SATURATED [adu].
    image_area : dict, optional
        The part of the frame that is image; it has the shape of the masters.
    output : {'sci+var+dq', 'image+error'}
        How calibrated images are laid out: SCI, VAR and DQ, or the image in the
        primary HDU and its standard deviation in ERROR. Both are read as masters.
    """

    overscans: Sequence[Mapping[str, int]] | None = None
    overscan_method: OverscanMethods | str | Method = OverscanMethods.median
    master_bias: Any = None
    master_dark: Any = None
    master_flat: Any = None
    gain: float = 1.0
    read_noise: float | None = None
    saturation: float | None = None
    image_area: Mapping[str, int] | None = None
    output: Literal["sci+var+dq", "image+error"] = "sci+var+dq"

    def set_masters(self, **masters: Any) -> None:
        """
        Set masters for the images to come.

        Parameters
        ----------
        **masters : str, Path, DataFile or None
            By the names bias, dark and flat; those that are not named stay.

        Raises
        ------
        ParameterError
            If there is no such master.
        """
        for name, master in masters.items():
            if name not in _MASTERS:
                msg = f"there is no master {name!r}; there are: {', '.join(_MASTERS)}"
                raise ParameterError(msg)
            setattr(self, f"master_{name}", master)

    def __call__(self, raw: Any, calibrated: Any, **changes: Any) -> DataFile:
        """
        Calibrate one image.

        Parameters
        ----------
        raw : str, Path or DataFile
            The raw image.
        calibrated : str or Path
            Name of the calibrated image.
        **changes : object
            Parameters of the calibrator for this image only, and words of the
            framework, such as ``reprocess``.

        Returns
        -------
        DataFile
            The calibrated image: data, variance and flags.
        """
        names = {field.name for field in fields(self)}
        own = {name: value for name, value in changes.items() if name in names}
        words = {name: value for name, value in changes.items() if name not in names}
        used = replace(self, **own)
        values = {name: getattr(used, name) for name in names}
        result: DataFile = calibrate_image(
            raw, calibrated=calibrated, **values, **words
        )
        return result


def _apply_masters(
    ndd: NDLater,
    masters: Mapping[str, DataFile | None],
    gain: float,
    read_noise: float,
) -> NDLater:
    if (bias := masters["bias"]) is not None:
        ndd = ndd - _of(bias, ndd, "bias")
    variance = pixel_variance(ndd.data, gain, read_noise)
    if ndd.variance is not None:
        variance += ndd.variance
    ndd = ndd.replace(variance=narrowed(variance, np.dtype("f4")))
    if (dark := masters["dark"]) is not None:
        ndd = ndd - _of(dark, ndd, "dark")
    if (flat := masters["flat"]) is not None:
        ndd = ndd / _of(flat, ndd, "flat")
    return ndd


def _of(master: DataFile, ndd: NDLater, what: str) -> NDLater:
    if ndd.ident in master.idents:
        found = master[master.idents.index(ndd.ident)]
    elif len(master) == 1:
        found = master[0]
    else:
        msg = f"the master {what} {master} has no extension {ndd.ident!r}"
        raise IdentError(msg)
    if found.shape != ndd.shape:
        msg = (
            f"the master {what} {master} has shape {found.shape}, but the image area "
            f"has {ndd.shape}; use a master of the same area"
        )
        raise ShapeError(msg)
    # A flat is a ratio, also where its header still has the unit of its counts.
    result: NDLater = found.replace(unit=None) if what == "flat" else found
    return result


# These keywords are those that AutoWISP, which SuperPhot has become, reads.


def _describe_masters(header: Any, masters: Mapping[str, DataFile | None]) -> None:
    for name, master in masters.items():
        if master is not None and master.filename is not None:
            path = Path(master.filename)
            sha = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
            header[f"M{name.upper()}FNM"] = (path.name, f"master {name}")
            header[f"M{name.upper()}SHA"] = (sha, f"SHA-1 of the master {name}")


def _describe_areas(
    header: Any,
    areas: Sequence[Mapping[str, int]],
    method: OverscanMethods | Method,
    section: tuple[slice, slice],
) -> None:
    for number, area in enumerate(areas):
        text = "{xmin} < x < {xmax}, {ymin} < y < {ymax}".format(**area)
        header[f"OVRSCN{number:02d}"] = (text, "overscan area")
    if areas and isinstance(method, OverscanMethods):
        header["OVSCNMTD"] = (method.value, "overscan method")
    elif areas:
        name = getattr(method, "__qualname__", type(method).__name__)
        header["OVSCNMTD"] = (name, "overscan method")
    y, x = section
    text = f"{x.start} < x < {x.stop}, {y.start} < y < {y.stop}"
    header["IMAGAREA"] = (text, "image area of the raw frame")
