"""
Identify the lines of simulated arcs: python bench_identify.py [ARCS].

Against fit_dispersion of specreduce, on the same lines, list and limits: 200 Angstrom
and 15 percent either way. Right is within .1 pixel rms of the truth, between the lines;
wrong is an answer that is not.
"""

import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
from astropy import units as u
from specreduce.wavecal1d import WavelengthCalibration1D

from ndmapper.lib.spec.line_lists import join_lists
from ndmapper.numerics.arc_lines import Lines, find_lines
from ndmapper.numerics.arc_match import SearchRange
from ndmapper.numerics.identification import DoubtfulSolutionError, LineList, identify

LENGTH, STEP, FWHM = 2048, 1.05, 3.0

Answer = np.ndarray | None


class Arc:
    """An arc of random strengths, bent as one of a grism is."""

    def __init__(self, seed: int, listed: LineList) -> None:
        rng = np.random.default_rng(seed)
        u_ = np.linspace(-1, 1, LENGTH)
        self.centre = rng.uniform(4200, 6000)
        bent = rng.uniform(-0.05, 0.05) * u_**2 - 0.004 * u_**3
        self.truth = self.centre + STEP * LENGTH / 2 * (u_ + bent)
        known = listed.wavelengths
        known = known[(known > self.truth[5]) & (known < self.truth[-5])]
        places = np.interp(known, self.truth, np.arange(LENGTH))
        peaks = 4e4 * np.exp(-np.abs(rng.normal(0, 1.5, len(places))))
        x = np.arange(LENGTH)
        sigma = FWHM / 2.3548
        clean = 20 + sum(
            p * np.exp(-0.5 * ((x - c) / sigma) ** 2)
            for c, p in zip(places, peaks, strict=True)
        )
        data = rng.poisson(clean) + rng.normal(0, 4, LENGTH)
        self.lines = find_lines(data, np.maximum(data, 0) + 16)
        self.guess = self.centre + rng.uniform(-150, 150)
        self.step = STEP * rng.uniform(0.9, 1.1)


def ours(arc: Arc, listed: LineList) -> Answer:
    """Identify by ndmapper."""
    search = SearchRange(
        centre=(arc.guess - 200, arc.guess + 200),
        dispersion=(arc.step / 1.15, arc.step * 1.15),
    )
    try:
        found = identify(arc.lines, listed, LENGTH, search)
    except DoubtfulSolutionError:
        return None
    return found.fit(np.arange(LENGTH))


def theirs(arc: Arc, listed: LineList) -> Answer:
    """Identify by specreduce."""
    lines: Lines = arc.lines
    calibration = WavelengthCalibration1D(
        obs_lines=lines.pixel[lines.good],
        line_lists=listed.wavelengths,
        unit=u.AA,
        ref_pixel=(LENGTH - 1) / 2,
        pix_bounds=(0, LENGTH),
    )
    solution = calibration.fit_dispersion(
        (arc.guess - 200, arc.guess + 200), (arc.step / 1.15, arc.step * 1.15), degree=3
    )
    return np.asarray(solution.pix_to_wav(np.arange(LENGTH)), float)


def measure(
    name: str,
    work: Callable[[Arc, LineList], Answer],
    arcs: list[Arc],
    listed: LineList,
) -> None:
    """Print how often an answer is right, and the processor time."""
    start = time.process_time()
    errors = []
    refused = 0
    for arc in arcs:
        answer = work(arc, listed)
        if answer is None:
            refused += 1
            continue
        first, last = (int(arc.lines.pixel[i]) for i in (0, -1))
        off = (answer - arc.truth)[first:last] / STEP
        errors.append(float(np.sqrt(np.mean(off**2))))
    taken = (time.process_time() - start) / len(arcs)
    right = [e for e in errors if e < 0.1]
    typical = np.median(right) if right else np.nan
    print(
        f"{name:12s} right {len(right):3d}  wrong {len(errors) - len(right):3d}  "
        f"refused {refused:3d}  error of right ones {typical:.3f} pixel  "
        f"{taken:6.2f} s each"
    )


def main() -> None:
    """Compare both."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    listed = join_lists(["He", "Hg", "Cd", "Ne"], "air")
    arcs = [Arc(seed, listed) for seed in range(count)]
    warnings.simplefilter("ignore")
    np.random.seed(1)  # noqa: NPY002  # specreduce takes it from there
    measure("ndmapper", ours, arcs, listed)
    measure("specreduce", theirs, arcs, listed)


if __name__ == "__main__":
    main()
