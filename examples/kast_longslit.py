"""
Reduce a long-slit night of Shane/Kast (blue), from raw frames to calibrated spectra.

    python kast_longslit.py FOLDER      (the folder of the raw frames)

Products, the log and calibrations.json go to the current folder. Edit that file to
change a calibration, and run the script again: only what depends on it is made again.
"""

import sys

from ndmapper import DataFileList, config
from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.lib import ccd, spec
from ndmapper.lib.cosmetics import clean_cosmic_rays
from ndmapper.services import look_up_cals

RAW = sys.argv[1]
CAL_DEPS = {
    "target": ["bias", "flat", "arc", "standard"],
    "standard": ["bias", "flat", "arc"],
    "flat": ["bias", "arc"],
    "arc": ["bias"],
}
config["reprocess"] = "auto"


def prepare(files, poisson=True):
    """Subtract the overscan, which drifts, cut it off, and find the variance."""
    frames = ccd.trim(ccd.subtract_overscan(files, method="polynomial", degree=6))
    return frames if poisson else ccd.add_variance(frames, poisson=False)


def calibrate(files):
    """From trimmed frames to electrons, each with its own bias."""
    files = associate_cals(biases, files, "bias", cal_dict=cals)
    return ccd.correct_gain(ccd.add_variance(ccd.subtract_bias(files)))


def extract(raws):
    """From raw frames to the spectra of the brightest objects in them."""
    frames = calibrate(prepare(DataFileList(raws, dirname=RAW)))
    frames = ccd.apply_flat(associate_cals(flats, frames, "flat", cal_dict=cals))
    frames = clean_cosmic_rays(frames)
    associate_cals(slits, frames, "illumination", from_type="flat", cal_dict=cals)
    frames = spec.apply_illumination(frames)
    associate_cals(waves, frames, "wavelengths", from_type="arc", cal_dict=cals)
    frames = spec.subtract_sky(frames)
    traces = spec.trace_spectra(frames, objects=1)
    associate_cals(waves, frames, "wavelengths", from_type="arc", cal_dict=cals)
    return spec.extract_spectra(frames, trace=traces)


# What there is, and which frame calibrates which.
frames = survey(RAW, instrument="kast")
targets = frames["file"][frames["class"] == "object"]
targets = DataFileList(targets, dirname=RAW)
cals = look_up_cals(targets, dependencies=CAL_DEPS, cache="calibrations.json")

biases, waves, flats, slits, standards = {}, {}, {}, {}, {}
for name, raws in cal_entries(cals, "bias"):
    zeros = prepare(DataFileList(raws, dirname=RAW), poisson=False)
    biases[name] = ccd.make_bias(zeros, bias=name)
for name, raws in cal_entries(cals, "arc"):
    (arc,) = calibrate(prepare(DataFileList(raws, dirname=RAW)))
    waves[name] = spec.make_wavelengths(arc, medium="vacuum", out_names=name)
for name, raws in cal_entries(cals, "flat"):
    lamps = calibrate(prepare(DataFileList(raws, dirname=RAW)))
    flats[name] = ccd.make_flat(lamps, flat=name)
    # No twilight was taken: the dome lights the slit nearly as the sky does.
    lamps = ccd.apply_flat(lamps, flat=flats[name])
    associate_cals(waves, lamps, "wavelengths", from_type="arc", cal_dict=cals)
    slits[name] = spec.make_slit_illumination(
        lamps, illumination=name.replace("flat", "slit")
    )
for name, raws in cal_entries(cals, "standard"):
    standards[name] = spec.make_sensitivity(extract(raws), sensitivity=name)

spectra = extract([target.filename.name for target in targets])
associate_cals(standards, spectra, "sensitivity", from_type="standard", cal_dict=cals)
spectra = spec.correct_velocity(spec.apply_sensitivity(spectra))
spec.tabulate_spectrum(spectra)
print("made", *spectra)
