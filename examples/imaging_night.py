r"""
Reduce a night of images: from raw frames to a deep image, and a calibrated catalogue.

    python -c "from ndmapper.lib import simulate as s; \
               s.simulate_night('raw', s.Night(science=6, pointing=(150.0, 2.0)))"
    python imaging_night.py raw

The catalogue of known stars, raw/stars.ecsv, may be an extract of Gaia.
"""

import sys
from pathlib import Path

from ndmapper import DataFileList, config
from ndmapper.calibrations import associate_cals, cal_entries, survey
from ndmapper.lib import ccd, image
from ndmapper.lib.combine import make_bias
from ndmapper.lib.cosmetics import clean_cosmic_rays
from ndmapper.services import look_up_cals

RAW, OUT = Path(sys.argv[1]), Path(config["outdir"])
STARS = RAW / "stars.ecsv"
config["reprocess"] = "auto"


def prepare(files):
    """Subtract the overscan level, and cut the overscan off."""
    return ccd.trim(ccd.subtract_overscan(files, method="polynomial"))


def calibrate(files):
    """From trimmed frames to electrons, each with its own bias."""
    files = ccd.subtract_bias(associate_cals(biases, files, "bias", cal_dict=cals))
    return ccd.correct_gain(ccd.add_variance(files))


frames = survey(RAW)
targets = DataFileList(frames["file"][frames["class"] == "object"], dirname=RAW)
cals = look_up_cals(targets, cache=OUT / "calibrations.json")

biases, flats = {}, {}
for name, raws in cal_entries(cals, "bias"):
    zeros = ccd.add_variance(prepare(DataFileList(raws, dirname=RAW)), poisson=False)
    biases[name] = make_bias(zeros, bias=name)
for name, raws in cal_entries(cals, "flat"):
    lamps = calibrate(prepare(DataFileList(raws, dirname=RAW)))
    flats[name] = ccd.make_flat(lamps, flat=name)

science = calibrate(prepare(targets))
science = ccd.apply_flat(associate_cals(flats, science, "flat", cal_dict=cals))
science = image.make_mosaic(clean_cosmic_rays(science))
science = image.align_images(science, reference=STARS)
deep = image.stack_images(science, level="median", covers="first", stack="deep.fits")

deep = image.subtract_background(deep)
sources = image.find_sources(deep)
fluxes = image.aperture_photometry(deep, sources=sources, radius=6)
result = image.calibrate_photometry(deep, sources=fluxes, reference=STARS)
header = result["calibrated"].meta
print(f"zero point {header['PHOTZP']:.4f} +- {header['PHOTZPER']:.4f}")
