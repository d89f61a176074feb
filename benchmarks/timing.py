"""How the benchmarks measure: the best of several repetitions, shown as ratios."""

import time
from collections.abc import Callable, Mapping


def best(work: Callable[[], object], repeat: int = 7, seconds: float = 0.2) -> float:
    """
    Time a piece of work.

    Parameters
    ----------
    work : callable
        What is timed.
    repeat : int
        How many measurements; the least is taken, since all that disturbs adds.
    seconds : float
        Length of one measurement, which repeats the work as often as it fits.

    Returns
    -------
    float
        Time of one repetition [s].
    """
    work()
    start = time.perf_counter()
    work()
    count = max(1, int(seconds / (time.perf_counter() - start)))
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        for _ in range(count):
            work()
        times.append((time.perf_counter() - start) / count)
    return min(times)


def together(
    works: Mapping[str, Callable[[], object]], repeat: int = 9, seconds: float = 0.1
) -> dict[str, float]:
    """
    Time pieces of work in turns, so that what disturbs one disturbs the others too.

    Parameters
    ----------
    works : dict of str to callable
        What is timed.
    repeat : int
        How many rounds; the least of each is taken.
    seconds : float
        Length of one measurement.

    Returns
    -------
    dict of str to float
        Time of one repetition of each [s].
    """
    times = {what: best(work, 1, seconds) for what, work in works.items()}
    for _ in range(repeat - 1):
        for what, work in works.items():
            times[what] = min(times[what], best(work, 1, seconds))
    return times


def timed(work: Callable[[], object]) -> float:
    """
    Time a piece of work once.

    Parameters
    ----------
    work : callable
        What is timed.

    Returns
    -------
    float
        Its time [s].
    """
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def show(times: dict[str, float], unit: str) -> None:
    """
    Print times, and their ratios to the first.

    Parameters
    ----------
    times : dict of str to float
        What was measured, and how long it takes [s].
    unit : str
        What the times are of.
    """
    first = next(iter(times.values()))
    for what, seconds in times.items():
        print(f"{what:<48} {seconds * 1e6:10.0f} us {seconds / first:8.2f}  per {unit}")
