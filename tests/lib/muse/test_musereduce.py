"""Configurations of MUSEreduce: each key does what its documentation says."""

import copy
import json
import shutil
from pathlib import Path

import pytest
from shared_helpers import assert_same_data

from ndmapper import config
from ndmapper.cli import main
from ndmapper.errors import FormatError, MissingFileError, NdmapperError
from ndmapper.lib.muse import reduce_muse
from ndmapper.lib.muse.cleaning import clean_up
from ndmapper.lib.muse.musereduce import musereduce
from ndmapper.lib.muse.musereduce_config import read_config, read_musereduce
from ndmapper.steps.run.dry_run import collect_plans

BAND = "--lambdamin=7260 --lambdamax=7365"
BASE = {
    "global": {
        "static_calib_path": "static", "rootpath": "manual", "n_CPU": 1,
        "mode": "WFM-NOAO", "using_ESO_Calibration": False,
    },
    "calibration": {
        "esorex_kwargs_flat": "--order=1 --nsum=8", "esorex_kwargs_twilight": BAND,
    },
    "sci_basic": {"skylines": "none"},
    "std_flux": {"esorex_kwargs": BAND},
    "sky": {"fraction": 0.7, "method": "subtract-model"},
    "sci_post": {"esorex_kwargs": BAND},
    "exp_align": {"srcmin": 3},
    "exp_combine": {"esorex_kwargs": "--crsigma=10"},
}  # fmt: skip
EXPOSURES = ["033230-274800_0100_000_00", "033230-274800_0100_000_01"]
EXP = Path("reduced/SIM-OB-1") / EXPOSURES[0]


def changed(section, key, value):
    """Give the configuration with another value of a key."""
    found = copy.deepcopy(BASE)
    if key.startswith("using_ESO"):
        del found["global"]["using_ESO_Calibration"]
    found.setdefault(section, {})[key] = value
    return found


def write(values, folder="."):
    path = Path(folder) / "config.json"
    path.write_text(json.dumps(values))
    return path


@pytest.fixture(scope="module")
def reduced(make_once, muse_night):
    """Give a folder that a configuration of MUSEreduce has reduced."""

    def reduce(folder):
        shutil.copytree(muse_night / "raw", folder / "raw")
        shutil.copytree(muse_night / "static", folder / "static")
        for path in (muse_night / "masters").iterdir():
            shutil.copy(path, folder / "raw")
        with config.using(reprocess="auto"):
            musereduce(write(BASE, folder)).execute()

    return make_once("muse_by_json", reduce)


