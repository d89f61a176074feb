"""Telling one slit from several, and from the orders of an echelle, by their light."""

import numpy as np
import numpy.typing as npt

__all__ = ["SeveralSlitsError", "check_one_slit", "strips_of_light"]

Array = npt.NDArray[np.float64]

_LIT, _DARK = 0.3, 0.15
"""Rows are lit, or dark, above or below such a part of the way to the brightest."""

_LEAST_ROWS = 3
_FEW, _GAP = 3, 0.25
"""So many strips may be one slit with bridges, if such a part of it at most is dark."""

_NOISE = 20.0
_BLOCK = 16


class SeveralSlitsError(ValueError):
    """The frame has several slits, or orders, and not one slit."""


def strips_of_light(profile: Array) -> list[tuple[int, int]]:
    """
    Find the strips of light of a profile along the slit, with dark rows between them.

    Parameters
    ----------
    profile : ndarray of float, shape (ny,)
        Light of each row; NaN where it is not known, which parts no strip.

    Returns
    -------
    list of (int, int)
        First row of each strip, and the row after its last; none if light and dark do
        not differ by more than noise.
    """
    known = np.flatnonzero(np.isfinite(profile))
    if known.size < 2 * _LEAST_ROWS:
        return []
    values = profile[known]
    dark, bright = (float(v) for v in np.percentile(values, [2, 95]))
    noise = 1.4826 * float(np.median(np.abs(np.diff(values)))) / np.sqrt(2)
    # What is lit all over, or too faint, has no dark rows.
    if dark > _LIT * bright or bright - dark <= _NOISE * noise:
        return []
    part = (values - dark) / (bright - dark)
    strips: list[tuple[int, int]] = []
    start, stop = -1, -1
    for row, light in zip(known.tolist(), part.tolist(), strict=True):
        if light > _LIT:
            start = row if start < 0 else start
            stop = row + 1
        elif light < _DARK and start >= 0:
            strips.append((start, stop))
            start = -1
    if start >= 0:
        strips.append((start, stop))
    return [strip for strip in strips if strip[1] - strip[0] >= _LEAST_ROWS]


def check_one_slit(image: Array) -> None:
    """
    Refuse a frame of several slits, or of the orders of an echelle.

    A slit may have bridges: up to three strips of light, if what is dark between them
    is at most a quarter of the whole.

    Parameters
    ----------
    image : ndarray of float, shape (ny, nx)
        A flat, or the light of each row with nx = 1, with the slit along axis 0; NaN
        where a pixel is bad.

    Raises
    ------
    SeveralSlitsError
        If there are several slits.
    """
    nx = image.shape[1]
    found: list[list[tuple[int, int]]] = []
    for first in range(0, nx, max(_BLOCK, nx // 40)):
        columns = image[:, first : first + _BLOCK]
        profile = np.full(len(columns), np.nan)
        good = np.isfinite(columns).any(axis=1)
        if good.any():
            profile[good] = np.nanmedian(columns[good], axis=1)
        if strips := strips_of_light(profile):
            found.append(strips)
    if not found:
        return
    count = int(np.median([len(strips) for strips in found]))
    gaps = [1 - sum(b - a for a, b in s) / (s[-1][1] - s[0][0]) for s in found]
    if count > _FEW or (count > 1 and float(np.median(gaps)) > _GAP):
        msg = (
            f"{count} strips of light lie beside each other along the slit, as several "
            "slits or the orders of an echelle make them, and one long slit is "
            "expected; cut one slit out, or state its rows as slit = [first, last] in "
            "[spectrograph]"
        )
        raise SeveralSlitsError(msg)
