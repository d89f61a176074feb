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
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u
from astropy.time import Time

from ndmapper.data import DataFile, Flag, NDLater
from ndmapper.data.flags import FLAGS_DTYPE
from ndmapper.errors import FormatError, IdentError, ParameterError, ShapeError
from ndmapper.lib.flagging import flags_with, joined
from ndmapper.lib.overscan_methods import (
    Area,
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

_MASTERS = ("bias", "dark", "flat", "mask")
_GAINS = ("EGAIN", "GAIN")
"""Of a camera that has both, GAIN is a setting, and EGAIN the electrons per count."""


@run_task(
    each="file",
    outputs="calibrated",
    suffix="_calib",
    cals=["master_bias", "master_dark", "master_flat", "master_mask"],
    options={"revision": 2},
)
def calibrate_image(
    raw: DataFile,
    master_bias: DataFile | None = None,
    master_dark: DataFile | None = None,
    master_flat: DataFile | None = None,
    master_mask: DataFile | None = None,
    *,
    overscans: Sequence[Mapping[str, int]] | None = None,
    overscan_method: Any = OverscanMethods.median,
    gain: Annotated[float | None, Range(ge=1e-4, le=1e12), Unit("electron/adu")] = 1.0,
    read_noise: Annotated[float | None, Range(ge=0, le=1e5), Unit("electron")] = None,
    saturation: float | None = None,
    leak_directions: Sequence[Sequence[int]] = (),
    image_area: Mapping[str, int] | None = None,
    channels: Mapping[str, Sequence[int]] | None = None,
    output: Literal["sci+var+dq", "image+error"] = "sci+var+dq",
) -> DataFile:
    """
    Calibrate one image: overscan, trim, bias, variance, dark, flat.

    Parameters
    ----------
    raw : DataFile
        The raw image [adu].
    master_bias, master_dark, master_flat : DataFile, optional
        Of the shape of the image area (of a channel: of its pixels in it). The dark is
        subtracted as it is; the flat is divided by as it is.
    master_mask : DataFile, optional
        Flag bits of the same shape, as data (see `ndmapper.lib.cosmetics.init_bpm`) or
        as flags.
    overscans : list of mapping, optional
        Areas, each with xmin, xmax, ymin, ymax. Of several the mean level, weighted by
        their size, is subtracted.
    overscan_method : OverscanMethods, its name, or a callable
        A function takes the image and one overscan area, and gives the corrected image,
        alone or with the variance of what was subtracted (else that is not known, and
        not counted); or a mapping of the ``correction`` and its ``variance``. For an
        object see `Calibrator`.
    gain : float, optional
        Gain [electron/adu]; None takes EGAIN or GAIN of the header.
    read_noise : float, optional
        Read noise [electron]; by default the scatter of the overscan pixels, or 0
        where there is none.
    saturation : float, optional
        Raw pixels from this level on are flagged SATURATED [adu].
    leak_directions : list of (int, int)
        Steps in x and y from a saturated pixel to neighbours into which its charge
        leaks, which are flagged SATURATED as well; ``[(0, 1), (0, -1)]`` for columns.
    image_area : mapping, optional
        xmin, xmax, ymin, ymax of the pixels that are kept; all by default.
    channels : mapping, optional
        Pixels of each colour of a Bayer frame, by name: ``(x, y)`` of the first one
        where every second pixel is of the colour, or ``(x, x_step, y, y_step)``.
        Areas are those of the whole frame. Each channel becomes an extension of its
        name.
    output : {'sci+var+dq', 'image+error'}
        How the file is laid out: extensions SCI, VAR and DQ, or the image in the
        primary HDU and its standard deviation in ERROR (with flags, where there are
        any, in MASK).

    Returns
    -------
    DataFile
        The calibrated extensions [adu], with variance and flags. What is no finite
        number is flagged BAD; where the flat is zero, negative or no number the image
        is not divided, and is flagged BAD.
    """
    masters = {"bias": master_bias, "dark": master_dark, "flat": master_flat}
    for name, master in {**masters, "mask": master_mask}.items():
        if master is not None:
            _refuse_unplaced(master, raw, name)
    calibration = _Calibration(
        masters={k: v for k, v in masters.items() if v is not None},
        mask=master_mask,
        overscans=tuple(overscans or ()),
        method=as_method(_made(overscan_method)),
        gain=gain,
        read_noise=read_noise,
        saturation=saturation,
        leaks=tuple(_leak(step) for step in leak_directions),
        image_area=image_area,
    )
    parts = [_Channel.of(*item) for item in (channels or {}).items()]
    results = []
    if not len(raw):
        msg = f"{raw} has no image that could be calibrated"
        raise ParameterError(msg)
    for ndd in raw:
        if ndd.ndim != 2:
            msg = f"{raw}[{ndd.ident}] has {ndd.ndim} axes, and images have 2"
            raise ShapeError(msg)
        results += [
            calibration.applied(channel.cut(ndd, raw), raw, channel)
            for channel in parts or [_Channel(name=None, x=slice(None), y=slice(None))]
        ]
    return _laid_out(raw, results, output)


@dataclass(frozen=True, kw_only=True)
class _Channel:
    """Every n-th pixel of a frame along both axes: one colour, or all pixels."""

    name: str | None
    x: slice
    y: slice

    @classmethod
    def of(cls, name: str, grid: Sequence[int]) -> "_Channel":
        """Read a channel from two or four numbers."""
        numbers = [int(n) for n in grid]
        if len(numbers) == 2:
            numbers = [numbers[0], 2, numbers[1], 2]
        if len(numbers) != 4 or min(numbers) < 0 or 0 in numbers[1::2]:
            msg = (
                f"channel {name!r} is (x, y), or (x, x_step, y, y_step) with steps "
                f"from 1 on, and not {tuple(grid)}"
            )
            raise ParameterError(msg)
        x, x_step, y, y_step = numbers
        return cls(name=name, x=slice(x, None, x_step), y=slice(y, None, y_step))

    def cut(self, ndd: NDLater, raw: DataFile) -> NDLater:
        """Take the pixels of the channel, under its name."""
        if self.name is None:
            return ndd
        if ndd.shape[0] <= self.y.start or ndd.shape[1] <= self.x.start:
            msg = f"channel {self.name!r} is outside {raw}[{ndd.ident}] of {ndd.shape}"
            raise ParameterError(msg)
        part = ndd[self.y, self.x]
        part.ident = self.name if len(raw) == 1 else f"{self.name}{ndd.ident}"
        return part

    def area(self, area: Area) -> Area:
        """Give the area of the channel that an area of the whole frame covers."""
        if self.name is None or set(area) != {"xmin", "xmax", "ymin", "ymax"}:
            return area
        found = {}
        for axis, part in (("x", self.x), ("y", self.y)):
            for end in ("min", "max"):
                offset = int(area[axis + end]) - part.start
                found[axis + end] = max(-(-offset // part.step), 0)
        return found

    def describe(self, header: Any) -> None:
        if self.name is not None:
            header["CLRCHNL"] = (self.name, "channel")
            for axis, part in (("X", self.x), ("Y", self.y)):
                header[f"CHNL{axis}OFF"] = (part.start, f"first pixel along {axis}")
                header[f"CHNL{axis}STP"] = (part.step, f"step along {axis}")


def _leak(step: Sequence[int]) -> tuple[int, int]:
    if len(step) != 2 or any(int(n) != n for n in step):
        msg = f"a leak direction is two whole numbers, x and y, and not {step!r}"
        raise ParameterError(msg)
    return int(step[0]), int(step[1])


@dataclass(frozen=True, kw_only=True)
class _Calibration:
    """What is done with each image."""

    masters: Mapping[str, DataFile]
    mask: DataFile | None
    overscans: tuple[Area, ...]
    method: OverscanMethods | Method
    gain: float | None
    read_noise: float | None
    saturation: float | None
    leaks: tuple[tuple[int, int], ...]
    image_area: Area | None

    def applied(self, ndd: NDLater, raw: DataFile, channel: _Channel) -> NDLater:
        """Calibrate an image, and write into its header how."""
        stored = np.asarray(ndd.data)
        image = stored.astype(np.float64)
        gain = _header_gain(ndd, raw) if self.gain is None else self.gain
        areas = [channel.area(area) for area in self.overscans]
        level, level_variance = level_of(image, areas, _as_function(self.method))
        section = (slice(0, image.shape[0]), slice(0, image.shape[1]))
        if self.image_area is not None:
            area = channel.area(self.image_area)
            section = area_section(area, image.shape, "image area")
        constant = np.broadcast_to(level_variance, image.shape)[section]
        if self.read_noise is None:
            noise = scatter_of(image, areas) * gain
        else:
            noise = self.read_noise
            # A measured scatter has the noise of the digitisation in it already.
            constant = constant + (1 / 12 if stored.dtype.kind in "iu" else 0.0)
        new = ndd[section].replace(
            data=(image - level)[section].astype(np.float32),
            variance=narrowed(constant, np.dtype("f4")),
            unit=ndd.unit or "adu",
            flags=self._flags(ndd, image)[section],
        )
        new = _flag_unknown(self._with_masters(new, gain, noise))
        header = new.meta
        channel.describe(header)
        _describe_raw(header, raw)
        _describe_masters(header, {**self.masters, "mask": self.mask})
        _describe_areas(header, self.overscans, self.method)
        header["OVSCNPIX"] = (
            sum(
                image[area_section(a, image.shape, "overscan area")].size for a in areas
            ),
            "pixels of the overscan areas",
        )
        kept = self.image_area or {
            "xmin": 0,
            "xmax": ndd.shape[1],
            "ymin": 0,
            "ymax": ndd.shape[0],
        }
        header["IMAGAREA"] = (_area_text(kept), "image area of the raw frame")
        header["CALBGAIN"] = (gain, "[electron/adu] gain used for the variance")
        header["CALGITID"] = _source_id()  # no room for a comment
        return new

    def _flags(self, ndd: NDLater, image: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
        if self.saturation is None:
            return flags_with(ndd)
        full = image >= self.saturation
        leaked = full.copy()
        for x, y in self.leaks:
            ny, nx = (
                max(n - abs(k), 0) for n, k in zip(full.shape, (y, x), strict=True)
            )
            source = full[max(-y, 0) :, max(-x, 0) :][:ny, :nx]
            leaked[max(y, 0) :, max(x, 0) :][:ny, :nx] |= source
        return flags_with(ndd, (leaked, Flag.SATURATED))

    def _with_masters(self, ndd: NDLater, gain: float, read_noise: float) -> NDLater:
        if (bias := self.masters.get("bias")) is not None:
            ndd = ndd - _of(bias, ndd, "bias")
        variance = pixel_variance(ndd.data, gain, read_noise)
        if ndd.variance is not None:
            variance += ndd.variance
        ndd = ndd.replace(variance=narrowed(variance, np.dtype("f4")))
        if (dark := self.masters.get("dark")) is not None:
            ndd = ndd - _of(dark, ndd, "dark")
        if (flat := self.masters.get("flat")) is not None:
            ndd = ndd / _usable_flat(_of(flat, ndd, "flat"))
        if self.mask is not None:
            ndd = ndd.replace(
                flags=joined(ndd.flags, _bits(_of(self.mask, ndd, "mask")))
            )
        return ndd


def _header_gain(ndd: NDLater, raw: DataFile) -> float:
    """Gain of the header of an extension, else of the file."""
    for keyword in _GAINS:
        for header in (ndd.meta, raw.meta):
            if keyword not in header:
                continue
            value = header[keyword]
            if isinstance(value, (int, float)) and np.isfinite(value) and value > 0:
                return float(value)
            msg = (
                f"{raw} has {keyword} = {value!r}, which is no gain; give it with gain="
            )
            raise ParameterError(msg)
    msg = f"{raw} has neither EGAIN nor GAIN in its headers; give it with gain="
    raise ParameterError(msg)


def _as_function(method: OverscanMethods | Method) -> OverscanMethods | Method:
    """Let a method that gives a mapping give a corrected image and its variance."""
    if isinstance(method, OverscanMethods):
        return method

    def corrected(image: npt.NDArray[Any], area: Area) -> Any:
        given: Any = method(image, area)
        if not isinstance(given, Mapping):
            return given
        if "correction" not in given:
            msg = (
                "an overscan method that gives a mapping gives a correction (and a "
                f"variance) in it, not {', '.join(map(repr, given)) or 'nothing'}"
            )
            raise ParameterError(msg)
        shape = image.shape
        correction = np.broadcast_to(np.asarray(given["correction"], float), shape)
        return image - correction, given.get("variance", 0.0)

    return corrected


def _usable_flat(flat: NDLater) -> NDLater:
    """Make a flat 1 and BAD where nothing can be divided by it."""
    values = np.asarray(flat.data)
    unusable = ~np.isfinite(values) | (values <= 0)
    parts: dict[str, Any] = {}
    if flat.variance is not None:
        unusable |= ~np.isfinite(flat.variance)
        parts["variance"] = np.where(unusable, 0, flat.variance)
    if not unusable.any():
        return flat
    result: NDLater = flat.replace(
        data=np.where(unusable, 1, values),
        flags=flags_with(flat, (unusable, Flag.BAD)),
        **parts,
    )
    return result


def _flag_unknown(ndd: NDLater) -> NDLater:
    """Flag what is no finite number."""
    unknown = ~(np.isfinite(ndd.data) & np.isfinite(np.asarray(ndd.variance)))
    return ndd.replace(flags=flags_with(ndd, (unknown, Flag.BAD)))


def _bits(mask: NDLater) -> npt.NDArray[Any]:
    """Flag bits of a mask: its data, if these are integers, and its flags."""
    bits = np.asarray(mask.data)
    if bits.dtype.kind == "b":
        bits = bits.astype(FLAGS_DTYPE)
    if bits.dtype.kind in "iu":
        return joined(bits, mask.flags)
    if mask.flags is None:
        msg = f"a mask holds integers, as data or as flags, not {bits.dtype} alone"
        raise ParameterError(msg)
    return joined(mask.flags)


def _laid_out(raw: DataFile, results: list[NDLater], output: str) -> DataFile:
    """Put calibrated images into a file of the layout that is wanted."""
    product = DataFile(data=raw)
    del product[:]
    if output == "image+error":
        # Two extensions, as published, where nothing is flagged.
        for k, ndd in enumerate(results):
            if ndd.flags is not None and not np.any(ndd.flags):
                results[k] = ndd.replace(flags=None)
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


@dataclass(kw_only=True, slots=True)
class Calibrator:
    """
    Calibrates images, all in the same way until its attributes are changed.

    Parameters
    ----------
    overscans : list of dict, optional
        Areas of the overscan: ``dict(xmin=..., xmax=..., ymin=..., ymax=...)``.
    overscan_method : OverscanMethods, str or callable
        How they are used. A function of your own takes the image and one area, and
        returns the corrected image as floating-point numbers; `calibrate_image` says
        what it may give with it. So does an object that can be called; its attributes
        are recorded, and its ``document_in_fits_header(header)``, if there is one,
        writes into the header of the calibrated image.
    master_bias, master_dark, master_flat, master_mask : str, Path or DataFile, optional
        The masters; None is not applied.
    gain : float, optional
        Gain [electron/adu]; None takes it from the header.
    read_noise : float, optional
        Read noise [electron]; by default measured in the overscan.
    saturation : float, optional
        Level from which raw pixels are flagged SATURATED [adu].
    leak_directions : list of (int, int)
        Steps in x and y to the neighbours into which a saturated pixel leaks.
    image_area : dict, optional
        The part of the frame that is image; it has the shape of the masters.
    channels : dict, optional
        Colours of a Bayer frame: for each name ``(x, y)`` of its first pixel, or slices
        along y and x.
    output : {'sci+var+dq', 'image+error'}
        How calibrated images are laid out: SCI, VAR and DQ, or the image in the
        primary HDU and its standard deviation in ERROR. Both are read as masters.
    """

    overscans: Sequence[Mapping[str, int]] | None = None
    overscan_method: OverscanMethods | str | Method = OverscanMethods.median
    master_bias: Any = None
    master_dark: Any = None
    master_flat: Any = None
    master_mask: Any = None
    gain: float | None = 1.0
    read_noise: float | None = None
    saturation: float | None = None
    leak_directions: Sequence[Sequence[int]] = ()
    image_area: Mapping[str, int] | None = None
    channels: Mapping[str, Sequence[int] | tuple[slice, slice]] | None = None
    output: Literal["sci+var+dq", "image+error"] = "sci+var+dq"

    def set_masters(self, **masters: Any) -> None:
        """
        Set masters for the images to come.

        Parameters
        ----------
        **masters : str, Path, DataFile or None
            By the names bias, dark, flat and mask; those that are not named stay.

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
        values["overscan_method"] = _recordable(used.overscan_method)
        if used.channels is not None:
            values["channels"] = {k: _grid(v) for k, v in used.channels.items()}
        result: DataFile = calibrate_image(
            raw, calibrated=calibrated, **values, **words
        )
        return result


def _recordable(method: Any) -> Any:
    """Write a callable object as its class and attributes, which a record can hold."""
    if isinstance(method, OverscanMethods) or not callable(method):
        return method
    if hasattr(method, "__qualname__"):
        return method
    return {"class": type(method), "attributes": dict(vars(method))}


def _made(method: Any) -> Any:
    """Make the object again that `_recordable` wrote."""
    if not (isinstance(method, Mapping) and set(method) == {"class", "attributes"}):
        return method
    made = method["class"].__new__(method["class"])
    vars(made).update(method["attributes"])
    return made


def _grid(given: Any) -> Sequence[int]:
    """Write slices along y and x as the numbers of a channel."""
    if len(given) == 2 and all(isinstance(part, slice) for part in given):
        y, x = given
        if y.stop is not None or x.stop is not None:
            msg = f"slices of a channel have a start and a step alone, not {given}"
            raise ParameterError(msg)
        return [x.start or 0, x.step or 1, y.start or 0, y.step or 1]
    return list(given)


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


def _describe_raw(header: Any, raw: DataFile) -> None:
    if raw.filename is not None:
        base = Path(raw.filename).name
        for ending in (".gz", ".bz2", ".fz", ".fits", ".fit", ".fts"):
            base = base.removesuffix(ending)
        header["RAWFNAME"] = (base, "raw image")
    date, seconds = (
        next((h[k] for h in (header, raw.meta) for k in keys if k in h), None)
        for keys in (("DATE-OBS",), ("EXPTIME", "EXPOSURE"))
    )
    if isinstance(date, str) and "T" in date and isinstance(seconds, (int, float)):
        try:
            # Of UTC astropy would ask a table of leap seconds, and JD has none.
            begin = Time(date, scale="tai")
        except ValueError:
            return
        header["JD-OBS"] = ((begin + seconds / 2 * u.s).jd, "[d] UTC, mid-exposure")


def _describe_masters(header: Any, masters: Mapping[str, DataFile | None]) -> None:
    for name, master in masters.items():
        if master is not None and master.filename is not None:
            path = Path(master.filename)
            sha = hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest()
            header[f"M{name.upper()}FNM"] = (path.name, f"master {name}")
            header[f"M{name.upper()}SHA"] = (sha, f"SHA-1 of the master {name}")


def _describe_areas(
    header: Any, areas: Sequence[Area], method: OverscanMethods | Method
) -> None:
    for number, area in enumerate(areas):
        header[f"OVRSCN{number:02d}"] = (_area_text(area), "overscan area")
    if not areas:
        return
    if isinstance(method, OverscanMethods):
        name = method.value
    else:
        name = getattr(method, "__qualname__", type(method).__name__)
    header["OVSCNMTD"] = (name, "overscan method")
    if (document := getattr(method, "document_in_fits_header", None)) is not None:
        document(header)


def _area_text(area: Area) -> str:
    return "{xmin} < x < {xmax}, {ymin} < y < {ymax}".format(**area)


@cache
def _source_id() -> str:
    """Name this module and the id that git gives its text."""
    text = Path(__file__).read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(text) + text, usedforsecurity=False)
    return f"{__name__}:{blob.hexdigest()}"
