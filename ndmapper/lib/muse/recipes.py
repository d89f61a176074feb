"""
The recipes of the MUSE pipeline, one step for each.

Their calibrations have the types of the instrument's table, so that `MuseNight` and
`ndmapper.calibrations.associate_cals` give files what the recipes need. The products of
an IFU are files by themselves, and together a set; with ``by="ifu"``, the default where
there is one, each IFU is a call by itself, and with ``by=None, nifu=-1`` the recipe
does all of them with its own threads.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from ndmapper.errors import ParameterError
from ndmapper.steps import Range, Unit, run_task

__all__ = [
    "Extra",
    "astrometry",
    "bias",
    "create_sky",
    "dark",
    "exp_align",
    "exp_combine",
    "extra_parameters",
    "flat",
    "illum",
    "lsf",
    "scibasic",
    "scipost",
    "standard",
    "twilight",
    "wavecal",
]

Extra = Mapping[str, Any] | str | None
"""Further parameters of a recipe: a mapping, or words such as ``'--nlow=2'``."""

_Wavelength = Annotated[float, Unit("Angstrom")]
_IFU = "-{ifu:02d}.fits"

# Types of calibration by the tag under which recipes take them.
_BADPIX = {"BADPIX_TABLE?": "badpix"}
_DARK = {"MASTER_DARK?": "dark"}
_BIAS = {"MASTER_BIAS": "bias"}
_TRACE = _BIAS | {"TRACE_TABLE": "trace"}
_LINES = {"LINE_CATALOG": "lines"}
_RAW = _TRACE | {
    "MASTER_FLAT": "flat", "WAVECAL_TABLE": "arc", "GEOMETRY_TABLE": "geometry",
    "ILLUM?": "illum",
} | _DARK | _BADPIX  # fmt: skip
_EXTINCTION = {"EXTINCT_TABLE": "extinction"}
_RESPONSE = {"STD_RESPONSE": "standard", "STD_TELLURIC?": "telluric"}
_FILTERS = {"FILTER_LIST?": "filters"}


def extra_parameters(extra: Extra) -> dict[str, Any]:
    """
    Read further parameters of a recipe.

    Parameters
    ----------
    extra : mapping, str or None
        Parameters by name; or words as on a command line, ``'--nlow=2 --scale=false'``,
        which are split like a shell does it, without one. ``'none'`` is none.

    Returns
    -------
    dict
        Parameters and values; numbers and truth values are such.

    Raises
    ------
    ParameterError
        If a word is not ``--name=value``.
    """
    if extra is None or (isinstance(extra, str) and extra.strip() in ("", "none")):
        return {}
    if not isinstance(extra, str):
        return dict(extra)
    found: dict[str, Any] = {}
    try:
        words = shlex.split(extra)
    except ValueError as err:
        msg = f"the parameters {extra!r} cannot be split into words: {err}"
        raise ParameterError(msg) from err
    for word in words:
        name, equals, text = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            msg = (
                f"{word!r} in the parameters {extra!r} is not --name=value, as esorex "
                "takes them"
            )
            raise ParameterError(msg)
        found[name] = _value(text) if equals else True
    return found


def _value(text: str) -> Any:
    """Read a number or a truth value; anything else is a text."""
    try:
        value = json.loads(text.lower())
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _parameters(extra: Extra, /, **own: Any) -> dict[str, Any]:
    """Join the parameters of a step and further ones; None leaves the recipe's own."""
    further = extra_parameters(extra)
    if twice := sorted({name.replace("-", "_") for name in further} & set(own)):
        msg = f"{twice[0]} is a parameter of the step itself; give it as {twice[0]}=..."
        raise ParameterError(msg)
    return {name: value for name, value in own.items() if value is not None} | further