@pytest.fixture
def again(reduced, tmp_path, monkeypatch):
    """Give a copy of the reduced folder to work in."""
    shutil.copytree(reduced, tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")
    # Names of calibrations that lie beside the raw frames are relative to the document.
    return tmp_path / "again"


def told(values=None):
    """Tell all that a reduction would do, or why it cannot; None: as it is written."""
    chosen = read_musereduce("config.json" if values is None else write(values))
    try:
        with config.using(dry_run=True), collect_plans() as plans:
            reduce_muse(chosen)
    except NdmapperError as err:
        return str(err)
    plans = "\n".join(repr(plan) for plan in plans)
    return f"{plans}\n{chosen.workers} {chosen.clean} {chosen.lists}"


@pytest.fixture(scope="module")
def base(reduced):
    """What the configuration itself would do, once all is made."""
    with pytest.MonkeyPatch.context() as patch:
        # Others share the folder, and may read what would be written anew.
        patch.chdir(reduced)
        return told()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("global", "static_calib_path", "nowhere", "no folder nowhere of static"),
        ("global", "rootpath", "other", "folder other/raw"),
        ("global", "n_CPU", -1, "\nall "),
        ("global", "mode", "WFM-AO", "no raw frame has the mode 'WFM-AO'"),
        ("global", "withrvcorr", False, "--rvcorr=none"),
        ("global", "auto_sort_data", False, " read"),
        ("global", "using_specific_exposure_time", 860, "exptime 860"),
        ("global", "dither_multiple_OBs", True, None),
        ("global", "OB", "SIM-OB-2", "there is no exposure"),
        ("global", "exp_list", EXPOSURES[:1], None),
        ("global", "exp_list", ["x"], "'x' is to be combined, but is no exposure"),
        ("dither_collect", "user_list", EXPOSURES[:1], None),
        ("cleanup", "execute", True, "('exposures',)"),
        ("calibration", "dark", True, "MASTER_DARK"),
        ("calibration", "create_sof", False, "--nifu=-1"),
        ("sci_basic", "create_sof", False, "--nifu=-1"),
        ("std_flux", "execute", False, None),
        ("sky", "sky_field", "object", "OBJECT01_sky.fits"),
        ("sky", "modified", True, None),
        ("sky", "method", "simple", "--skymethod=simple"),
        ("sci_post", "autocalib", "deepfield", "SKY_MASK"),
        ("sci_post", "subtract_sky", False, "--skymethod=none"),
        ("sci_post", "raman", True, ",raman"),
        ("exp_align", "execute", False, None),
        ("exp_combine", "execute", False, None),
    ],
)  # fmt: skip
def test_each_key_changes_what_would_be_run(  # noqa: PLR0917
    again, base, section, key, value, words
):
    values = changed(section, key, value)
    if key == "dither_multiple_OBs":
        values["global"] |= {"OB_list": ["SIM-OB-1"], "OB": "Field"}
        words = "reduced/Field/"
    found = told(values)
    assert found != base
    if words is not None:
        assert words in found
        assert words not in base


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        {
            "calibration": {
                "esorex_kwargs_bias": "--nlow=2", "esorex_kwargs_flat": "--nsum=16",
                "esorex_kwargs_twilight": "--dlambda=100",
            },
            "sci_basic": {
                "skyreject": "9.,9.,1", "skylines": "6300.304",
                "esorex_kwargs": "--cr=dcr",
            },
            "std_flux": {"esorex_kwargs": "--profile=moffat"},
            "sky": {"fraction": 0.6, "ignore": 0.1, "esorex_kwargs": "--sampling=0.5"},
            "sci_post": {"esorex_kwargs": "--filter=white,V"},
        },
        {
            "exp_align": {"srcmin": 4, "scrmax": 60, "esorex_kwargs": "--fwhm=4"},
            "exp_combine": {"weight": "fwhm", "esorex_kwargs": "--pixfrac=0.8,0.8"},
        },
    ],
)  # fmt: skip
def test_parameters_of_recipes(again, base, values):
    wanted = copy.deepcopy(BASE)
    for section, keys in values.items():
        wanted.setdefault(section, {}).update(keys)
    found = told(wanted)
    for keys in values.values():
        for key, value in keys.items():
            name = key.replace("scr", "src")
            words = value if "kwargs" in key else f"--{name}={value}"
            assert words in found
            assert words not in base


@pytest.mark.parametrize(
    ("section", "key", "value", "attribute", "expected"),
    [
        # What their sections do is in no plan of the small night.
        ("calibration", "execute", False, "skip", None),
        ("sci_basic", "execute", False, "skip", ("scibasic",)),
        ("sci_basic", "execute_std", False, "skip", ("standard",)),
        ("sci_basic", "execute_sci", False, "skip", ("scibasic",)),
        ("sky", "execute", False, "skip", ("sky",)),
        ("sci_post", "execute", False, "skip", ("scipost",)),
        ("std_flux", "create_sof", False, "edited_sofs", ("standard",)),
        ("sky", "create_sof", False, "edited_sofs", ("sky",)),
        ("sci_post", "create_sof", False, "edited_sofs", ("scipost",)),
        ("exp_align", "create_sof", False, "edited_sofs", ("align",)),
        ("exp_combine", "create_sof", False, "edited_sofs", ("combine",)),
        ("global", "using_ESO_calibration", True, "prefer", "masters"),
        ("calibration", "using_ESO_calibration", True, "prefer", "masters"),
        ("global", "auto_sort_data", False, "lists", "read"),
        ("global", "mode", "NFM-AO", "mode", "NFM-AO"),
        ("sky", "skyfield", "object", "sky_field", "object"),
        ("sky", "method", "none", "subtract_sky", False),
        ("sci_post", "skysubtraction", False, "subtract_sky", False),
    ],
)
def test_keys(  # noqa: PLR0917
    folder, section, key, value, attribute, expected
):
    assert getattr(read_config(write(BASE)), attribute) != expected
    found = getattr(read_config(write(changed(section, key, value))), attribute)
    if key == "execute" and section == "calibration":
        expected = ("bias", "dark", "flat", "wavecal", "lsf", "twilight")
    assert found == expected


