"""
Long-slit spectra by ndmapper, specreduce, IRAF and PypeIt: python bench_peers.py [N].

N is the number of frames of each kind (20). All work on the same files and write files,
in turns, and are timed by the wall clock. IRAF is called by ndmapper's run_task, with
the parameters that stand here. Each program measures the trace by a bright star, and
uses it for all frames. The last part needs a folder with the products of
examples/kast_longslit.py, and the spectrum of PypeIt::

    python bench_peers.py 20 PRODUCTS spec1d_b27.fits
"""

import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from astropy import units as u
from astropy.io import fits
from astropy.modeling.models import Polynomial1D
from astropy.nddata import NDData, VarianceUncertainty
from astropy.table import Table
from iraf_slit import apall, autoidentify, calibrate, dispcor, sensfunc, wavelengths_of
from specreduce.background import Background
from specreduce.extract import BoxcarExtract, HorneExtract
from specreduce.tracing import ArrayTrace, FitTrace
from specreduce.wavecal1d import WavelengthCalibration1D

from ndmapper import config
from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import NdmapperError
from ndmapper.lib import figures, spec
from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
from ndmapper.lib.spec.line_lists import join_lists
from ndmapper.numerics.arc_lines import find_lines

RADIUS = 12.0
NEAR, FAR = 15.0, 25.0
SKY, NOISE = 20.0, 5.0
ROUNDS = 2
LAMPS = ["He", "Hg", "Cd", "Ne"]


class Spectra(NamedTuple):
    """What a program found: flux and its error, each (frames, columns)."""

    flux: np.ndarray
    error: np.ndarray | None


def write(name: str, ndd: NDLater, **header: Any) -> DataFile:
    """Write a frame, and its variance as its counts tell it."""
    counts = np.asarray(ndd.data, np.float32)
    frame = NDLater(counts, unit="electron")
    frame.variance = np.maximum(counts, 0) + NOISE**2
    file = DataFile(name, data=[frame], mode="overwrite")
    for key, value in header.items():
        file.meta[key] = value
    file.save()
    return file


def timed(ways: dict[str, Callable[[], Any]]) -> dict[str, tuple[Any, float]]:
    """Do each in turns; give the results and the shortest times."""
    done: dict[str, tuple[Any, float]] = {}
    for _ in range(ROUNDS):
        for name, work in ways.items():
            start = time.perf_counter()
            try:
                result = work()
            except (ValueError, IndexError, NdmapperError) as err:
                result = err
            taken = time.perf_counter() - start
            done[name] = result, min(taken, done.get(name, (None, np.inf))[1])
    return done


# ---- extraction


def by_ndmapper(files: DataFileList, trace: DataFile, **words: Any) -> Spectra:
    """Extract by a step."""
    made = spec.extract_spectra(
        files, trace=trace, radius=RADIUS, background="constant",
        windows=[(-FAR, -NEAR), (NEAR, FAR)], **words,
    )  # fmt: skip
    return Spectra(
        np.array([df[0].data for df in made]),
        np.sqrt(np.array([df[0].variance for df in made])),
    )


def without_figures(work: Callable[[], Any]) -> Any:
    """Do it without drawing the figures of steps."""
    drawn = figures.new_figure
    figures.new_figure = lambda: None
    try:
        return work()
    finally:
        figures.new_figure = drawn


def by_apall(files: DataFileList, star: DataFile, **words: Any) -> Spectra:
    """Extract by IRAF; the last band has errors where pixels are weighed."""
    made = apall(files, "i", references=star, readnoise=NOISE, **words)
    bands = np.array([df[0].data[:, 0] for df in made])
    weighed = words["weights"] == "variance"
    return Spectra(bands[:, 0], bands[:, -1] if weighed else None)


def by_specreduce(files: DataFileList, trace: ArrayTrace, kind: str) -> Spectra:
    """Extract by specreduce."""
    fluxes, errors = [], []
    for file in files:
        name = str(file)
        with fits.open(name) as hdus:
            data, variance = hdus["SCI"].data, hdus["VAR"].data
        image = NDData(
            data.astype(float) * u.electron,
            uncertainty=VarianceUncertainty(variance.astype(float) * u.electron**2),
            mask=np.zeros(data.shape, bool),
        )
        middle = (NEAR + FAR) / 2
        sky = Background.two_sided(image, trace, middle, width=FAR - NEAR)
        image = image_of(sky.sub_image(), image)
        if kind == "boxcar":
            found = BoxcarExtract(image, trace, width=2 * RADIUS)()
        elif kind == "gaussian":
            found = HorneExtract(image, trace)()
        else:
            profile = {"name": kind, "n_bins_interpolated_profile": 10}
            found = HorneExtract(image, trace, spatial_profile=profile)()
        fluxes.append(np.asarray(found.flux.value))
        errors.append(np.sqrt(np.abs(found.uncertainty.array)))
        fits.PrimaryHDU(np.array([fluxes[-1], errors[-1]])).writeto(
            f"s{name}", overwrite=True
        )
    return Spectra(np.array(fluxes), np.array(errors))


