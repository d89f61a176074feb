"""The covariances of the pixels of a stack, in a table of it."""

from astropy.table import Table

from ndmapper.data import NDLater
from ndmapper.numerics.correlated_noise import Covariances, sum_variance_factor

__all__ = ["COVARIANCE", "covariances_of", "noise_factor"]

COVARIANCE = "COVARIANCE"
"""Name of the table of covariances of neighbours."""


def noise_factor(table: Table, size: int) -> float:
    """
    Compute how much larger the variance of a sum is than the sum of variances.

    Parameters
    ----------
    table : Table
        The table COVARIANCE of a stack.
    size : int
        The sum is over so many pixels along each side of a square.

    Returns
    -------
    float
        What the sum of the variances of its pixels is to be multiplied by.
    """
    return sum_variance_factor(_read(table), size)


def covariances_of(ndd: NDLater) -> Covariances | None:
    """Read the covariances of the pixels of an image; None where it has no table."""
    return _read(ndd.tables[COVARIANCE]) if COVARIANCE in ndd.tables else None


def _read(table: Table) -> Covariances:
    return {(int(row["dx"]), int(row["dy"])): float(row["covariance"]) for row in table}