def test_words_that_change_parameters(folder):
    values = copy.deepcopy(BASE)
    values["calibration"] |= {
        "esorex_kwargs_dark": "--hotsigma=6 --ovscignore=4",
        "esorex_kwargs_wavecal": "--xorder=3",
        "esorex_kwargs_lsf": "--lsf_range=8",
    }
    values["sky"]["method"] = "subtract_model"
    steps = read_musereduce(write(values)).steps
    assert steps["dark"] == {"hotsigma": 6, "extra": {"ovscignore": 4}}
    assert steps["wavecal"] == {"xorder": 3}
    assert steps["lsf"] == {"extra": {"lsf_range": 8}}
    assert steps["scipost"]["skymethod"] == "subtract-model"
    values["cleanup"] = {"execute": True, "include_std": True, "include_combined": True,
                         "include_calibrations": True}  # fmt: skip
    wanted = ("exposures", "std", "combined", "calibrations")
    assert read_musereduce(write(values)).clean == wanted
    # Nothing of it is removed unless that is to be run.
    values["cleanup"]["execute"] = False
    assert read_musereduce(write(values)).clean == ()


def test_statics_of_the_newest_kit(folder):
    for name in ("muse-2.8.5", "muse-2.8.9/cal"):
        (folder / "pipe" / "calib" / name).mkdir(parents=True)
    values = changed("global", "pipeline_path", str(folder / "pipe"))
    del values["global"]["static_calib_path"]
    kit = folder / "pipe" / "calib" / "muse-2.8.9" / "cal"
    assert read_musereduce(write(values)).static == kit


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("global", "n_cpu", 2, r"key .n_cpu. in .global.; did you mean .n_CPU."),
        ("globals", "mode", "x", r"'globals', which is no section"),
        ("global", "mode", "WFM", r"global.mode is 'WFM'; expected one of WFM-NOAO, "),
        ("global", "n_CPU", "2", r"global.n_CPU is '2'; expected int"),
        ("sky", "fraction", True, r"sky.fraction is True; expected int or float"),
        ("sky", "method", "modell", r"sky.method is 'modell'; expected one of model, "),
        ("global", "OB_list", [1], r"expected a list of texts"),
        ("global", "dither_multiple_OBs", True, r"in global.OB_list"),
        ("sci_post", "autocalib", "user", r"there is no AUTOCAL_FACTORS.fits in "),
        ("sky", "esorex_kwargs", "fraction=1", r"is not --name=value"),
    ],
)  # fmt: skip
def test_mistakes_are_told(folder, section, key, value, words):
    with pytest.raises((FormatError, NdmapperError), match=words):
        read_config(write(changed(section, key, value)))


def test_factors_of_the_user(folder):
    Path("raw").mkdir()
    Path("raw/AUTOCAL_FACTORS.fits").touch()
    found = read_config(write(changed("sci_post", "autocalib", "user"))).steps[
        "scipost"
    ]
    assert found["autocal"] == "raw/AUTOCAL_FACTORS.fits"