@run_task(
    "esorex:muse_bias", inputs="BIAS", cals=_BADPIX, by="ifu",
    outputs={"MASTER_BIAS": "{base}_bias" + _IFU},
)  # fmt: skip
def bias(
    *,
    overscan: str = "vpoly",
    combine: Literal["average", "median", "minmax", "sigclip"] = "sigclip",
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Combine biases to a master bias (muse_bias).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched, such as ``'vpoly'``.
    combine : {'average', 'median', 'minmax', 'sigclip'}
        How frames are combined.
    nifu : int, optional
        With ``by=None``: -1 for all IFUs at once, 0 one after the other, or one IFU.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    FileSet
        The master of each IFU [adu].
    """
    return _parameters(extra, overscan=overscan, combine=combine, nifu=nifu)


@run_task(
    "esorex:muse_dark", inputs="DARK", cals=_BIAS | _BADPIX, by="ifu",
    outputs={"MASTER_DARK": "{base}_dark" + _IFU},
)  # fmt: skip
def dark(
    *,
    overscan: str = "vpoly",
    normalize: Annotated[float, Unit("s")] = 3600.0,
    hotsigma: float = 5.0,
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Combine darks to a master dark (muse_dark).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    normalize : float
        Exposure time to which the master is scaled [s].
    hotsigma : float
        Pixels this far above the local median are hot [standard deviation].
    nifu : int, optional
        As for `bias`.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    FileSet
        The master of each IFU.
    """
    return _parameters(
        extra, overscan=overscan, normalize=normalize, hotsigma=hotsigma, nifu=nifu
    )


@run_task(
    "esorex:muse_flat", inputs="FLAT", cals=_BIAS | _DARK | _BADPIX, by="ifu",
    outputs={"MASTER_FLAT": "{base}_flat" + _IFU, "TRACE_TABLE": "{base}_trace" + _IFU},
)  # fmt: skip
def flat(
    *,
    overscan: str = "vpoly",
    combine: Literal["average", "median", "minmax", "sigclip"] = "sigclip",
    order: Annotated[int, Range(ge=1)] = 5,
    nsum: Annotated[int, Range(ge=1)] = 32,
    edgefrac: float = 0.5,
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Combine lamp flats to a master flat, and trace the slices (muse_flat).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    combine : {'average', 'median', 'minmax', 'sigclip'}
        How frames are combined.
    order : int
        Order of the polynomials that follow the slices.
    nsum : int
        Lines that are averaged before edges are searched for.
    edgefrac : float
        Fraction of the light at which the edge of a slice is.
    nifu : int, optional
        As for `bias`.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    dict of str to FileSet
        MASTER_FLAT and TRACE_TABLE of each IFU.
    """
    return _parameters(
        extra, overscan=overscan, combine=combine, order=order, nsum=nsum,
        edgefrac=edgefrac, nifu=nifu,
    )  # fmt: skip


@run_task(
    "esorex:muse_wavecal", inputs="ARC", by="ifu",
    cals=_TRACE | _LINES | {"MASTER_FLAT?": "flat"} | _DARK | _BADPIX,
    outputs={"WAVECAL_TABLE": "{base}_arc" + _IFU},
)  # fmt: skip
def wavecal(
    *,
    overscan: str = "vpoly",
    sigma: float = 1.0,
    xorder: Annotated[int, Range(ge=1)] = 2,
    yorder: Annotated[int, Range(ge=1)] = 6,
    lampwise: bool = True,
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Find the wavelengths of the pixels from arcs (muse_wavecal).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    sigma : float
        Limit of the detection of lines [standard deviation].
    xorder, yorder : int
        Orders of the polynomial along the slice and along the dispersion.
    lampwise : bool
        Identify and measure the arcs of each lamp by themselves.
    nifu : int, optional
        As for `bias`.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    FileSet
        The WAVECAL_TABLE of each IFU.
    """
    return _parameters(
        extra, overscan=overscan, sigma=sigma, xorder=xorder, yorder=yorder,
        lampwise=lampwise, nifu=nifu,
    )  # fmt: skip


@run_task(
    "esorex:muse_lsf", inputs="ARC|ARC_LSF", by="ifu",
    cals=_TRACE | _LINES | {"WAVECAL_TABLE": "arc", "MASTER_FLAT?": "flat"} | _DARK
    | _BADPIX, outputs={"LSF_PROFILE": "{base}_lsf" + _IFU},
)  # fmt: skip
def lsf(
    *,
    overscan: str = "vpoly",
    line_quality: int = 3,
    method: Literal["interpolate", "hermit"] = "interpolate",
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Measure the line spread function from arcs (muse_lsf).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    line_quality : int
        Least quality of the lines that are used.
    method : {'interpolate', 'hermit'}
        Whether profiles are interpolated, or fitted by Hermite polynomials.
    nifu : int, optional
        As for `bias`.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    FileSet
        The LSF_PROFILE of each IFU.
    """
    return _parameters(
        extra, overscan=overscan, line_quality=line_quality, method=method, nifu=nifu
    )


@run_task("esorex:muse_illum", inputs="ILLUMFLAT", each="file",
          outputs={"ILLUM": "{base}_illum.fits"})  # fmt: skip
def illum(*, extra: Extra = None) -> dict[str, Any]:
    """
    Copy a raw illumination flat under the name of a product (muse_illum).

    Recipes take raw illumination flats as they are, so that no reduction needs this.

    Parameters
    ----------
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    DataFile
        The ILLUM.
    """
    return _parameters(extra)


@run_task(
    "esorex:muse_twilight", inputs="SKYFLAT",
    cals=_RAW | {"VIGNETTING_MASK?": "vignetting"},
    outputs={"TWILIGHT_CUBE": "{base}_twilight.fits",
             "DATACUBE_SKYFLAT": "{base}_skyflat.fits"},
)  # fmt: skip
def twilight(
    *,
    overscan: str = "vpoly",
    lambdamin: _Wavelength = 5000.0,
    lambdamax: _Wavelength = 9000.0,
    dlambda: _Wavelength = 250.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Combine twilight flats to a cube of the illumination (muse_twilight).

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    lambdamin, lambdamax, dlambda : float
        First and last wavelength and step of the cube [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    dict of str to DataFile
        TWILIGHT_CUBE, which recipes take, and DATACUBE_SKYFLAT, to look at.
    """
    return _parameters(
        extra, overscan=overscan, lambdamin=lambdamin, lambdamax=lambdamax,
        dlambda=dlambda,
    )  # fmt: skip


@run_task(
    "esorex:muse_scibasic", inputs="OBJECT|STD|SKY|ASTROMETRY", each="file", by="ifu",
    cals=_RAW | {"TWILIGHT_CUBE?": "twilight"}, memory="1.4 GB",
    outputs={"PIXTABLE_{tag}": "{base}" + _IFU},
)  # fmt: skip
def scibasic(
    *,
    overscan: str = "vpoly",
    cr: Literal["none", "dcr"] = "none",
    skylines: str = "5577.339,6300.304",
    skyreject: str = "15.,15.,1",
    nifu: int | None = None,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Make pixel tables of raw exposures, without their instrumental signature.

    Parameters
    ----------
    overscan : str
        How the levels of overscan and data are matched.
    cr : {'none', 'dcr'}
        Whether cosmic rays are rejected here.
    skylines : str
        Wavelengths of the sky lines that correct the offset of wavelengths of an IFU
        [Angstrom, in air], with commas between them, or ``'none'``.
    skyreject : str
        Upper and lower limit [standard deviation] and iterations of the fits of these.
    nifu : int, optional
        As for `bias`.
    extra : mapping or str, optional
        Further parameters of the recipe, muse_scibasic.

    Returns
    -------
    FileSet
        The pixel table of each IFU, or a list of such sets.
    """
    return _parameters(
        extra, overscan=overscan, cr=cr, skylines=skylines, skyreject=skyreject,
        nifu=nifu, saveimage=False,
    )  # fmt: skip


@run_task(
    "esorex:muse_standard", inputs="PIXTABLE_STD",
    cals=_EXTINCTION | {"STD_FLUX_TABLE": "fluxes"} | _FILTERS,
    outputs={"STD_RESPONSE": "{base}_standard.fits",
             "STD_TELLURIC": "{base}_telluric.fits"},
)  # fmt: skip
def standard(
    *,
    profile: Literal[
        "gaussian", "moffat", "smoffat", "circle", "square", "auto"
    ] = "auto",
    select: Literal["flux", "distance"] = "distance",
    smooth: Literal["none", "median", "ppoly"] = "ppoly",
    lambdamin: _Wavelength = 4000.0,
    lambdamax: _Wavelength = 10000.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Find the response and the telluric absorption from a standard star (muse_standard).

    Parameters
    ----------
    profile : str
        How the star is measured.
    select : {'flux', 'distance'}
        Which object is the star: the brightest, or the nearest to the coordinates.
    smooth : {'none', 'median', 'ppoly'}
        How the response is smoothed.
    lambdamin, lambdamax : float
        First and last wavelength [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    dict of str to DataFile
        STD_RESPONSE and STD_TELLURIC.
    """
    return _parameters(
        extra, profile=profile, select=select, smooth=smooth, lambdamin=lambdamin,
        lambdamax=lambdamax,
    )  # fmt: skip


@run_task(
    "esorex:muse_create_sky", inputs="PIXTABLE_SKY",
    cals=_EXTINCTION | _RESPONSE | {
        "SKY_LINES": "skylines", "LSF_PROFILE": "lsf", "SKY_CONTINUUM?": "continuum",
        "SKY_MASK?": "skymask",
    },
    outputs={"SKY_CONTINUUM": "{base}_sky.fits", "SKY_LINES": "{base}_skyfit.fits",
             "SKY_MASK": "{base}_skymask.fits"},
)  # fmt: skip
def create_sky(
    *,
    fraction: Annotated[float, Range(ge=0, le=1)] = 0.75,
    ignore: Annotated[float, Range(ge=0, le=1)] = 0.05,
    lambdamin: _Wavelength = 4000.0,
    lambdamax: _Wavelength = 10000.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Find lines and continuum of the sky from the faint part of a field.

    Parameters
    ----------
    fraction : float
        Part of the field that is sky.
    ignore : float
        Part of the field, the darkest, that is left out.
    lambdamin, lambdamax : float
        First and last wavelength [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe, muse_create_sky.

    Returns
    -------
    dict of str to DataFile
        SKY_CONTINUUM, SKY_LINES and SKY_MASK.
    """
    return _parameters(
        extra, fraction=fraction, ignore=ignore, lambdamin=lambdamin,
        lambdamax=lambdamax,
    )  # fmt: skip


@run_task(
    "esorex:muse_astrometry", inputs="PIXTABLE_ASTROMETRY",
    cals=_EXTINCTION | {"ASTROMETRY_REFERENCE": "reference",
                        "STD_RESPONSE?": "standard", "STD_TELLURIC?": "telluric"},
    outputs={"ASTROMETRY_WCS": "{base}_astrometry.fits"},
)  # fmt: skip
def astrometry(
    *,
    detsigma: float = 1.5,
    radius: Annotated[float, Unit("pixel")] = 3.0,
    lambdamin: _Wavelength = 4000.0,
    lambdamax: _Wavelength = 10000.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Find the astrometric solution from a field of known stars (muse_astrometry).

    Parameters
    ----------
    detsigma : float
        Limit of the detection of stars [standard deviation].
    radius : float
        First radius of the search for a star of the catalogue [pixel].
    lambdamin, lambdamax : float
        First and last wavelength [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    DataFile
        The ASTROMETRY_WCS.
    """
    return _parameters(
        extra, detsigma=detsigma, radius=radius, lambdamin=lambdamin,
        lambdamax=lambdamax,
    )  # fmt: skip


@run_task(
    "esorex:muse_scipost", inputs="PIXTABLE_OBJECT", each="file",
    cals=_EXTINCTION | {"STD_RESPONSE?": "standard", "STD_TELLURIC?": "telluric"}
    | _FILTERS | {
        "ASTROMETRY_WCS?": "astrometry", "OFFSET_LIST?": "offsets",
        "OUTPUT_WCS?": "wcs", "SKY_LINES?": "skyfit", "SKY_CONTINUUM?": "sky",
        "SKY_MASK?": "mask", "LSF_PROFILE?": "lsf", "RAMAN_LINES?": "raman",
        "AUTOCAL_FACTORS?": "autocal",
    },
    outputs={
        "DATACUBE_FINAL": "{base}_cube.fits",
        "PIXTABLE_REDUCED": "{base}_reduced.fits",
        "IMAGE_FOV?": "{base}_image-{filter}.fits",
    } | {f"{tag}?": f"{{base}}_{tag.lower()}-{{product}}.fits" for tag in (
        "SKY_LINES", "SKY_CONTINUUM", "SKY_SPECTRUM", "SKY_MASK", "AUTOCAL_FACTORS",
        "RAMAN_IMAGES", "PIXTABLE_POSITIONED", "PIXTABLE_COMBINED", "OBJECT_RESAMPLED",
    )},
)  # fmt: skip
def scipost(
    *,
    saved: str = "cube,individual",
    skymethod: Literal["none", "subtract-model", "model", "simple"] = "model",
    skymodel_fraction: Annotated[float, Range(ge=0, le=1)] = 0.1,
    skymodel_ignore: Annotated[float, Range(ge=0, le=1)] = 0.05,
    images: str = "white",
    autocalib: Literal["none", "deepfield", "user"] = "none",
    rvcorr: Literal["bary", "helio", "geo", "none"] = "bary",
    weight: Literal["exptime", "fwhm", "none"] = "exptime",
    crsigma: float = 15.0,
    lambdamin: _Wavelength = 4000.0,
    lambdamax: _Wavelength = 10000.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Make cube, images and the reduced pixel table of an exposure (muse_scipost).

    Parameters
    ----------
    saved : str
        What is saved, with commas: cube and individual always, besides skymodel, raman,
        autocal, positioned, combined, stacked.
    skymethod : {'model', 'subtract-model', 'simple', 'none'}
        Whether the sky is fitted here, or that of `create_sky` is subtracted, or the
        spectrum of the darkest part of the field, or none.
    skymodel_fraction, skymodel_ignore : float
        For ``'model'`` and ``'simple'``: parts of the field that are sky, and that are
        left out.
    images : str
        Filters of the images, with commas, by their names in FILTER_LIST; ``'white'``
        needs none.
    autocalib : {'none', 'deepfield', 'user'}
        Whether levels of slices are calibrated by the sky, or by AUTOCAL_FACTORS.
    rvcorr : {'bary', 'helio', 'geo', 'none'}
        Rest frame of the wavelengths.
    weight : {'exptime', 'fwhm', 'none'}
        What weighs exposures.
    crsigma : float
        Limit for cosmic rays [standard deviation].
    lambdamin, lambdamax : float
        First and last wavelength [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    dict of str to DataFile or FileSet
        DATACUBE_FINAL, PIXTABLE_REDUCED, IMAGE_FOV by filter, and what else is saved,
        by its category.

    Raises
    ------
    ParameterError
        If cube or individual pixel table are not to be saved.
    """
    wanted = [word.strip() for word in saved.split(",")]
    for word in ("cube", "individual"):
        if word not in wanted:
            msg = f"saved={saved!r} lacks {word!r}, which this step makes in any case"
            raise ParameterError(msg)
    return _parameters(
        extra, save=",".join(wanted), skymethod=skymethod,
        skymodel_fraction=skymodel_fraction, skymodel_ignore=skymodel_ignore,
        filter=images, autocalib=autocalib, rvcorr=rvcorr, weight=weight,
        crsigma=crsigma, lambdamin=lambdamin, lambdamax=lambdamax,
    )  # fmt: skip


@run_task("esorex:muse_exp_align", inputs="IMAGE_FOV",
          outputs={"OFFSET_LIST": "{base}_offsets.fits"})  # fmt: skip
def exp_align(
    *,
    rsearch: str = "30.,4.,2.,0.8",
    threshold: float = 15.0,
    fwhm: Annotated[float, Unit("pixel")] = 5.0,
    srcmin: Annotated[int, Range(ge=1)] = 5,
    srcmax: Annotated[int, Range(ge=1)] = 80,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Find the offsets of exposures from the sources in their images (muse_exp_align).

    Parameters
    ----------
    rsearch : str
        Radii of the search in each iteration [arcsec], with commas.
    threshold : float
        Limit of the detection of sources, in counts, or below 0 in standard deviations.
    fwhm : float
        FWHM of sources [pixel].
    srcmin, srcmax : int
        Least and largest number of sources that are accepted.
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    DataFile
        The OFFSET_LIST: RA_OFFSET and DEC_OFFSET [degree] of each exposure.
    """
    return _parameters(
        extra, rsearch=rsearch, threshold=threshold, fwhm=fwhm, srcmin=srcmin,
        srcmax=srcmax,
    )  # fmt: skip


@run_task(
    "esorex:muse_exp_combine", inputs="PIXTABLE_REDUCED",
    cals={"OFFSET_LIST?": "offsets", "OUTPUT_WCS?": "wcs"} | _FILTERS,
    outputs={"DATACUBE_FINAL": "{base}_combined.fits",
             "IMAGE_FOV?": "{base}_combined-{filter}.fits"},
)  # fmt: skip
def exp_combine(
    *,
    saved: str = "cube",
    weight: Literal["exptime", "fwhm", "header", "none"] = "exptime",
    images: str = "white",
    crsigma: float = 10.0,
    pixfrac: str = "0.6,0.6",
    lambdamin: _Wavelength = 4000.0,
    lambdamax: _Wavelength = 10000.0,
    extra: Extra = None,
) -> dict[str, Any]:
    """
    Combine the reduced pixel tables of exposures to one cube (muse_exp_combine).

    Parameters
    ----------
    saved : str
        What is saved; the cube always.
    weight : {'exptime', 'fwhm', 'header', 'none'}
        What weighs exposures.
    images : str
        Filters of the images, with commas.
    crsigma : float
        Limit for cosmic rays [standard deviation].
    pixfrac : str
        Size of pixels when they are drizzled, spatially and spectrally.
    lambdamin, lambdamax : float
        First and last wavelength [Angstrom].
    extra : mapping or str, optional
        Further parameters of the recipe.

    Returns
    -------
    dict of str to DataFile or FileSet
        DATACUBE_FINAL, and IMAGE_FOV by filter.
    """
    return _parameters(
        extra, save=saved, weight=weight, filter=images, crsigma=crsigma,
        pixfrac=pixfrac, lambdamin=lambdamin, lambdamax=lambdamax,
    )  # fmt: skip
