"""
A night of MUSE, from raw frames to the cube of two exposures, by the recipes of ESO.

    python -c "import ndmapper.lib.simulate as s; s.simulate_muse_night('night')"
    ndmapper run muse_night.py night --workers 4
"""

import sys
from pathlib import Path

from ndmapper import DataFile, DataFileList, config, run_task
from ndmapper.data import FileSet

NIGHT = Path(sys.argv[1])
FRACTION = float(sys.argv[2]) if len(sys.argv) > 2 else 0.7  # of the field that is sky
BAND = {"lambdamin": 7260.0, "lambdamax": 7365.0}
config["reprocess"] = "auto"


def recipe(name, inputs, outputs, cals=None, **words):
    """Declare a recipe as a step; outputs are named by patterns."""
    named = {"inputs": inputs, "outputs": outputs, "cals": cals, "name": name}
    return run_task(f"esorex:muse_{name}", **named, **words)(lambda: None)


def raw(kind):
    """List the raw frames of a kind."""
    return DataFileList(f"{NIGHT}/raw/MUSE.SIM_{kind}0*.fits")


static = {path.stem: DataFile(path) for path in (NIGHT / "static").glob("*.fits")}
BASIC = {
    "MASTER_BIAS": "bias", "MASTER_FLAT": "flat", "TRACE_TABLE": "trace",
    "WAVECAL_TABLE": "arc", "GEOMETRY_TABLE": "geometry", "ILLUM?": "illum",
}  # fmt: skip
FLUX = {"STD_RESPONSE": "response", "STD_TELLURIC": "telluric", "LSF_PROFILE": "lsf",
        "EXTINCT_TABLE": "extinction"}  # fmt: skip
SKY = {"SKY_LINES": "lines", "SKY_CONTINUUM": "continuum", "FILTER_LIST": "filters"}

make_bias = recipe("bias", "BIAS", {"MASTER_BIAS": "MASTER_BIAS-{ifu:02d}.fits"},
                   by="ifu")  # fmt: skip
make_flat = recipe("flat", "FLAT", {tag: f"{tag}-{{ifu:02d}}.fits" for tag in (
    "MASTER_FLAT", "TRACE_TABLE")}, {"MASTER_BIAS": "bias"}, by="ifu",
    order=1, nsum=8)  # fmt: skip
make_twilight = recipe("twilight", "SKYFLAT", {"TWILIGHT_CUBE": "twilight.fits"}, BASIC,
                       **BAND)  # fmt: skip
scibasic = recipe(
    "scibasic", "OBJECT|STD|SKY", {"PIXTABLE_{tag}": "{base}-{ifu:02d}.fits"},
    BASIC | {"TWILIGHT_CUBE": "twilight"}, each="file", by="ifu",
    skylines="none", saveimage=False)  # fmt: skip
make_response = recipe(
    "standard", "PIXTABLE_STD",
    {"STD_RESPONSE": "response.fits", "STD_TELLURIC": "telluric.fits"},
    {"EXTINCT_TABLE": "extinction", "STD_FLUX_TABLE": "fluxes"}, **BAND)  # fmt: skip
make_sky = recipe(
    "create_sky", "PIXTABLE_SKY",
    {"SKY_LINES": "lines.fits", "SKY_CONTINUUM": "continuum.fits"},
    FLUX | {"SKY_LINES": "lines"}, fraction=FRACTION)  # fmt: skip
make_cube = recipe(
    "scipost", "PIXTABLE_OBJECT", {tag: f"{{base}}_{tag.lower()}.fits" for tag in (
        "DATACUBE_FINAL", "IMAGE_FOV", "PIXTABLE_REDUCED")}, FLUX | SKY, each="file",
    skymethod="subtract-model", save="cube,individual", filter="white",
    **BAND)  # fmt: skip
align = recipe("exp_align", "IMAGE_FOV", {"OFFSET_LIST": "offsets.fits"}, srcmin=3)
combine = recipe(
    "exp_combine", "PIXTABLE_REDUCED",
    {"DATACUBE_FINAL": "cube.fits", "IMAGE_FOV": "image.fits"},
    {"OFFSET_LIST": "offsets", "FILTER_LIST": "filters"},
    filter="white", save="cube")  # fmt: skip

bias = make_bias(raw("BIAS"))
flat = make_flat(raw("FLAT"), bias=bias)
arc = FileSet(NIGHT / "masters/WAVECAL_TABLE-{ifu:02d}.fits")
basic = {"bias": bias, "flat": flat["MASTER_FLAT"], "trace": flat["TRACE_TABLE"],
         "arc": arc, "geometry": static["geometry_table_wfm"],
         "illum": raw("ILLUM")[0]}  # fmt: skip
basic["twilight"] = make_twilight(raw("SKYFLAT"), **basic)
extinction, lsf = static["extinct_table"], DataFile(NIGHT / "masters/LSF_PROFILE.fits")
std = make_response(scibasic(raw("STD")[0], **basic), extinction=extinction,
                    fluxes=static["std_flux_table"])  # fmt: skip
flux = {"response": std["STD_RESPONSE"], "telluric": std["STD_TELLURIC"],
        "extinction": extinction, "lsf": lsf}  # fmt: skip
sky = make_sky(scibasic(raw("SKY")[0], **basic), **flux, lines=static["sky_lines"])
made = make_cube(
    scibasic(raw("OBJECT"), **basic), **flux, lines=sky["SKY_LINES"],
    continuum=sky["SKY_CONTINUUM"], filters=static["filter_list"])  # fmt: skip
combine(made["PIXTABLE_REDUCED"], offsets=align(made["IMAGE_FOV"]),
        filters=static["filter_list"])  # fmt: skip
