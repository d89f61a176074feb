"""Subtracting the bias."""

from ndmapper.data import NDLater
from ndmapper.data.detector import amplifier_card, amplifier_numbers
from ndmapper.lib.alike import check_shape
from ndmapper.lib.ccd.applied import applied_card, mark_none
from ndmapper.lib.ccd.readout import keep_digitisation_step
from ndmapper.steps import run_task

__all__ = ["subtract_bias"]


@run_task(prefix="b", cals=["bias"])
def subtract_bias(
    ndd: NDLater, bias: NDLater | None, *, again: bool = False
) -> NDLater:
    """
    Subtract the associated bias.

    Parameters
    ----------
    ndd : NDLater
        Extension of a frame, without overscan and trimmed like the bias.
    bias : NDLater
        The combined bias; None subtracts nothing.
    again : bool
        Subtract a bias also from a frame from which one was subtracted before.

    Returns
    -------
    NDLater
        The frame without bias. Its variance contains that of the bias, also where
        the frame had none before; `add_variance` adds that of the frame. The error of
        the level of the bias, which all its pixels share, is in the cards BIASERRn.

    Raises
    ------
    ParameterError
        If a bias was subtracted already, unless it is to be done again.
    """
    if bias is None:
        return mark_none(ndd, "bias")
    key, card = applied_card(ndd, "bias", again=again)
    check_shape(ndd, bias, "bias")
    result: NDLater = ndd - bias
    result.meta[key] = card
    for number in amplifier_numbers(result.meta):
        error = bias.meta.get(amplifier_card("OVSCERR", number))
        if error is not None:
            result.meta[amplifier_card("BIASERR", number)] = (
                error, f"error of the level of the bias of amplifier {number}"
            )  # fmt: skip
    keep_digitisation_step(ndd, result)
    return result
