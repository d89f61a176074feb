"""Making and applying flats."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.calibrations.copies import distinct_exposures
from ndmapper.data import DataFile, DataFileList, Flag, NDLater
from ndmapper.data.detector import amplifier_card, amplifier_numbers
from ndmapper.errors import ParameterError, UnitError
from ndmapper.lib.alike import check_shape
from ndmapper.lib.ccd.applied import applied_card, mark_none, warn_without_bias
from ndmapper.lib.combine import check_frames, combine_files
from ndmapper.lib.figures import report_master
from ndmapper.lib.flagging import flags_with
from ndmapper.lib.spectrograph import SpectrographTable, spectrograph_of_light
from ndmapper.numerics.flat import NormalisedFlat, normalise_flat, plain_flat
from ndmapper.numerics.formulas import narrowed
from ndmapper.numerics.slit_count import check_one_slit
from ndmapper.steps import OfInstrument, Range, qc, run_task

__all__ = ["SLIT_LIGHT", "apply_flat", "divide_by_flat", "kind_of_flat", "make_flat"]

log = logging.getLogger(__name__)

_HOW = (
    "what the flats are divided by has to be known, since it is not the same for all "
    "data: give normalise='plain' for images (one number for all extensions) or "
    "normalise='spectral' for long-slit spectra (response and illumination of the "
    "slit, which was the default before), or write it into the TOML of the instrument "
    "under [steps.make_flat]"
)
SLIT_LIGHT = "FLATSLIT"
"""Card of a spectral flat, and of frames: whether it has the slit illumination."""

_KINDS = ("pixel flat", "illumination")
_SAME_GAIN = 1e-3
_LOWEST = 0.05
"""A flat whose median is lower than this, or higher than its inverse, is refused."""


@run_task(each="list", outputs="flat", suffix="_flat", options={"revision": 7})
def make_flat(
    files: DataFileList,
    *,
    normalise: Annotated[Literal["spectral", "plain"] | None, OfInstrument()] = None,
    method: Literal["mean", "median", "sigclip"] = "sigclip",
    low: Annotated[float, Range(gt=0)] = 5.0,
    high: Annotated[float, Range(gt=0)] = 5.0,
    scale: bool = True,
    threshold: Annotated[float, Range(ge=0)] = 0.2,
    dispersion_axis: Literal[0, 1] | None = None,
    knot_spacing: Annotated[float, Range(gt=1)] = 30.0,
    slit_degree: Annotated[int, Range(ge=0)] = 8,
    slit_degree_along: Annotated[int, Range(ge=0)] = 3,
    keep_illumination: bool = False,
    edge_margin: Annotated[float, Range(ge=0)] = 3.0,
    least_signal_to_noise: Annotated[float, Range(ge=0)] = 5.0,
    flag_structure: bool = True,
    spectrograph: SpectrographTable = None,
) -> list[NDLater]:
    """
    Combine and normalise flats: ``make_flat(files, flat='name of the product.fits')``.

    Parameters
    ----------
    files : DataFileList
        Flats without bias, with variance, in electrons, so that the amplifiers of a
        frame are on one scale.
    normalise : {'spectral', 'plain'}, optional
        By default what the TOML of the instrument says under ``[steps.make_flat]``; it
        has to be given where that says nothing. ``'spectral'``: each extension is
        divided by its response along the dispersion and by the illumination of the
        slit, both smooth. ``'plain'``, for images: all extensions are divided by one
        number, the median of all their pixels.
    method : {'mean', 'median', 'sigclip'}
        How the frames are combined.
    low, high : float
        Limits of the clipping [standard deviations].
    scale : bool
        Scale the frames to the first one before they are combined; lamps drift.
    threshold : float
        Pixels with a lower normalised value are flagged BAD, and 1 in the flat.
    dispersion_axis : {0, 1}, optional
        The axis of the array along which wavelength changes; by default that of the
        spectrograph, whose slit and gaps count as well.
    knot_spacing : float
        Distance of the knots of the response [pixel]. Where the lamp has an edge or a
        line, they are closer.
    slit_degree, slit_degree_along : int
        Degrees of the slit illumination along the slit and along the dispersion; that
        along a narrow slit is less than its number of pixels.
    keep_illumination : bool
        Leave the slit illumination in the flat, and with it what the tilt of the
        spectrum of the lamp looks like. By default it is divided out, and
        `make_slit_illumination` of `ndmapper.lib.spec` measures it.
    edge_margin : float
        Pixels nearer than this to the edge of the slit count as unlit [pixel]; at most
        a sixth of a narrow slit.
    least_signal_to_noise : float
        Where the lamp gives less per pixel, lines along the slit count as unlit.
    flag_structure : bool
        Flag BAD where the lamp has structure that is much finer than the knots: the
        edge of a dichroic, an emission line, fringes. It is part of the response, so
        that the flat does not correct it.
    spectrograph : mapping, optional
        Keys of ``[spectrograph]`` that replace those of the instrument's table.

    Returns
    -------
    list of NDLater
        The flat, without unit. Pixels beside the slit and without light are flagged
        UNILLUMINATED and are 1. Columns (or rows, along the slit) that are flagged are
        named in a warning, and counted in the record (``weak``, ``structure``).
        FLATUNIT in its header is the unit of the frames, FLATNORM how they were
        normalised, and the cards of the amplifiers have their gains.

    Raises
    ------
    ParameterError
        If nothing says how to normalise, or there is no light; or if nothing states
        the dispersion axis, and the light ends as at a slit along x.
    """
    if normalise is None:
        raise ParameterError(_HOW)
    files = DataFileList(data=[files[i] for i in distinct_exposures(files)])
    check_frames(files)
    factors = _scales(files) if scale else [1.0] * len(files)
    combined = combine_files(files, method=method, low=low, high=high, scale=factors)
    level = _common_level(combined) if normalise == "plain" else None
    flats = []
    for ndd in combined:
        mask = None if ndd.mask is None else np.asarray(ndd.mask)
        if level is not None:
            result = plain_flat(
                ndd.data, ndd.variance, mask=mask, level=level, threshold=threshold
            )
        else:
            given = dict(spectrograph or {})
            if dispersion_axis is not None:
                given["dispersion_axis"] = "x" if dispersion_axis == 1 else "y"
            light = np.where(_mask(ndd), np.nan, np.asarray(ndd.data, np.float64))
            geometry = spectrograph_of_light(given, ndd, light)
            axis = geometry.axis
            along = ndd.shape[axis]
            gap = geometry.in_gap(along)
            rows = geometry.rows(ndd.shape[1 - axis])
            light = np.where(np.isfinite(light), light, np.nan)
            try:
                check_one_slit((light.T if axis == 0 else light)[rows])
                result = normalise_flat(
                    ndd.data,
                    ndd.variance,
                    mask=mask,
                    dispersion_axis=axis,
                    slit=rows,
                    gap=gap[::-1] if geometry.falls else gap,
                    knot_spacing=knot_spacing,
                    illumination_degree=(slit_degree, slit_degree_along),
                    keep_illumination=keep_illumination,
                    edge_margin=edge_margin,
                    threshold=threshold,
                    least_signal_to_noise=least_signal_to_noise,
                )
                _tell_doubtful(ndd, result, axis, flag_structure)
            except ValueError as err:
                msg = f"{err}{_masked(combined)}"
                raise ParameterError(msg) from err
        flats.append(_as_ndd(ndd, result, factors, flag_structure))
    for flat in flats:
        flat.meta["FLATNORM"] = (normalise, "what the flat was divided by")
        if normalise == "spectral":
            word = "kept" if keep_illumination else "divided out"
            flat.meta[SLIT_LIGHT] = (word, "illumination of the slit")
    report_master(flats, "flat")
    return flats


@run_task(prefix="f", cals=["flat"])
def apply_flat(ndd: NDLater, flat: NDLater | None, *, again: bool = False) -> NDLater:
    """
    Divide by the associated flat.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame without bias.
    flat : NDLater
        The normalised flat; None divides by nothing. One with FLATKIND =
        'illumination' in its header corrects the illumination, after a pixel flat.
    again : bool
        Divide also a frame that was divided by a flat of this kind before.

    Returns
    -------
    NDLater
        The frame. Its variance contains that of the flat (of a frame without any it is
        only that, of which there is a warning), and its flags those of the flat. Where
        the flat is zero, negative or no number, the frame is not divided, and is
        flagged BAD.

    Raises
    ------
    ParameterError
        If the flat is not normalised: the median of its good pixels is not near 1; if
        it was made with other relations between the gains of the amplifiers; or if the
        frame was divided by such a flat already.
    UnitError
        If the flat was made of frames of another unit.
    """
    if flat is None:
        return mark_none(ndd, "pixel flat")
    return divide_by_flat(ndd, flat, again=again)


def divide_by_flat(ndd: NDLater, flat: NDLater, *, again: bool = False) -> NDLater:
    """Divide a frame by a flat of any kind, and count it in the card of that kind."""
    key, card = applied_card(ndd, kind_of_flat(flat), again=again)
    check_shape(ndd, flat, "flat")
    _refuse_other_scale(ndd, flat)
    warn_without_bias(ndd, "its level is divided by the flat as if it were light")
    values = np.asarray(flat.data)
    unusable = ~np.isfinite(values) | (values <= 0)
    _refuse_unnormalised(flat, values, ~unusable & ~_mask(flat))
    if unusable.any():
        flat = flat.replace(
            data=np.where(unusable, 1, values),
            flags=flags_with(flat, (unusable, Flag.BAD)),
        )
    if flat.variance is not None and ndd.variance is None:
        log.warning(
            "a frame without variance is divided by a flat that has one, so that the "
            "result has the variance of the flat alone; use add_variance before"
        )
    result: NDLater = ndd / flat
    result.meta[key] = card
    if (word := flat.meta.get(SLIT_LIGHT)) is not None:
        result.meta[SLIT_LIGHT] = (word, "illumination of the slit in the flat")
    return result


def kind_of_flat(flat: NDLater) -> str:
    """Tell what a flat corrects: the sensitivity of pixels, or the illumination."""
    kind = flat.meta.get("FLATKIND", "pixel flat")
    if kind not in _KINDS:
        msg = f"FLATKIND = {kind!r} of the flat is none of {', '.join(_KINDS)}"
        raise ParameterError(msg)
    return str(kind)


def _refuse_unnormalised(
    flat: NDLater, values: npt.NDArray[Any], good: npt.NDArray[np.bool_]
) -> None:
    """Refuse a flat of which the median is not near 1."""
    near = good & (values > _LOWEST) & (values < 1 / _LOWEST)
    if 2 * np.count_nonzero(near) > np.count_nonzero(good):
        return  # so the median is near, too, and need not be found
    level = float(np.median(values[good])) if good.any() else 0.0
    if not _LOWEST < level < 1 / _LOWEST:
        unit = "" if flat.unit is None else f" {flat.unit}"
        msg = (
            f"the flat is not normalised: the median of its good pixels is {level:.4g}"
            f"{unit}, and should be about 1; make it with make_flat, or divide it by "
            "its level"
        )
        raise ParameterError(msg)


def _refuse_other_scale(ndd: NDLater, flat: NDLater) -> None:
    """Refuse a flat in which amplifiers have another ratio than in the frame."""
    made = flat.meta.get("FLATUNIT")
    if made is not None and ndd.unit is not None and u.Unit(made) != ndd.unit:
        msg = (
            f"the flat was made of frames in {made}, but this frame is in {ndd.unit}: "
            "amplifiers of different gains would not fit together; make the flat of "
            "frames that went through the same steps (correct_gain)"
        )
        raise UnitError(msg)
    gains = [_applied_gains(image.meta) for image in (ndd, flat)]
    if gains[0].keys() != gains[1].keys():
        return
    ratios = [gains[0][n] / gains[1][n] for n in gains[0]]
    if ratios and max(ratios) > (1 + _SAME_GAIN) * min(ratios):
        shown = " and ".join(", ".join(f"{g:g}" for g in x.values()) for x in gains)
        msg = (
            f"the amplifiers of frame and flat were multiplied by the gains {shown}, "
            "which are not in the same relation; use the same gains for both"
        )
        raise ParameterError(msg)


def _applied_gains(header: Any) -> dict[int, float]:
    numbers = amplifier_numbers(header)
    cards = {n: header.get(amplifier_card("GAINCOR", n)) for n in numbers}
    return {n: gain for n, gain in cards.items() if isinstance(gain, int | float)}


@dataclass(frozen=True)
class _Light:
    """The lit pixels of a first frame, against which the others are compared."""

    ident: int | str | None
    lit: npt.NDArray[np.bool_]
    values: npt.NDArray[np.float64]


def _scales(files: Sequence[DataFile]) -> list[float]:
    """Find the factors that bring every frame to the level of the first one."""
    first = [_light(ndd) for ndd in files[0]]
    if len(files) > 1 and not any(light.lit.any() for light in first):
        msg = (
            f"{files[0]}, the first of {len(files)} flats, to which the others are "
            f"scaled, has no good pixel with light{_masked(files[0])}; leave it out, "
            "or combine with scale=False"
        )
        raise ParameterError(msg)
    scales = [1.0]
    for df in files[1:]:
        ratios = []
        for light in first:
            ndd = df[df.idents.index(light.ident)]
            other = np.asarray(ndd.data)[light.lit]
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = light.values / other
            ratios.append(ratio[np.isfinite(ratio) & ~_mask(ndd)[light.lit]])
        together = np.concatenate(ratios)
        factor = float(np.median(together)) if together.size else 0.0
        if not factor > 0:
            msg = (
                f"{df} has no light where {files[0]} has{_masked(df)}; leave it out, "
                "or combine with scale=False"
            )
            raise ParameterError(msg)
        scales.append(factor)
    return scales


def _mask(ndd: NDLater) -> npt.NDArray[np.bool_]:
    """Give the mask of an image, False all over where it has no flags."""
    mask = ndd.mask
    return np.zeros(ndd.shape, np.bool_) if mask is None else np.asarray(mask)


def _masked(df: DataFile | list[NDLater]) -> str:
    """Say how much of a file is masked, and by which flags, if that is much of it."""
    count = sum(int(_mask(ndd).sum()) for ndd in df)
    share = count / sum(ndd.size for ndd in df)
    if share < 0.01:
        return ""
    names: list[str] = []
    for ndd in df:
        for value in np.unique(np.asarray(ndd.flags)) if ndd.has("flags") else ():
            names += ndd.flag_table.names(int(value) & ndd.bad_flags)
    return f" ({share:.0%} of its pixels are masked: {', '.join(dict.fromkeys(names))})"


def _light(ndd: NDLater) -> _Light:
    values = np.asarray(ndd.data, np.float64)
    usable = np.isfinite(values)
    usable &= ~_mask(ndd)
    # The brighter pixels tell the ratio best, and exclude what is beside a slit.
    limit = 0.3 * np.percentile(values[usable], 95) if usable.any() else np.inf
    lit = usable & (values > max(limit, 0))
    return _Light(ndd.ident, lit, values[lit])


def _common_level(ndds: Sequence[NDLater]) -> float:
    """Median of all extensions, so that their relative sensitivity stays."""
    usable = []
    for ndd in ndds:
        good = np.isfinite(ndd.data)
        good &= ~_mask(ndd)
        usable.append(np.asarray(ndd.data)[good])
    values = np.concatenate(usable)
    level = float(np.median(values)) if values.size else 0.0
    if not level > 0:
        why = f"a median of {level:.4g}" if values.size else "no good pixel"
        msg = f"the flats have {why}, so there is no light in them"
        raise ParameterError(msg)
    return level


def _tell_doubtful(
    ndd: NDLater, flat: NormalisedFlat, dispersion_axis: int, flag_structure: bool
) -> None:
    """Name the lines along the slit that have too little light, or structure."""
    along = "columns" if dispersion_axis == 1 else "rows"
    where = "" if ndd.ident is None else f"[{ndd.ident}]"
    kinds = {
        "weak": (flat.weak, "the lamp has too little light, so that they are flagged"),
        "structure": (
            flat.missed,
            "the lamp has an edge, a line or fringes, which the flat does not correct"
            + ("; they are flagged" if flag_structure else ""),
        ),
    }
    for name, (pixels, why) in kinds.items():
        lines = np.any(pixels, axis=1 - dispersion_axis)
        qc(**{f"{name}{where}": int(lines.sum())})
        if lines.any():
            log.warning(
                "flat%s: in the %s %s (counted from 1) %s",
                where, along, _ranges(lines), why,
            )  # fmt: skip


def _ranges(lines: npt.NDArray[np.bool_]) -> str:
    """Write which lines are True, counted from 1, at most ten ranges of them."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], lines.astype(np.int8), [0]])))
    pairs = [(a + 1, b) for a, b in zip(steps[::2], steps[1::2], strict=True)]
    shown = ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in pairs[:10])
    more = len(pairs) - 10
    return shown if more <= 0 else f"{shown} and {more} more ranges"


def _as_ndd(
    ndd: NDLater,
    flat: NormalisedFlat,
    factors: Sequence[float],
    flag_structure: bool = True,
) -> NDLater:
    bad = flat.low | flat.missed if flag_structure else flat.low
    dark = flat.unlit | flat.weak
    flags = flags_with(ndd, (dark, Flag.UNILLUMINATED), (bad & ~dark, Flag.BAD))
    result = ndd.replace(
        data=flat.data.astype(np.float32),
        variance=None
        if ndd.variance is None
        else narrowed(flat.variance, np.dtype("f4")),
        flags=flags,
        unit=None,
    )
    if ndd.unit is not None:
        result.meta["FLATUNIT"] = (ndd.unit.to_string(), "unit of the frames")
    for n, factor in enumerate(factors, start=1):
        # A keyword has eight characters.
        result.meta[f"FSCALE{n}" if n < 100 else f"FSCAL{n:03}"] = (
            round(factor, 6),
            f"scale of frame {n}",
        )
    return result
