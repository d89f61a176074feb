"""
Reduce a night of the simulated camera, from raw frames to clean images.

    python demo_night.py FOLDER      (the folder of the raw frames)

`ndmapper demo` makes such a night and runs this. All goes to config['outdir'].
"""

import sys
from pathlib import Path

import numpy as np

from ndmapper import DataFileList, chain, config
from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.lib import ccd
from ndmapper.lib.cosmetics import add_bpm, clean_cosmic_rays, init_bpm
from ndmapper.plot import before_after
from ndmapper.services import look_up_cals

RAW, OUT = Path(sys.argv[1]), Path(config["outdir"])
config["reprocess"] = "auto"

# The steps of a chain hand their results on in memory; the last one is saved.
prepare = chain(ccd.subtract_overscan, ccd.trim)
calibrate = chain(add_bpm, ccd.subtract_bias, ccd.add_variance, ccd.correct_gain)
finish = chain(ccd.apply_flat, clean_cosmic_rays)


frames = survey(RAW, instrument="simcam")
targets = DataFileList(frames["file"][frames["class"] == "object"], dirname=RAW)
cals = look_up_cals(targets, cache=OUT / "calibrations.json")

biases, flats = {}, {}
for name, raws in cal_entries(cals, "bias"):
    zeros = prepare(DataFileList(raws, dirname=RAW), method="polynomial")
    zeros = ccd.add_variance(zeros, poisson=False)
    biases[name] = ccd.make_bias(zeros, bias=name)

# The second amplifier has a bad column; 1-based and columns first, as in DS9.
science = prepare(targets, method="polynomial")  # the overscan level drifts
regions = [[], ["31,*"], [], []]
bpm = init_bpm(science[0], regions=regions, convention="fits", filename="bpm.fits")
for name, raws in cal_entries(cals, "flat"):
    lamps = prepare(DataFileList(raws, dirname=RAW), method="polynomial")
    lamps = associate_cals(biases, lamps, "bias", cal_dict=cals)
    lamps = calibrate(lamps, bpm=bpm)
    flats[name] = ccd.make_flat(lamps, flat=name, normalise="plain")

science = associate_cals(biases, science, "bias", cal_dict=cals)
science = calibrate(science, bpm=bpm)
science = finish(associate_cals(flats, science, "flat", cal_dict=cals))

before, after = (np.hstack([n.data for n in df]) for df in (targets[0], science[0]))
print("made", *science, "and", before_after(before, after, OUT / "before_after.png"))
