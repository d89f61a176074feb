"""
Simulate a long-slit night, and reduce it to a calibrated and combined spectrum.

    python slit_night.py

The raw frames go to the folder raw, unless it is there, and products to the current
folder. The steps are those of any long-slit spectrograph: what is special about this
one stands in its table.
"""

from pathlib import Path

from ndmapper import DataFileList, config
from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.lib import ccd, spec
from ndmapper.lib.cosmetics import clean_cosmic_rays
from ndmapper.lib.simulate import simulate_slit_night
from ndmapper.services import look_up_cals

if not Path("raw").exists():
    simulate_slit_night("raw")
config["reprocess"] = "auto"

frames = survey("raw")
targets = DataFileList(frames["file"][frames["class"] == "object"], dirname="raw")
cals = look_up_cals(targets, cache="calibrations.json")


def electrons(raws):
    """Subtract the bias, and find the variance."""
    files = DataFileList(raws, dirname="raw")
    associate_cals(biases, files, "bias", cal_dict=cals)
    return ccd.correct_gain(ccd.add_variance(ccd.subtract_bias(files)))


def extract(raws):
    """From raw frames to the spectrum of the brightest object in each."""
    frames = electrons(raws)
    frames = ccd.apply_flat(associate_cals(flats, frames, "flat", cal_dict=cals))
    frames = clean_cosmic_rays(frames)
    associate_cals(waves, frames, "wavelengths", from_type="arc", cal_dict=cals)
    frames = spec.subtract_sky(frames)
    traces = spec.trace_spectra(frames, objects=1)
    associate_cals(waves, frames, "wavelengths", from_type="arc", cal_dict=cals)
    return spec.extract_spectra(frames, trace=traces)


biases, flats, waves, standards = {}, {}, {}, {}
for name, raws in cal_entries(cals, "bias"):
    zeros = ccd.add_variance(DataFileList(raws, dirname="raw"), poisson=False)
    biases[name] = ccd.make_bias(zeros, bias=name)
for name, raws in cal_entries(cals, "flat"):
    flats[name] = ccd.make_flat(electrons(raws), flat=name)
for name, raws in cal_entries(cals, "arc"):
    waves[name] = spec.make_wavelengths(*electrons(raws), out_names=name)
for name, raws in cal_entries(cals, "standard"):
    stars = extract(raws)
    standards[name] = spec.make_sensitivity(
        stars, standard="raw/simstar.ecsv", sensitivity=name
    )

spectra = extract([target.filename.name for target in targets])
associate_cals(standards, spectra, "sensitivity", from_type="standard", cal_dict=cals)
spectra = spec.apply_sensitivity(spectra)
galaxy = spec.combine_spectra(spectra, combined="galaxy.fits")
spec.tabulate_spectrum(galaxy)
print("made", galaxy)
