"""
Identify the lines of simulated arcs: python bench_identify.py [ARCS [PEERS]].

A grid of arcs, half of them with 30 percent of spurious and missing lines: nine lamps,
dispersions from 0.2 to 4 Angstrom per pixel, FWHM from 2.2 to 5.5 pixels, either
direction; what is given is wrong by up to 200 Angstrom and 15 percent. Right is within
.1 pixel rms of the truth, between the lines; wrong is an answer that is not. The arcs
are those of the tests, of random strengths. PEERS arcs are compared with fit_dispersion
of specreduce, on the same lines, list and limits (10 s each).
"""

import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy import units as u

from ndmapper.lib.spec.line_lists import join_lists
from ndmapper.numerics.arc_lines import Lines, find_lines
from ndmapper.numerics.arc_match import SearchRange
from ndmapper.numerics.identification import DoubtfulSolutionError, LineList, identify

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from shared_arcs import make_arc

LAMPS = (
    ["HeNeAr"], ["He", "Ar"], ["Ne", "Ar"], ["He", "Hg", "Cd", "Zn", "Ne"],
    ["Hg", "Ar"], ["Kr", "Xe", "Ne"], ["CuAr"], ["FeAr"], ["ThAr"],
)  # fmt: skip
LEAST = 14
LONGEST = 8000.0
DENSITIES = (0.5, 1.0, np.inf)


@dataclass(frozen=True)
class Case:
    """An arc of the grid."""

    seed: int
    doubtful: float

    def setup(self) -> tuple[LineList, float, int, float, bool]:
        """Choose list, dispersion, length, FWHM and direction."""
        rng = np.random.default_rng([self.seed, round(100 * self.doubtful)])
        listed = join_lists(LAMPS[self.seed % len(LAMPS)], "air")
        known = listed.wavelengths
        while True:
            length = int(rng.choice([1024, 2048, 4096]))
            dispersion = float(np.exp(rng.uniform(np.log(0.2), np.log(4.0))))
            most = np.searchsorted(known, known + 0.9 * length * dispersion)
            most = int(np.max(most - np.arange(len(known))))
            if length * dispersion < LONGEST and most > LEAST + 1:
                break
        fwhm = float(rng.uniform(2.2, 5.5))
        return listed, dispersion, length, fwhm, bool(self.seed // len(LAMPS) % 2)

    def draw(self) -> tuple[Any, Lines, LineList, float]:
        """Draw it; its list has so many lines in a FWHM."""
        listed, dispersion, length, fwhm, falls = self.setup()
        arc = make_arc(
            self.seed, listed.wavelengths, dispersion=dispersion, length=length,
            fwhm=fwhm, falls=falls, spurious=self.doubtful, missing=self.doubtful,
            least=LEAST,
        )  # fmt: skip
        low, high = np.sort(arc.truth[[0, -1]])
        within = np.sum((listed.wavelengths > low) & (listed.wavelengths < high))
        lines = find_lines(arc.data, arc.variance)
        return arc, lines, listed, float(within * fwhm / length)


def limits(arc: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """Give the limits of centre and dispersion."""
    step = arc.guessed_dispersion
    return (arc.guess - 200, arc.guess + 200), (step / 1.18, step * 1.18)


def judged(answer: np.ndarray, arc: Any, first: float, last: float) -> str:
    """Tell whether an answer is right between two pixels."""
    x = np.arange(int(np.ceil(first)), int(last))
    off = (answer - arc.truth)[x] / arc.dispersion
    return "right" if np.sqrt(np.mean(off**2)) < 0.1 else "wrong"


def ours(case: Case) -> tuple[str, float, float]:
    """Identify by ndmapper: the verdict, the density of the list, processor time."""
    arc, lines, listed, density = case.draw()
    centre, dispersion = limits(arc)
    search = SearchRange(centre=centre, dispersion=dispersion, directions=(1, -1))
    start = time.process_time()
    try:
        found = identify(lines, listed, arc.length, search)
    except DoubtfulSolutionError:
        return "refused", density, time.process_time() - start
    taken = time.process_time() - start
    answer = found.fit(np.arange(arc.length))
    return judged(answer, arc, *found.covered), density, taken


def theirs(case: Case) -> tuple[str, float, float]:
    """Identify by specreduce, which does not refuse."""
    from specreduce.wavecal1d import WavelengthCalibration1D

    warnings.simplefilter("ignore")
    np.random.seed(1)  # noqa: NPY002  # specreduce takes it from there
    arc, lines, listed, density = case.draw()
    falls = arc.truth[-1] < arc.truth[0]
    # It takes rising wavelengths only.
    pixel = np.sort(lines.pixel[lines.good])
    pixel = np.sort(arc.length - 1 - pixel) if falls else pixel
    centre, dispersion = limits(arc)
    start = time.process_time()
    calibration = WavelengthCalibration1D(
        obs_lines=pixel, line_lists=listed.wavelengths, unit=u.AA,
        ref_pixel=(arc.length - 1) / 2, pix_bounds=(0, arc.length),
    )  # fmt: skip
    solution = calibration.fit_dispersion(centre, dispersion, degree=3)
    taken = time.process_time() - start
    answer = np.asarray(solution.pix_to_wav(np.arange(arc.length)), float)
    answer = answer[::-1] if falls else answer
    first, last = lines.pixel[lines.good][[1, -2]]
    return judged(answer, arc, first, last), density, taken


def show(name: str, results: list[tuple[str, float, float]]) -> None:
    """Print how often an answer is right, and the processor time."""
    verdicts = Counter(verdict for verdict, _, _ in results)
    taken = np.mean([time for _, _, time in results])
    print(
        f"{name:38s} right {verdicts['right']:3d}  wrong {verdicts['wrong']:3d}  "
        f"refused {verdicts['refused']:3d}  {taken:5.2f} s each"
    )


def main() -> None:
    """Identify the grid."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    peers = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    for doubtful in (0.0, 0.3):
        cases = [Case(seed, doubtful) for seed in range(count // 2)]
        with ProcessPoolExecutor(2) as pool:
            results = list(pool.map(ours, cases, chunksize=4))
        kind = f"{100 * doubtful:.0f} percent spurious and missing"
        show(kind, results)
        lower = 0.0
        for upper in DENSITIES:
            part = [r for r in results if lower <= r[1] < upper]
            name = f"  {lower:g} to {upper:g} lines of the list in a FWHM"
            if part:
                show(name, part)
            lower = upper
        if peers:
            show("  ndmapper, first ones", results[:peers])
            show("  specreduce, the same", [theirs(c) for c in cases[:peers]])


if __name__ == "__main__":
    main()
