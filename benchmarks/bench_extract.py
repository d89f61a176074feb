"""
Extract spectra of known flux: python bench_extract.py [FRAMES].

Against BoxcarExtract and HorneExtract of specreduce, on the same frames: flux by truth,
width of the pulls (which should be 1), and processor time. Traces against FitTrace.
"""

import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterator

import numpy as np
from astropy import units as u
from astropy.modeling.models import Polynomial1D
from astropy.nddata import NDData, VarianceUncertainty
from specreduce.extract import BoxcarExtract, HorneExtract
from specreduce.tracing import ArrayTrace, FitTrace

from ndmapper.lib.simulate import SlitScene, SlitSource, SlitSpectrograph
from ndmapper.numerics.extraction import cut_window, extract_boxcar, extract_optimal
from ndmapper.numerics.trace import find_traces, slit_profiles

RADIUS = 12.0
SKY = 20.0

Spectrum = tuple[np.ndarray, np.ndarray]


class Frame:
    """A frame without sky, with the variance that its counts tell, and a mask."""

    def __init__(self, slit: SlitSpectrograph, scene: SlitScene, seed: int) -> None:
        counts = np.asarray(slit.observe(scene.light, seed=seed).data)
        self.data = counts - SKY
        self.variance = np.maximum(counts, 0) + slit.read_noise**2
        self.good = np.ones(self.data.shape, bool)
        self.trace, self.fwhm = scene.traces[0], scene.fwhm
        self.nddata = NDData(
            self.data * u.electron,
            uncertainty=VarianceUncertainty(self.variance * u.electron**2),
            mask=~self.good,
        )

    def mask(self, column_step: int) -> None:
        """Mask the brightest pixel of some columns."""
        columns = np.arange(0, self.data.shape[1], column_step)
        self.good[np.rint(self.trace[columns]).astype(int), columns] = False
        self.nddata.mask = ~self.good

    def own(self, method: str) -> Spectrum:
        """Extract by ndmapper."""
        window = cut_window(
            self.data, self.variance, self.good, trace=self.trace, fwhm=self.fwhm,
            reach=RADIUS + 2,
        )  # fmt: skip
        if method == "boxcar":
            found = extract_boxcar(window, radius=RADIUS)
        else:
            found = extract_optimal(window, kind=method)
        return found.flux, found.variance

    def peer(self, method: str) -> Spectrum:
        """Extract by specreduce."""
        trace = ArrayTrace(self.nddata, self.trace)
        if method == "boxcar":
            found = BoxcarExtract(self.nddata, trace, width=2 * RADIUS)()
        elif method == "gaussian":
            found = HorneExtract(self.nddata, trace)()
        else:
            profile = {
                "name": "interpolated_profile",
                "n_bins_interpolated_profile": 10,
            }
            found = HorneExtract(self.nddata, trace, spatial_profile=profile)()
        return np.asarray(found.flux.value), np.asarray(found.uncertainty.array)


WAYS: dict[str, Callable[[Frame], Spectrum]] = {
    "boxcar": lambda f: f.own("boxcar"),
    "optimal, empirical": lambda f: f.own("empirical"),
    "optimal, Gaussian": lambda f: f.own("gaussian"),
    "specreduce BoxcarExtract": lambda f: f.peer("boxcar"),
    "specreduce HorneExtract, Gaussian": lambda f: f.peer("gaussian"),
    "specreduce HorneExtract, interpolated": lambda f: f.peer("interpolated"),
}


def scenes() -> Iterator[tuple[str, SlitSpectrograph, SlitScene, int]]:
    """Give names, scenes, and which columns have a masked pixel (0: none)."""
    for shift in (0.0, 8.0):
        slit = SlitSpectrograph(shape=(80, 400), trace_shift=shift, read_noise=5)
        for peak in (50, 1000):
            source = SlitSource(row=40.2, flux=peak * 5 * 1.0645)
            scene = slit.science([source], fwhm=(4.0, 6.0), sky=SKY)
            name = f"peak {peak}, trace moves {shift:g} of 400 pixels"
            yield name, slit, scene, 0
            if shift and peak == 1000:
                yield f"{name}, a masked pixel in each 10th column", slit, scene, 10


def compare_fluxes(n: int) -> None:
    """Print flux / truth, its standard error, the width of pulls, and the time."""
    for name, slit, scene, step in scenes():
        frames = [Frame(slit, scene, seed) for seed in range(n)]
        for frame in frames if step else []:
            frame.mask(step)
        print(f"\n| {name} | flux / truth | pull width | columns lost | s |")
        print("|---|---|---|---|---|")
        for way, extract in WAYS.items():
            start = time.process_time()
            try:
                found = np.array([extract(frame) for frame in frames])
            except Exception as err:  # of a peer
                print(f"| {way} | {type(err).__name__}: {err} | | | |")
                continue
            seconds = (time.process_time() - start) / n
            flux, variance = found[:, 0], found[:, 1]
            truth = scene.spectra[0]
            known = np.isfinite(flux) & (variance > 0) & (flux != 0)
            ratio = np.where(known, flux, np.nan) / truth
            pulls = ((flux - truth)[known]) / np.sqrt(variance[known])
            error = np.nanstd(ratio) / np.sqrt(known.sum())
            mean, width = np.nanmean(ratio), np.std(pulls)
            lost = 1 - known.mean()
            print(
                f"| {way} | {mean:.4f} +- {error:.4f} | {width:.3f} | {lost:.1%} "
                f"| {seconds:.3f} |",
                flush=True,
            )


def compare_traces() -> None:
    """Print how far traces are from the truth, and the time."""
    slit = SlitSpectrograph(shape=(80, 2000), trace_shift=8, trace_bend=1)
    scene = slit.science([SlitSource(row=40.2, flux=1500)], fwhm=(4.0, 6.0), sky=SKY)
    frame = Frame(slit, scene, 1)

    def own() -> np.ndarray:
        (one,) = find_traces(slit_profiles(frame.data, frame.variance, frame.good))
        return one.position(2000)

    def peer(method: str) -> np.ndarray:
        words = {"bins": 32, "guess": 40.0, "window": 20, "peak_method": method}
        trace = FitTrace(frame.nddata, trace_model=Polynomial1D(3), **words)
        return np.asarray(trace.trace)

    ways = {
        "trace_spectra": own,
        "FitTrace, gaussian": lambda: peer("gaussian"),
        "FitTrace, centroid": lambda: peer("centroid"),
    }
    print("\n| trace, 2000 columns, peak 300 | median off | largest | s |")
    print("|---|---|---|---|")
    for way, follow in ways.items():
        start = time.process_time()
        off = follow() - frame.trace
        seconds = time.process_time() - start
        largest = np.abs(off).max()
        print(f"| {way} | {np.median(off):+.3f} | {largest:.3f} | {seconds:.2f} |")


if __name__ == "__main__":
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    compare_traces()
    compare_traces()  # the first one imports
    compare_fluxes(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
