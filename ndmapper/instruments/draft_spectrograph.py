"""Draft ``[spectrograph]`` of an instrument's TOML from the headers of its files."""

import re
from collections.abc import Mapping, Sequence

from ndmapper.instruments.header_sample import HeaderSample
from ndmapper.instruments.toml_text import one_line, plain, quoted

__all__ = ["BINNING_PAIRS", "GRATINGS", "SLITS", "draft_spectrograph"]

GRATINGS = (
    "GRATING", "GRATNAME", "DISPERSR", "DISPERSE", "DISPNAME", "GRISM", "GRISM_N",
    "GRATNG_N", "GRISMNAM", "GRISMID", "GRATID", "ALGRNM", "ISIGRAT",
    "ESO INS GRIS1 NAME", "ESO INS GRAT1 NAME", "ESO INS GRAT NAME",
)  # fmt: skip
"""Keywords of the grating or grism, the best first."""

SLITS = (
    "SLIT", "SLITNAME", "SLIT_N", "SLITWID", "SLITWDTH", "ISISLITW", "MASKNAME",
    "SLMSKNAM", "DECKER", "DECKNAME", "ALAPRTNM", "APERTURE", "ESO INS SLIT NAME",
    "ESO INS SLIT1 NAME", "ESO INS SLIT1 WID",
)  # fmt: skip
"""Keywords of the slit, the best first."""

BINNING_PAIRS = (
    ("XBINNING", "YBINNING"), ("DETXBIN", "DETYBIN"), ("CCDXBIN", "CCDYBIN"),
    ("XBIN", "YBIN"), ("BINX", "BINY"), ("ESO DET WIN1 BINX", "ESO DET WIN1 BINY"),
)  # fmt: skip
"""Keywords of the binning along x and y."""

_BINNINGS = ("CCDSUM", "BINNING", "DETBIN", "CCDBIN")
_ANGLES = (
    "SLITPA", "SLITANG", "SLIT_PA", "POSANGLE", "POSANG", "ROTPA", "PA", "ROTPOS",
    "ROTSKYPA", "ESO ADA POSANG", "ESO INS SLIT POSANG",
)  # fmt: skip
_SITES = (
    ("ESO TEL GEOLON", "ESO TEL GEOLAT", "ESO TEL GEOELEV"),
    ("LONGITUD", "LATITUDE", "HEIGHT"),
    ("LONGITUD", "LATITUDE", "ALTITUDE"),
    ("SITELONG", "SITELAT", "SITEELEV"),
    ("OBSGEO-L", "OBSGEO-B", "OBSGEO-H"),
)
_CENTRES = ("CENWAVE", "CENTWAVE", "CENTWLEN", "GRWLEN", "WAVELEN", "GRATWAVE",
            "CWAVE", "ESO INS GRIS1 WLEN", "ESO INS GRAT1 WLEN")  # fmt: skip
_NO_GRATING = re.compile(
    r"open|free|mirror|no|clear|out|focus|imag|unknown|-?\d*$", re.IGNORECASE
)
_ONE_NUMBER = re.compile(r"\D*\d+(\.\d+)?\D*")
_MOST_NM = 2600
_AXES = {"1": "x", "2": "y"}


def draft_spectrograph(
    sample: HeaderSample, descriptors: Mapping[str, str], lamps: Sequence[str]
) -> list[str]:
    """
    Write the lines of ``[spectrograph]``; none if nothing speaks for a spectrograph.

    `lamps` are the names of those that are on in any arc.
    """
    gratings = _gratings(sample) if "grating" in descriptors else []
    if not gratings and not sample.counts("DISPAXIS"):
        return []
    return [
        *_others(sample, "grating", GRATINGS),
        *_others(sample, "slit", SLITS),
        "[spectrograph]",
        *_axis(sample),
        '# wavelength = "falls"     # CHECK: rises along the axis, or falls?',
        *_centre(sample),
        *_binning(sample),
        *_slit(sample),
        "# pixel_scale = 0.5        # CHECK: arcsec for each unbinned pixel",
        *_site(sample),
        '# extinction = "kpno"      # CHECK: name of an extinction curve',
        *_lines(lamps),
        "",
        *_setups(gratings),
    ]


