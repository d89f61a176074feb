"""Trial offsets of an exposure, which the user compares, and accepts or clears."""

from collections.abc import Callable
from typing import TypeAlias

from ndmapper.errors import ParameterError
from ndmapper.steps import decide

__all__ = ["Trial", "ask_offset", "decide_offset"]

Trial: TypeAlias = tuple[float, float, float]
"""Offset to the east and north [arcsec], and rotation [degree]."""

_HELP = """\
EAST NORTH [ROTATION]      try an offset [arcsec; degree]
add EAST NORTH [ROTATION]  try the last one and this
compare                    list what was tried
accept [NUMBER]            keep an offset, by default the last one
clear                      forget what was accepted: the measured offset holds"""


def decide_offset(
    name: str, measured: Trial, judge: Callable[[Trial], float]
) -> Trial | None:
    """
    Give the offset that the user accepted, now or earlier.

    Parameters
    ----------
    name : str
        Name of the exposure.
    measured : tuple of float
        The offset that was measured.
    judge : callable
        Gives how well an offset fits: the correlation with the reference.

    Returns
    -------
    tuple of float or None
        None where the measured offset holds.

    Raises
    ------
    ParameterError
        If what was kept is not an offset.
    """

    def ask(old: list[float] | None) -> list[float] | None:
        return ask_offset(name, measured, old, judge, read=input, write=print)

    answer = decide(f"offset of {name}", ask, None)
    if answer is None:
        return None
    try:
        east, north, angle = (float(number) for number in answer)
    except (TypeError, ValueError) as err:
        msg = (
            f"the offset that was accepted for {name} is {answer!r}; it must be [east, "
            "north, rotation] in arcsec and degrees, or null for the measured one"
        )
        raise ParameterError(msg) from err
    return east, north, angle


def ask_offset(
    name: str,
    measured: Trial,
    accepted: list[float] | None,
    judge: Callable[[Trial], float],
    *,
    read: Callable[[str], str],
    write: Callable[[str], None],
) -> list[float] | None:
    """
    Ask on the terminal for the offset of an exposure.

    Parameters
    ----------
    name : str
        Name of the exposure.
    measured : tuple of float
        The offset that was measured.
    accepted : list of float or None
        What was accepted earlier.
    judge : callable
        Gives how well an offset fits: the correlation with the reference.
    read, write : callable
        How a line is asked for, given a prompt, and how text is written.

    Returns
    -------
    list of float or None
        The offset that is accepted; None for the measured one.
    """
    trials: list[tuple[str, Trial]] = [("measured", measured)]
    if accepted is not None:
        east, north, angle = accepted
        trials.append(("accepted", (east, north, angle)))
    write(f"{name}\n{_HELP}")
    _compare(trials, judge, write)
    while True:
        try:
            words = read("offset> ").split()
        except EOFError:
            return accepted
        if not words:
            return accepted
        if words == ["clear"]:
            return None
        if words == ["compare"]:
            _compare(trials, judge, write)
        elif words[0] == "accept" and len(words) < 3:
            number = words[1] if len(words) == 2 else str(len(trials) - 1)
            if number.isdigit() and int(number) < len(trials):
                # The measured one holds by itself, also when it is measured again.
                chosen = trials[int(number)]
                return None if chosen[0] == "measured" else list(chosen[1])
            write(f"there is no offset {number}")
        elif (trial := _read(words, trials[-1][1])) is not None:
            trials.append(("trial", trial))
            _compare(trials[-1:], judge, write, first=len(trials) - 1)
        else:
            write(_HELP)


def _compare(
    trials: list[tuple[str, Trial]],
    judge: Callable[[Trial], float],
    write: Callable[[str], None],
    first: int = 0,
) -> None:
    for number, (kind, trial) in enumerate(trials, first):
        east, north, angle = trial
        write(
            f"{number}: {east:+.3f} east, {north:+.3f} north, {angle:+.4f} degree, "
            f"correlation {judge(trial):.4f} ({kind})"
        )


def _read(words: list[str], last: Trial) -> Trial | None:
    """Read an offset, or what is added to the last one."""
    base = last if words[0] == "add" else (0.0, 0.0, 0.0)
    try:
        numbers = [float(word) for word in words[words[0] == "add" :]]
    except ValueError:
        return None
    if len(numbers) not in (2, 3) or not all(abs(n) < 1e6 for n in numbers):
        return None
    turn = numbers[2] if len(numbers) == 3 else 0.0
    return base[0] + numbers[0], base[1] + numbers[1], base[2] + turn
