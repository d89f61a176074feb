"""Sums, means and extremes of an NDLater, and its conversion to other units."""

import warnings
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from astropy import units as u

from ndmapper.data.flagging import Flagging
from ndmapper.data.image import ImageContent, with_content
from ndmapper.errors import UnitError
from ndmapper.numerics.formulas import narrowed

__all__ = ["Reductions"]

Axis = int | tuple[int, ...] | None


class Reductions(Flagging):
    """
    What NDDataArray has too, with variance and flags as they are here.

    Masked pixels are left out. The results have no flags, since a number made of many
    pixels has none.
    """

    def convert_unit_to(self, unit: Any, equivalencies: Any = ()) -> Self:
        """
        Convert to another unit.

        Parameters
        ----------
        unit : unit or str
            The new unit.
        equivalencies : list of tuple, optional
            As `astropy.units.Unit.to` takes them, for data without variance: a
            conversion that is no factor changes a distribution, too.

        Returns
        -------
        NDLater
            The data times a factor, the variance times its square, the flags.

        Raises
        ------
        UnitError
            If there is no unit, or the units do not fit.
        """
        if self.unit is None:
            msg = (
                f"without a unit nothing can be converted to {unit}; set the unit first"
            )
            raise UnitError(msg)
        if equivalencies and self.has("uncertainty"):
            msg = "equivalencies do not convert a variance; take it away first"
            raise UnitError(msg)
        try:
            data = self.unit.to(unit, self.data, equivalencies=list(equivalencies))
            factor = 1.0 if equivalencies else self.unit.to(unit)
        except u.UnitConversionError as err:
            raise UnitError(str(err)) from err
        variance = self.variance
        if variance is not None:
            wide = np.asarray(variance, np.float64) * factor**2
            variance = narrowed(wide, variance.dtype)
        data = np.asarray(data).astype(self.dtype if self.dtype.kind == "f" else float)
        return self.replace(data=data, variance=variance, unit=unit)

    def sum(self, axis: Axis = None) -> Self:
        """
        Add up the pixels that are not masked.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Along which axes; all by default.

        Returns
        -------
        NDLater
            The sum, with the sum of the variances.
        """
        good = self._good()
        return self._reduced(
            np.sum(self._pixels(), axis=axis, where=good),
            lambda variance: np.sum(variance, axis=axis, where=good),
        )

    def mean(self, axis: Axis = None) -> Self:
        """
        Average the pixels that are not masked.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Along which axes; all by default.

        Returns
        -------
        NDLater
            The mean of n pixels, with the sum of their variances over n squared; NaN
            where there is none.
        """
        good = self._good()
        count = np.sum(np.broadcast_to(good, self._pixels().shape), axis=axis)
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._reduced(
                np.sum(self._pixels(), axis=axis, where=good) / count,
                lambda variance: np.sum(variance, axis=axis, where=good) / count**2,
            )

    def min(self, axis: Axis = None) -> Self:
        """
        Find the smallest pixel that is not masked.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Along which axes; all by default.

        Returns
        -------
        NDLater
            It, without variance, for the least of many has another distribution.
        """
        return self._reduced(
            np.min(self._pixels(), axis=axis, where=self._good(), initial=np.inf)
        )

    def max(self, axis: Axis = None) -> Self:
        """
        Find the largest pixel that is not masked.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Along which axes; all by default.

        Returns
        -------
        NDLater
            It, without variance, for the greatest of many has another distribution.
        """
        return self._reduced(
            np.max(self._pixels(), axis=axis, where=self._good(), initial=-np.inf)
        )

    def median(self, axis: Axis = None) -> Self:
        """
        Find the median of the pixels that are not masked.

        Parameters
        ----------
        axis : int or tuple of int, optional
            Along which axes; all by default.

        Returns
        -------
        NDLater
            It; NaN where there is no pixel.

        Raises
        ------
        TypeError
            If there is a variance: that of a median depends on how the pixels that it
            is taken of differ, which is not known.
        """
        if self.content.arrays.get("uncertainty") is not None:
            msg = (
                "the variance of a median is not known, since that depends on how "
                "pixels differ; take it of the data, as in numpy.median(ndd.data), or "
                "of ndd.replace(variance=None)"
            )
            raise TypeError(msg)
        pixels = np.where(self._good(), self._pixels(), np.nan)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where all are masked
            return self._reduced(np.nanmedian(pixels, axis=axis))

    def _pixels(self) -> npt.NDArray[Any]:
        array = self.content.arrays["data"].read_only()
        # In double precision: a sum of a million pixels of float32 loses digits.
        return np.asarray(array, np.float64)

    def _good(self) -> Any:
        mask = self.mask
        return True if mask is None else ~mask

    def _reduced(self, data: Any, variance: Any = None) -> Self:
        new = with_content(type(self), ImageContent.of(np.asarray(data)))
        new.unit = self.unit
        part = self.content.arrays.get("uncertainty")
        if part is not None and variance is not None:
            new.variance = np.asarray(
                variance(np.asarray(part.read_only(), np.float64))
            )
        return new
