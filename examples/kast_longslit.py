"""
Reduce a long-slit night of Shane/Kast (blue), from raw frames to clean 2-D spectra.

    python kast_longslit.py FOLDER      (the folder of the raw frames)

Products, the log and calibrations.json go to the current folder. Edit that file to
change a calibration, and run the script again: only what depends on it is made again.
"""

import sys

import numpy as np

from ndmapper import DataFileList, config
from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.lib import ccd
from ndmapper.lib.cosmetics import clean_cosmic_rays
from ndmapper.services import look_up_cals

RAW = sys.argv[1]
CAL_DEPS = {"target": ["bias", "flat"], "flat": ["bias"]}
config["reprocess"] = "auto"


def prepare(files, poisson=True):
    """Subtract the overscan, which drifts, cut it off, and find the variance."""
    frames = ccd.trim(ccd.subtract_overscan(files, method="polynomial", degree=6))
    return frames if poisson else ccd.add_variance(frames, poisson=False)


def calibrate(files):
    """From trimmed frames to electrons, each with its own bias."""
    files = associate_cals(biases, files, "bias", cal_dict=cals)
    return ccd.correct_gain(ccd.add_variance(ccd.subtract_bias(files)))


# What there is, and which frame calibrates which.
frames = survey(RAW, instrument="kast")
wanted = np.isin(frames["class"], ["object", "standard"])
targets = DataFileList(frames["file"][wanted], dirname=RAW)
cals = look_up_cals(targets, dependencies=CAL_DEPS, cache="calibrations.json")

biases, flats = {}, {}
for name, raws in cal_entries(cals, "bias"):
    zeros = prepare(DataFileList(raws, dirname=RAW), poisson=False)
    biases[name] = ccd.make_bias(zeros, bias=name)
for name, raws in cal_entries(cals, "flat"):
    lamps = calibrate(prepare(DataFileList(raws, dirname=RAW)))
    flats[name] = ccd.make_flat(lamps, flat=name)

spectra = calibrate(prepare(targets))
spectra = ccd.apply_flat(associate_cals(flats, spectra, "flat", cal_dict=cals))
spectra = clean_cosmic_rays(spectra)
print("made", *spectra)