def _gratings(sample: HeaderSample) -> list[str]:
    key = sample.usual(GRATINGS)[0]
    return sorted(text for text in sample.counts(key) if not _NO_GRATING.match(text))


def _others(sample: HeaderSample, name: str, keys: Sequence[str]) -> list[str]:
    """Name the keywords that may be meant instead of the one that was taken."""
    used, *others = sample.usual(keys) or [""]
    if not others:
        return []
    return [f"# CHECK: {name} is that of {used}; there are also {', '.join(others)}."]


def _axis(sample: HeaderSample) -> list[str]:
    axes = sample.counts("DISPAXIS")
    if len(axes) == 1 and (axis := _AXES.get(next(iter(axes)))) is not None:
        return [f'dispersion_axis = "{axis}"      # DISPAXIS']
    if axes:
        return ["# DISPAXIS differs from file to file; each file's own counts."]
    return [
        '# dispersion_axis = "y"    # CHECK: x or y? No DISPAXIS tells; x if left out.'
    ]


def _centre(sample: HeaderSample) -> list[str]:
    for key in sample.usual(_CENTRES)[:1]:
        numbers = [v for v in sample.values(key) if isinstance(v, int | float) and v]
        if numbers:
            # No spectrum of the sky has its middle there in Angstrom.
            is_nm = max(numbers) < _MOST_NM
            named = f'{{ key = "{key}", unit = "nm" }}' if is_nm else f'"{key}"'
            unit = "nm" if is_nm else "Angstrom"
            return [
                f"central_wavelength = {named}    # CHECK: {numbers[0]} {unit}?",
            ]
    return []


def _binning(sample: HeaderSample) -> list[str]:
    for key in sample.usual(_BINNINGS)[:1]:
        return [f'binning = ["{key}"]']
    for pair in BINNING_PAIRS:
        if len(sample.usual(pair)) == len(pair):
            return [f'binning = ["{pair[0]}", "{pair[1]}"]']
    return ['# binning = ["XBIN", "YBIN"]    # CHECK: no keyword of it was found.']


def _slit(sample: HeaderSample) -> list[str]:
    lines = []
    for key in sample.usual(SLITS)[:1]:
        texts = sample.counts(key)
        widths = [text for text in texts if _ONE_NUMBER.fullmatch(text)]
        if widths:
            shown = one_line(repr(widths[0]))
            lines.append(f'slit_width = "{key}"    # CHECK: in arcsec? It is {shown}.')
    if angles := sample.usual(_ANGLES):
        lines.append(
            f'# slit_angle = "{angles[0]}"    # CHECK: from north to east? '
            f"Found {', '.join(angles)}."
        )
    return lines or ["# slit_width = 1.0         # CHECK: arcsec"]


def _site(sample: HeaderSample) -> list[str]:
    for keys in _SITES:
        values = [
            sample.values(key)[0] if sample.usual([key]) else None for key in keys
        ]
        numbers = [v for v in values if isinstance(v, int | float)]
        if len(numbers) == len(keys):
            longitude, latitude, height = numbers
            return [
                f"# CHECK: {keys[0]}, positive to the east?",
                f"site = {{ longitude = {float(longitude)}, latitude = "
                f"{float(latitude)}, height = {float(height)} }}",
            ]
    return [
        "# site = { longitude = -70.8, latitude = -30.2, height = 2700.0 }  # CHECK"
    ]


def _lines(lamps: Sequence[str]) -> list[str]:
    said = f" of {', '.join(lamps)}" if lamps else " of the lamps"
    return [f'# lines = ["He", "Ar"]      # CHECK: the lists of lines{said}']


def _setups(gratings: Sequence[str]) -> list[str]:
    lines = []
    for text in gratings:
        lines += [
            "# [[spectrograph.setup]]   # CHECK: wavelengths of both ends [Angstrom]",
            f"# where = {{ grating = {quoted(plain(text))} }}",
            "# wavelength_range = [4000.0, 7000.0]",
            "# dispersion = 1.5",
            "",
        ]
    return lines
