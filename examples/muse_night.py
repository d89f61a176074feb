"""
A night of MUSE, from raw frames to the cube of two exposures, by the recipes of ESO.

    ndmapper simulate muse night --ifus 1-24
    ndmapper run muse_night.py night --workers 4

A small night, of two IFUs: ndmapper simulate muse night. The parameters are those that
detectors with so few rows and wavelengths need.
"""

import sys

from ndmapper import DataFileList, config
from ndmapper.lib.muse import MuseNight
from ndmapper.lib.muse import recipes as muse

folder = sys.argv[1]
fraction = float(sys.argv[2]) if len(sys.argv) > 2 else 0.7  # of the field that is sky
config["reprocess"] = "auto"
night = MuseNight(f"{folder}/raw", f"{folder}/static", f"{folder}/masters")
band = {"lambdamin": 7260.0, "lambdamax": 7365.0}
night.parameters = {
    "flat": {"order": 1, "nsum": 8}, "scibasic": {"skylines": "none"},
    "twilight": band, "standard": band, "scipost": band,
    "create_sky": {"fraction": fraction}, "exp_align": {"srcmin": 3},
}  # fmt: skip


def respond(stars):
    """Find the response from a standard star."""
    return night.run(muse.standard, night.run(muse.scibasic, stars))


def find_sky(exposures):
    """Find lines and continuum of the sky in an empty field."""
    return night.run(muse.create_sky, night.run(muse.scibasic, exposures))


night.make("bias", muse.bias)
night.make("flat", muse.flat)
night.make("twilight", muse.twilight)
night.make("standard", respond)
night.make("sky", find_sky)
tables = night.run(muse.scibasic, night.files("object"))
cubes = night.run(muse.scipost, tables, skymethod="subtract-model")
images = DataFileList([image["white"] for image in cubes["IMAGE_FOV"]])
offsets = night.run(muse.exp_align, images, out_names="offsets.fits")
night.run(muse.exp_combine, cubes["PIXTABLE_REDUCED"], offsets=offsets,
          DATACUBE_FINAL="cube.fits")  # fmt: skip