def image_of(spectrum: Any, before: NDData) -> NDData:
    """Give a subtracted image with the noise that it had."""
    return NDData(
        np.asarray(spectrum.flux.value) * u.electron,
        uncertainty=before.uncertainty,
        mask=before.mask,
    )


def extraction(n: int) -> None:
    """Compare fluxes and errors with the truth."""
    slit = SlitSpectrograph(shape=(80, 400), trace_shift=8, read_noise=NOISE)
    words: dict[str, Any] = {"fwhm": (4.0, 6.0), "sky": SKY}
    bright = slit.science([SlitSource(row=40.2, flux=60000.0)], **words)
    star = write("bright.fits", slit.observe(bright.light, seed=99))
    apall(star, "i")
    geometry = {"dispersion_axis": "x"}
    trace = spec.trace_spectra(star, objects=1, spectrograph=geometry)
    image = NDData(np.asarray(star[0].data, float) * u.electron)
    fitted = FitTrace(
        image, trace_model=Polynomial1D(3), bins=32, guess=40.0, window=20,
        peak_method="gaussian",
    )  # fmt: skip
    followed = ArrayTrace(image, np.asarray(fitted.trace))
    for peak in (50, 1000):
        scene = slit.science([SlitSource(row=40.2, flux=peak * 5 * 1.0645)], **words)
        files = DataFileList(
            data=[
                write(f"f{seed}.fits", slit.observe(scene.light, seed=seed))
                for seed in range(n)
            ]
        )
        files = DataFileList([f"f{seed}.fits" for seed in range(n)])
        done = timed(extractors(files, trace, star, followed, geometry))
        show(f"peak {peak}", done, scene.spectra[0], n)


def extractors(
    files: DataFileList,
    trace: DataFile,
    star: DataFile,
    followed: ArrayTrace,
    geometry: dict[str, Any],
) -> dict[str, Callable[[], Spectra]]:
    """Give all ways to extract the same files."""
    return {
        "ndmapper, boxcar": lambda: by_ndmapper(
            files, trace, method="boxcar", spectrograph=geometry
        ),
        "ndmapper, optimal": lambda: by_ndmapper(
            files, trace, method="optimal", spectrograph=geometry
        ),
        "ndmapper, optimal, no figures": lambda: without_figures(
            lambda: by_ndmapper(files, trace, method="optimal", spectrograph=geometry)
        ),
        "IRAF apall, weights=none": lambda: by_apall(files, star, weights="none"),
        "IRAF apall, weights=variance, pfit=fit1d": lambda: by_apall(
            files, star, weights="variance", pfit="fit1d"
        ),
        "IRAF apall, weights=variance, pfit=fit2d": lambda: by_apall(
            files, star, weights="variance", pfit="fit2d"
        ),
        "specreduce BoxcarExtract": lambda: by_specreduce(files, followed, "boxcar"),
        "specreduce HorneExtract, Gaussian": lambda: by_specreduce(
            files, followed, "gaussian"
        ),
        "specreduce HorneExtract, interpolated": lambda: by_specreduce(
            files, followed, "interpolated_profile"
        ),
    }


def show(
    title: str, done: dict[str, tuple[Any, float]], truth: np.ndarray, n: int
) -> None:
    """Print flux by truth, scatter, width of pulls, and times."""
    first = done["ndmapper, boxcar"][1]
    print(f"\n| {title} | flux / truth | scatter [%] | pull width | s/frame | ratio |")
    print("|---|---|---|---|---|---|")
    for name, (found, taken) in done.items():
        if isinstance(found, Exception):
            print(f"| {name} | {found} | | | | |")
            continue
        flux = found.flux
        ratio = np.where(np.isfinite(flux) & (flux != 0), flux, np.nan) / truth
        scatter = np.nanstd(ratio)
        mean = f"{np.nanmean(ratio):.4f} +- {scatter / np.sqrt(flux.size):.4f}"
        width = "none"
        if found.error is not None:
            known = np.isfinite(ratio) & (found.error > 0)
            width = f"{np.std(((flux - truth) / found.error)[known]):.3f}"
        print(
            f"| {name} | {mean} | {100 * scatter:.2f} | {width} | {taken / n:.3f} "
            f"| {taken / first:.2f} |",
            flush=True,
        )


