"""
A night of MUSE, from raw frames to the cube of two exposures, by the recipes of ESO.

    python -c "import ndmapper.lib.simulate as s; s.simulate_muse_night('night')"
    ndmapper run muse_night.py night --workers 4

A small night, of two IFUs: s.simulate_muse_night('night', ifus=(1, 2)).
"""

import sys
from pathlib import Path

from ndmapper import DataFile, DataFileList, config, run_task
from ndmapper.calibrations import associate_cals, cal_entries
from ndmapper.services import look_up_cals

NIGHT = Path(sys.argv[1])
FRACTION = float(sys.argv[2]) if len(sys.argv) > 2 else 0.7  # of the field that is sky
BAND = {"lambdamin": 7260.0, "lambdamax": 7365.0}
config["reprocess"] = "auto"


def recipe(name, inputs, outputs, cals=None, **words):
    """Declare a recipe as a step; outputs are named by patterns."""
    named = {"inputs": inputs, "outputs": outputs, "cals": cals, "name": name}
    return run_task(f"esorex:muse_{name}", **named, **words)(lambda: None)


IFU = "-{ifu:02d}.fits"  # ends the name of a product that is a file for each IFU
BIAS = {"MASTER_BIAS": "bias"}
BASIC = BIAS | {"MASTER_FLAT": "flat", "TRACE_TABLE": "trace", "WAVECAL_TABLE": "arc",
                "GEOMETRY_TABLE": "geometry", "ILLUM?": "illum"}  # fmt: skip
FLUX = {"STD_RESPONSE": "standard", "STD_TELLURIC": "telluric", "LSF_PROFILE": "lsf",
        "EXTINCT_TABLE": "extinction"}  # fmt: skip
SKY = {"SKY_LINES": "lines", "SKY_CONTINUUM": "continuum", "FILTER_LIST": "filters"}

make_bias = recipe("bias", "BIAS", {"MASTER_BIAS": "{base}_bias" + IFU}, by="ifu")
make_flat = recipe(
    "flat", "FLAT", {"MASTER_FLAT": "{base}_flat" + IFU, "TRACE_TABLE": "{base}_trace" +
    IFU}, BIAS, by="ifu", order=1, nsum=8)  # fmt: skip
make_twilight = recipe("twilight", "SKYFLAT", {"TWILIGHT_CUBE": "{base}_twilight.fits"},
                       BASIC, **BAND)  # fmt: skip
scibasic = recipe(
    "scibasic", "OBJECT|STD|SKY", {"PIXTABLE_{tag}": "{base}" + IFU},
    BASIC | {"TWILIGHT_CUBE": "twilight"}, each="file", by="ifu",
    skylines="none", saveimage=False)  # fmt: skip
make_response = recipe(
    "standard", "PIXTABLE_STD", {"STD_RESPONSE": "{base}_standard.fits",
                                 "STD_TELLURIC": "{base}_telluric.fits"},
    {"EXTINCT_TABLE": "extinction", "STD_FLUX_TABLE": "fluxes"}, **BAND)  # fmt: skip
make_sky = recipe(
    "create_sky", "PIXTABLE_SKY", {"SKY_LINES": "lines.fits", "SKY_CONTINUUM":
    "continuum.fits"}, FLUX | {"SKY_LINES": "lines"}, fraction=FRACTION)  # fmt: skip
make_cube = recipe(
    "scipost", "PIXTABLE_OBJECT", {tag: f"{{base}}_{tag.lower()}.fits" for tag in (
        "DATACUBE_FINAL", "IMAGE_FOV", "PIXTABLE_REDUCED")}, FLUX | SKY, each="file",
    skymethod="subtract-model", save="cube,individual", **BAND)  # fmt: skip
align = recipe("exp_align", "IMAGE_FOV", {"OFFSET_LIST": "offsets.fits"}, srcmin=3)
combine = recipe("exp_combine", "PIXTABLE_REDUCED", {"DATACUBE_FINAL": "cube.fits"},
                 {"OFFSET_LIST": "offsets"}, save="cube")  # fmt: skip

objects = DataFileList(f"{NIGHT}/raw/MUSE.SIM_OBJECT*.fits")
skies = DataFileList(f"{NIGHT}/raw/MUSE.SIM_SKY0*.fits")
folders = [NIGHT / name for name in ("raw", "static", "masters")]
cals = look_up_cals([*objects, *skies], server="local", cache="calibrations.json",
                    dirname=folders)  # fmt: skip
static = {p.stem: DataFile(p) for f in folders[1:] for p in f.glob("*.fits")}
flux = {"extinction": static["extinct_table"], "lsf": static["LSF_PROFILE"]}
made = []


def ready(files):
    """Give raw frames their calibrations, which are made by now or were there."""
    return associate_cals(made, DataFileList(files), cal_dict=cals)


def respond(stars):
    """Find the response from a standard star."""
    return make_response(scibasic(stars), extinction=flux["extinction"],
                         fluxes=static["std_flux_table"])  # fmt: skip


for kind, step in (("bias", make_bias), ("flat", make_flat),
                   ("twilight", make_twilight), ("standard", respond)):  # fmt: skip
    for _, files in cal_entries(cals, kind):
        made.append(step(ready(NIGHT / "raw" / name for name in files)))
flux |= {"standard": made[-1]["STD_RESPONSE"], "telluric": made[-1]["STD_TELLURIC"]}
sky = make_sky(scibasic(ready(skies)), lines=static["sky_lines"], **flux)
exposures = make_cube(
    scibasic(ready(objects)), lines=sky["SKY_LINES"], continuum=sky["SKY_CONTINUUM"],
    filters=static["filter_list"], **flux)  # fmt: skip
combine(exposures["PIXTABLE_REDUCED"], offsets=align(exposures["IMAGE_FOV"]))
