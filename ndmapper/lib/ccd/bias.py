"""Subtracting the bias."""

from ndmapper.data import NDLater
from ndmapper.lib.ccd.readout import keep_digitisation_step
from ndmapper.steps import run_task

__all__ = ["subtract_bias"]


@run_task(prefix="b", cals=["bias"])
def subtract_bias(ndd: NDLater, bias: NDLater | None) -> NDLater:
    """
    Subtract the associated bias.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame, without overscan and trimmed like the bias.
    bias : NDLater
        The combined bias; None subtracts nothing.

    Returns
    -------
    NDLater
        The frame without bias. Its variance contains that of the bias, also where
        the frame had none before; `add_variance` adds that of the frame.
    """
    if bias is None:
        return ndd.copy()
    result: NDLater = ndd - bias
    keep_digitisation_step(ndd, result)
    return result