# ---- wavelengths


def wavelengths(n: int) -> None:
    """Compare wavelengths at the trace of a star with the truth."""
    listed = join_lists(LAMPS, "air")
    Path("lines.dat").write_text("".join(f"{w:.4f}\n" for w in listed.wavelengths))
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(n):
        slit = SlitSpectrograph(
            shape=(60, 1000), trace_shift=4, wavelength_range=(4000.0, 6600.0),
            nonlinearity=20, tilt=2, bend=0.3, read_noise=NOISE,
        )  # fmt: skip
        scene = slit.science([SlitSource(row=30.2, flux=20000.0)])
        rng = np.random.default_rng(seed)
        strengths = 3e4 * np.exp(-np.abs(rng.normal(0, 1.5, listed.wavelengths.size)))
        lines = list(zip(listed.wavelengths, strengths, strict=True))
        write("star.fits", slit.observe(scene.light, seed=seed))
        arc = write(
            "arc.fits", slit.observe(slit.arc(lines, background=20.0), seed=500 + seed)
        )
        centre, step = 5300 + rng.uniform(-100, 100), 2.6 * rng.uniform(0.95, 1.05)
        ways = identifiers(arc, centre, step, listed, scene)
        for name, (answer, taken) in timed_once(ways).items():
            off = np.nan
            if not isinstance(answer, Exception):
                off = float(np.std((answer - scene.wavelengths[0])[20:-20]) / 2.6)
                off = float(np.hypot(
                    off, np.mean((answer - scene.wavelengths[0])[20:-20]) / 2.6
                ))  # fmt: skip
            rows.setdefault(name, []).append((off, taken))
    print(
        "\n| arcs | right | wrong | refused | rms of right ones [pixel] | s | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    first = np.median([taken for _, taken in rows["ndmapper make_wavelengths, 2-D"]])
    for name, found in rows.items():
        off, taken = np.array(found).T
        right = off < 0.1
        wrong, refused = np.sum(off >= 0.1), np.sum(np.isnan(off))
        rms = np.sqrt(np.mean(off[right] ** 2)) if right.any() else np.nan
        spent = np.median(taken)
        print(
            f"| {name} | {right.sum()} | {wrong} | {refused} | {rms:.4f} "
            f"| {spent:.2f} | {spent / first:.2f} |",
            flush=True,
        )


def timed_once(ways: dict[str, Callable[[], Any]]) -> dict[str, tuple[Any, float]]:
    """Do each once."""
    done = {}
    for name, work in ways.items():
        start = time.perf_counter()
        try:
            result = work()
        except (ValueError, IndexError, NdmapperError) as err:
            result = err
        done[name] = result, time.perf_counter() - start
    return done


def identifiers(
    arc: DataFile, centre: float, step: float, listed: Any, scene: Any
) -> dict[str, Callable[[], np.ndarray]]:
    """Give the ways to find the wavelengths of one arc, at the trace of the star."""
    columns = np.arange(scene.wavelengths.shape[1])
    half = step * (columns.size - 1) / 2

    def ours() -> np.ndarray:
        given = {"wavelength_range": [centre - half, centre + half]}
        made = spec.make_wavelengths(
            arc, lines=LAMPS, medium="air", shift=200.0,
            spectrograph={"dispersion_axis": "x", "dispersion": step} | given,
        )  # fmt: skip
        trace = scene.traces[0]
        below = np.floor(trace).astype(int)
        part = trace - below
        image = np.asarray(made[0].data)
        return np.asarray(
            (1 - part) * image[below, columns] + part * image[below + 1, columns]
        )

    def iraf() -> np.ndarray:
        words = {"t_order": 2, "background": "none", "extras": False}
        apall("star.fits", "e", **words)
        found = apall(arc, "e", references=DataFile("star.fits"), **words)
        autoidentify(found, centre, step)
        return wavelengths_of("idearc_1", columns.size)

    def theirs() -> np.ndarray:
        frame = NDData(
            np.asarray(arc[0].data, float) * u.electron,
            uncertainty=VarianceUncertainty(
                np.asarray(arc[0].variance) * u.electron**2
            ),
        )
        trace = ArrayTrace(frame, scene.traces[0])
        flux = BoxcarExtract(frame, trace, width=2 * RADIUS)()
        lines = find_lines(
            np.asarray(flux.flux.value), np.asarray(flux.uncertainty.array)
        )
        calibration = WavelengthCalibration1D(
            obs_lines=lines.pixel[lines.good], line_lists=listed.wavelengths, unit=u.AA,
            ref_pixel=(columns.size - 1) / 2, pix_bounds=(0, columns.size),
        )  # fmt: skip
        solution = calibration.fit_dispersion(
            (centre - 200, centre + 200), (step / 1.15, step * 1.15), degree=3
        )
        return np.asarray(solution.pix_to_wav(columns), float)

    return {
        "ndmapper make_wavelengths, 2-D": ours,
        "the same, no figures": lambda: without_figures(ours),
        "IRAF autoidentify, 1-D": iraf,
        "specreduce fit_dispersion, 1-D": theirs,
    }


# ---- flux


def area(w: np.ndarray) -> np.ndarray:
    """Give the effective area of the simulated telescope [cm2]."""
    bump = np.exp(-0.5 * ((w - 5000) / 900) ** 2)
    return np.asarray(500 + 6000 * bump * (1 + 0.1 * np.sin(w / 300)))


def star_flux(w: np.ndarray) -> np.ndarray:
    """Give the flux of a hot star with lines of hydrogen [erg/s/cm2/Angstrom]."""
    flux = 1e-13 * (w / 5000) ** -3
    for centre in (4101.7, 4340.5, 4861.3):
        flux = flux * (1 - 0.4 * np.exp(-0.5 * ((w - centre) / 10) ** 2))
    return np.asarray(flux)


def target_flux(w: np.ndarray) -> np.ndarray:
    """Give the flux of the target [erg/s/cm2/Angstrom]."""
    return np.asarray(3e-14 * (w / 5000) ** 1.5)


def fluxes(n: int) -> None:
    """Compare calibrated spectra with the truth, from raw frames of a night."""
    slit = SlitSpectrograph(
        shape=(60, 1000), trace_shift=4, wavelength_range=(4000.0, 6600.0),
        nonlinearity=20, tilt=2, bend=0.3, read_noise=NOISE,
    )  # fmt: skip
    listed = join_lists(LAMPS, "air")
    Path("lines.dat").write_text("".join(f"{w:.4f}\n" for w in listed.wavelengths))
    centres = np.arange(4050.0, 6550.0, 50.0)
    grid = centres[:, None] + np.linspace(-25, 25, 501)
    mean = np.mean(star_flux(grid) * grid**2 / 2.99792458e18, axis=1)
    table = Path("bench.dat")
    lines = zip(centres, -2.5 * np.log10(mean) - 48.6, strict=True)
    table.write_text("".join(f"{w:.1f} {m:.5f} 50\n" for w, m in lines))
    Path("standards.men").write_text("bench\n")
    along = np.linspace(-1, 1, 1000)
    known = 5300 + 1300 * along + 20 * (along**2 - 1)
    rows: dict[str, list[tuple[float, float, float]]] = {}
    for seed in range(n):
        rng = np.random.default_rng(seed)
        strengths = 3e4 * np.exp(-np.abs(rng.normal(0, 1.5, listed.wavelengths.size)))
        light = slit.arc(list(zip(listed.wavelengths, strengths, strict=True)))
        write("arc.fits", slit.observe(light + 20, seed=700 + seed))
        for name, flux, seconds in (
            ("star", star_flux, 300.0), ("target", target_flux, 120.0),
        ):  # fmt: skip

            def electrons(w: np.ndarray, flux: Any = flux, t: float = seconds) -> Any:
                step = np.interp(w, known, np.gradient(known))
                return flux(w) * area(w) * w / 1.98644586e-8 * step * t

            source = SlitSource(row=30.2, flux=electrons)
            scene = slit.science([source], fwhm=4.0, sky=SKY)
            cards = {"EXPTIME": seconds, "OBJECT": name, "AIRMASS": 1.0}
            frame = slit.observe(scene.light, seed=800 + seed)
            write(f"{name}.fits", frame, REFSPEC1="earc_1", **cards)
        ways = {
            "ndmapper": ours_calibrated,
            "ndmapper, no figures": lambda: without_figures(ours_calibrated),
            "IRAF": iraf_calibrated,
        }
        for name, (answer, taken) in timed_once(ways).items():
            if isinstance(answer, Exception):
                raise answer
            w, found = answer
            use = (w > 4060) & (w < 6510)
            ratio = np.where(use, found / target_flux(w), np.nan)
            part = np.floor((w - 4060) / 122.5)
            bins = np.array([np.nanmean(ratio[part == k]) for k in range(20)])
            worst = float(np.max(np.abs(bins - 1)))
            rms = float(np.sqrt(np.mean((bins - 1) ** 2)))
            rows.setdefault(name, []).append((rms, worst, taken))
    print("\n| night | rms in 20 bins [%] | largest [%] | s | ratio |")
    print("|---|---|---|---|---|")
    first = np.median([row[2] for row in rows["ndmapper"]])
    for name, values in rows.items():
        rms, worst, taken = np.array(values).T
        spent = np.median(taken)
        print(
            f"| {name} | {100 * np.sqrt(np.mean(rms**2)):.2f} "
            f"| {100 * worst.max():.2f} | {spent:.2f} | {spent / first:.2f} |"
        )


def ours_calibrated() -> tuple[np.ndarray, np.ndarray]:
    """Calibrate the target by ndmapper."""
    table = {
        "dispersion_axis": "x", "wavelength_range": [4000.0, 6600.0],
        "dispersion": 2.6, "extinction": "none",
    }  # fmt: skip
    waves = spec.make_wavelengths(
        "arc.fits", lines=LAMPS, medium="air", spectrograph=table
    )
    frames = DataFileList(["star.fits", "target.fits"])
    traces = spec.trace_spectra(frames, objects=1, spectrograph=table)
    star, target = (
        spec.extract_spectra(
            frame, trace=trace, wavelengths=waves, method="boxcar", radius=RADIUS,
            background="constant", windows=[(-FAR, -NEAR), (NEAR, FAR)],
            spectrograph=table,
        )
        for frame, trace in zip(frames, traces, strict=True)
    )  # fmt: skip
    made = spec.make_sensitivity(
        [star], standard="bench.dat", sensitivity="sensitivity.fits", spectrograph=table
    )
    (done,) = spec.apply_sensitivity(target, sensitivity=made, spectrograph=table)
    return spec.wavelengths_of(done).values, np.asarray(done.data)


def iraf_calibrated() -> tuple[np.ndarray, np.ndarray]:
    """Calibrate the target by IRAF."""
    words = {"t_order": 2, "extras": False}
    found = apall(DataFileList(["star.fits", "target.fits"]), "e", **words)
    arc = apall(
        "arc.fits", "e", references=DataFile("star.fits"),
        **words | {"background": "none"},
    )  # fmt: skip
    autoidentify(arc, 5300.0, 2.6)
    star, target = dispcor(found)
    (done,) = calibrate(target, sensfunc(star, Path("bench.dat")))
    header = done.meta
    w = header["CRVAL1"] + header["CDELT1"] * np.arange(header["NAXIS1"])
    return w, np.ravel(done.data)


# ---- the real night


def plain_copies(products: Path) -> None:
    """Write frames with their sky: IRAF knows its noise only where it subtracts it."""
    for night, name in (
        ("xfgvbtob27", "b27"),
        ("xfgvbtob24", "b24"),
        ("xfgvbtob24", "wide"),
    ):
        with fits.open(products / f"{night}.fits") as hdus:
            plain = NDLater(np.nan_to_num(hdus["SCI"].data).astype("f4"))
        DataFile(f"{name}.fits", data=[plain], mode="overwrite").save()


def kast(products: Path, pypeit: Path) -> None:
    """Compare extractions of the galaxy with each other and with PypeIt's."""
    with fits.open(pypeit) as hdus:
        other = {n: np.asarray(hdus[1].data[n], float) for n in NAMES_OF_PYPEIT}
    columns = np.arange(2048)
    use = (columns >= 500) & (columns < 2044) & (other["BOX_NPIX"] > 6.9)
    use &= ~((columns >= 1010) & (columns <= 1040)) & (other["OPT_COUNTS_SIG"] > 0)
    scale = 1.2 / np.where(columns < 1024, 1.2, 1.237)
    frame = products / "sixfgvbtob27.fits"
    with fits.open(frame) as hdus:
        data, variance = hdus["SCI"].data, hdus["VAR"].data
        flags = hdus["DQ"].data
    trace = products / "sixfgvbtob27_trace.ecsv"
    place = np.polynomial.legendre.legval(
        np.linspace(-1, 1, 2048), Table.read(trace)["trace"][0]
    )
    plain_copies(products)
    words: dict[str, Any] = {"readnoise": 3.7, "line": 1000, "b_order": 2}
    words |= {"b_sample": "-45:-20,20:45"}
    # An aperture has its limits and its background from that of the reference.
    for name, reach in (("b24", 3.488), ("wide", 15.0)):
        apall(f"{name}.fits", "i", lower=-reach, upper=reach, **words)
    image = NDData(
        np.nan_to_num(data).astype(float) * u.electron,
        uncertainty=VarianceUncertainty(
            np.nan_to_num(variance).astype(float) * u.electron**2
        ),
        mask=flags > 0,
    )
    followed = ArrayTrace(image, place)

    def own(**given: Any) -> Spectra:
        (found,) = spec.extract_spectra(frame, trace=trace, **given)
        return Spectra(found.data, np.sqrt(found.variance))

    def iraf(star: str, **given: Any) -> Spectra:
        (made,) = apall(
            "b27.fits", "i", references=DataFile(star), recenter=True, **words | given
        )
        bands = made[0].data[:, 0]
        weighed = given["weights"] == "variance"
        return Spectra(bands[0], bands[-1] if weighed else None)

    def box() -> Spectra:
        found = BoxcarExtract(image, followed, width=2 * 3.488)()
        return Spectra(np.asarray(found.flux.value), np.sqrt(found.uncertainty.array))

    def horne() -> Spectra:
        found = HorneExtract(image, followed)()
        return Spectra(np.asarray(found.flux.value), np.sqrt(found.uncertainty.array))

    ways = {
        "ndmapper, boxcar": ("BOX", lambda: own(method="boxcar", radius=3.488)),
        "IRAF apall, weights=none": ("BOX", lambda: iraf("b24.fits", weights="none")),
        "specreduce BoxcarExtract": ("BOX", box),
        "ndmapper, optimal": ("OPT", own),
        "ndmapper, optimal, Gaussian": ("OPT", lambda: own(profile="gaussian")),
        "IRAF apall, weights=variance, pfit=fit1d": (
            "OPT", lambda: iraf("wide.fits", pfit="fit1d", weights="variance")),
        "IRAF apall, weights=variance, pfit=fit2d": (
            "OPT", lambda: iraf("wide.fits", pfit="fit2d", weights="variance")),
        "specreduce HorneExtract, Gaussian": ("OPT", horne),
    }  # fmt: skip
    done = timed({name: work for name, (_, work) in ways.items()})
    first = done["ndmapper, boxcar"][1]
    print(
        "\n| b27 | PypeIt's | correlation | ratio | std [its error] | error | ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, (found, taken) in done.items():
        kind = ways[name][0]
        theirs, sigma = other[f"{kind}_COUNTS"][use], other[f"{kind}_COUNTS_SIG"][use]
        if isinstance(found, Exception):
            print(f"| {name} | {kind} | {found} | | | | |")
            continue
        flux = (found.flux * scale)[use]
        good = np.isfinite(flux)
        together = np.corrcoef(flux[good], theirs[good])[0, 1]
        ratio = np.median((flux / theirs)[good])
        off = np.std(((flux - theirs) / sigma)[good])
        error = "none"
        if found.error is not None:
            error = f"{np.median(((found.error * scale)[use] / sigma)[good]):.3f}"
        print(
            f"| {name} | {kind} | {together:.4f} | {ratio:.3f} | {off:.2f} | {error} "
            f"| {taken / first:.2f} |"
        )


NAMES_OF_PYPEIT = [
    "BOX_COUNTS", "BOX_COUNTS_SIG", "BOX_NPIX", "OPT_COUNTS", "OPT_COUNTS_SIG",
]  # fmt: skip


def main() -> None:
    """Compare all."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    night = [Path(name).resolve() for name in sys.argv[2:4]]
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    np.random.seed(1)  # noqa: NPY002  # specreduce takes it from there
    with tempfile.TemporaryDirectory(prefix="p") as folder, chdir(folder):
        config["reprocess"] = True
        extraction(n)
        wavelengths(max(n // 4, 2))
        fluxes(max(n // 4, 2))
        if len(night) == 2:
            kast(*night)


if __name__ == "__main__":
    main()