@pytest.mark.slow
def test_cube_is_that_of_plain_steps(reduced, make_once, muse_night, run_example):
    def reduce(folder):
        run_example("muse_night.py", muse_night, folder=folder)

    plain = make_once("muse_plain_steps", reduce)
    where = reduced / "reduced" / "SIM-OB-1" / "033230-274800_0100"
    assert_same_data(where / "combined.fits", plain / "cube.fits")
    assert_same_data(where / "offsets.fits", plain / "offsets.fits")


@pytest.mark.slow
def test_edited_frames_and_lists(again):
    sof = Path("reduced/SIM-OB-1/calibrations/SCIENCE/MUSE.SIM_BIAS01_bias.sof")
    # Frames are added, for three are the least.
    extra = Path("raw/MUSE.SIM_BIAS04.fits")
    shutil.copy("raw/MUSE.SIM_BIAS03.fits", extra)
    frames = "".join(f"{again}/raw/MUSE.SIM_BIAS0{n}.fits BIAS\n" for n in (1, 2, 3, 4))
    sof.write_text(frames)
    values = changed("calibration", "create_sof", False)
    assert "MUSE.SIM_BIAS04.fits" in told(values)
    assert sof.read_text() == frames
    # One that was edited is not replaced.
    assert "MUSE.SIM_BIAS01_bias.sof was edited" in told(BASE)
    sof.unlink()
    extra.unlink()
    assert "is not there; have it written first" in told(values)

    lists = sorted(Path("reduced").glob("*_SCI.list"))
    assert [path.name[:25] for path in lists] == EXPOSURES
    values = changed("global", "auto_sort_data", False)
    lists[1].unlink()
    assert "OBJECT02" not in told(values)
    lists[0].write_text(lists[0].read_text().replace("SIM_ILLUM01.fits  ILLUM", "X A"))
    with pytest.raises(FormatError, match=r"line \d+: 'MUSE.X A' is not the name"):
        reduce_muse(read_musereduce(write(values)))
    lists[0].write_text("MUSE.X.fits BIAS\n")
    with pytest.raises(
        MissingFileError, match=r"MUSE.X.fits is listed in reduced, but"
    ):
        reduce_muse(read_musereduce(write(values)))
    for path in Path("reduced").glob("*.list"):
        path.unlink()
    with pytest.raises(MissingFileError, match=r"there are no lists of files"):
        reduce_muse(read_musereduce(write(values)))


@pytest.mark.slow
def test_masters_of_eso_or_own(again):
    for path in Path("reduced/SIM-OB-1/calibrations/SCIENCE").glob("*_bias-0?.fits"):
        shutil.copy(path, f"raw/MASTER_BIAS-{path.stem[-2:]}.fits")
    assert "Plan of bias" in told(BASE)
    values = changed("global", "using_ESO_Calibration", True)
    values["calibration"]["esorex_kwargs_flat"] = "--nsum=16 --order=1"
    found = told(values)
    assert "Plan of bias" not in found
    assert "/raw/MASTER_BIAS-01.fits MASTER_BIAS" in found


@pytest.mark.slow
def test_cleaned_up_and_not_made_again(again):
    raws = {path.name: path.stat().st_mtime_ns for path in Path("raw").iterdir()}
    gone = {path.name for path in clean_up(Path("reduced"), ("exposures", "std"))}
    assert {"MUSE.SIM_OBJECT01-01.fits", "MUSE.SIM_OBJECT02_cube.fits"} <= gone
    assert {"MUSE.SIM_STD01-01.fits", "MUSE.SIM_STD01_standard.fits"} <= gone
    assert Path("reduced/SIM-OB-1/033230-274800_0100/combined.fits").exists()
    assert not [name for name in gone if "_bias" in name or "_sky" in name]
    assert raws == {
        path.name: path.stat().st_mtime_ns for path in Path("raw").iterdir()
    }


@pytest.mark.slow
def test_command_takes_it(again, capsys):
    assert main(["muse", "config.json", "--status"]) == 0
    assert "SIM-OB-1  combine" in capsys.readouterr().out
