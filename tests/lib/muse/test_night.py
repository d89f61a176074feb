"""Raw frames sorted, grouped, and given their calibrations; no recipe runs."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table

from ndmapper import config
from ndmapper.data import DataFile, FileSet
from ndmapper.errors import MissingCalibrationError, ParameterError
from ndmapper.lib.muse import MuseNight
from ndmapper.lib.muse import recipes as muse
from ndmapper.lib.simulate import MuseDetector, simulate_muse_night


@pytest.fixture(scope="module")
def frames(make_once):
    def simulate(folder):
        simulate_muse_night(folder, ifus=(1,), detector=MuseDetector(rows=32))

    return make_once("muse_night_to_sort", simulate)


@pytest.fixture
def night(frames, folder):
    return MuseNight(frames / "raw", frames / "static", frames / "masters")


def made(name, kind, ifu=1):
    """Write what a recipe would make, as far as a name and a header tell it."""
    df = DataFile(f"{name}-{ifu:02d}.fits", mode="new")
    df.meta["INSTRUME"] = "MUSE"
    df.meta["EXTNAME"] = f"CHAN{ifu:02d}"
    df.meta["HIERARCH ESO PRO CATG"] = kind
    df.append(np.ones((2, 2), np.float32))
    df.save()
    return FileSet(f"{name}-{{ifu:02d}}.fits")


def test_table_says_what_frames_are(night):
    kinds = {str(row["file"])[9:-7]: str(row["class"]) for row in night.table}
    assert kinds == {
        "BIAS": "bias", "DARK": "dark", "FLAT": "flat", "ILLUM": "illum",
        "OBJECT": "object", "SKY": "sky", "SKYFLAT": "twilight", "STD": "standard",
    }  # fmt: skip
    objects = night.table[night.table["class"] == "object"]
    assert set(objects["ob"]) == {"SIM-OB-1"}
    assert set(objects["pointing"]) == {"033230-274800_0100"}
    assert len(set(objects["exposure"])) == 2


def test_corrected_table_counts(night, frames):
    table = night.table
    table["class"][[str(n) == "MUSE.SIM_BIAS02.fits" for n in table["file"]]] = "dark"
    table.write("night.ecsv")
    again = MuseNight(
        frames / "raw", frames / "static", frames / "masters", table="night.ecsv",
        cache="other.json",
    )  # fmt: skip
    names = [df.filename.name for df in again.files("bias")]
    assert names == ["MUSE.SIM_BIAS01.fits", "MUSE.SIM_BIAS03.fits"]
    # Two are not enough.
    assert again.groups("bias") == []
    lacking = again.lacking(again.files("object"))
    assert lacking["bias"] == "2 of class bias, but at least 3 needed"
    assert "dark" not in lacking


def test_files_by_column_in_the_order_of_time(night):
    names = [df.filename.name for df in night.files("object")]
    assert names == ["MUSE.SIM_OBJECT01.fits", "MUSE.SIM_OBJECT02.fits"]
    one = str(night.table["exposure"][night.table["class"] == "object"][1])
    assert len(night.files("object", exposure=one, ob="SIM-OB-1")) == 1
    assert len(night.files("object", exptime=[100, 100.0])) == 2


@pytest.mark.parametrize(
    ("kind", "where", "told"),
    [
        ("objekt", {}, "no frame of class 'objekt'; did you mean 'object'.*there are"),
        ("arc", {}, "no frame of class 'arc'"),
        ("object", {"ob": "OB-2"}, "has ob OB-2; there are: SIM-OB-1"),
        ("object", {"exptime": 5}, "there are: 100.0"),
        ("object", {"obs": "x"}, "no column 'obs'"),
    ],
)
def test_empty_selection_lists_what_is_there(night, kind, where, told):
    with pytest.raises(ParameterError, match=told):
        night.files(kind, **where)


def test_mode(frames, folder, caplog):
    args = (frames / "raw", frames / "static", frames / "masters")
    night = MuseNight(*args, mode="WFM-NOAO-N")
    assert len(night.table) == 17
    with pytest.raises(ParameterError, match=r"NFM.*there are: WFM-NOAO-N"):
        MuseNight(*args, mode="NFM-AO-N")


def test_calibrations_are_those_that_the_step_takes(night):
    bias = made("MUSE.SIM_BIAS01_bias", "MASTER_BIAS")
    ((_, flats),) = night.groups("flat")
    for df in night.of(flats, muse.flat):
        # Found on the disk; darks are not applied, unless the night says so.
        assert str(df.cals["bias"]) == str(bias.filename)
        assert df.cals["dark"] is None
        assert set(df.cals) == {"bias", "dark"}
    objects = night.files("object")
    with pytest.raises(MissingCalibrationError, match="make it first"):
        night.of(objects, muse.scibasic)
    night.add("MUSE.SIM_FLAT01_flat.fits", {
        "MASTER_FLAT": made("MUSE.SIM_FLAT01_flat", "MASTER_FLAT"),
        "TRACE_TABLE": made("MUSE.SIM_FLAT01_trace", "TRACE_TABLE"),
    })  # fmt: skip
    night.without |= {"twilight"}
    for df in night.of(objects, muse.scibasic):
        names = {kind: cal and str(cal) for kind, cal in df.cals.items()}
        assert names["trace"] == "MUSE.SIM_FLAT01_trace-{ifu:02d}.fits"
        assert names["arc"].endswith("masters/WAVECAL_TABLE-{ifu:02d}.fits")
        assert names["illum"].endswith("raw/MUSE.SIM_ILLUM01.fits")
        assert names["geometry"].endswith("static/geometry_table_wfm.fits")
        assert names["twilight"] is None
        assert not {"standard", "sky", "extinction"} & set(names)


def test_static_calibrations_go_to_steps_that_take_them(night):
    (star,) = night.files("standard")
    night.of(star, muse.standard)
    assert {kind: cal.filename.name for kind, cal in star.cals.items()} == {
        "extinction": "extinct_table.fits", "fluxes": "std_flux_table.fits",
        "filters": "filter_list.fits",
    }  # fmt: skip


def test_darks_on_request(frames, folder):
    args = (frames / "raw", frames / "static", frames / "masters")
    night = MuseNight(*args, without=())
    ((label, files),) = night.groups("dark")
    assert (label, len(files)) == ("MUSE.SIM_DARK01_dark.fits", 3)
    made("MUSE.SIM_BIAS01_bias", "MASTER_BIAS")
    made("MUSE.SIM_DARK01_dark", "MASTER_DARK")
    ((_, flats),) = night.groups("flat")
    assert str(night.of(flats, muse.flat)[0].cals["dark"]).startswith("MUSE.SIM_DARK")


def test_vignetting_mask_only_for_early_twilights(frames, folder):
    # The simulated night is of 2016.
    df = DataFile("static/vignetting_mask.fits", mode="new")
    df.meta["HIERARCH ESO PRO CATG"] = "VIGNETTING_MASK"
    (folder / "static").mkdir()
    df.append(np.ones((2, 2), np.float32))
    df.save()
    night = MuseNight(frames / "raw", "static", [frames / "masters", frames / "static"])
    night.without |= {"bias", "flat", "trace"}
    ((_, early),) = night.groups("twilight")
    assert night.of(early, muse.twilight)[0].cals["vignetting"] is not None
    late = early[0].copy()
    late.meta["MJD-OBS"] = 57824.0
    late.meta["DATE-OBS"] = "2017-03-12T00:00:00"
    late.cals.clear()
    assert "vignetting" not in night.of(late, muse.twilight).cals


def test_parameters_of_steps_are_those_of_the_night_and_of_the_call(night):
    seen = {}
    made("MUSE.SIM_BIAS01_bias", "MASTER_BIAS")
    night.parameters = {"flat": {"order": 1, "nsum": 8}}
    with config.using(dry_run=True):
        ((_, flats),) = night.groups("flat")
        night.make("flat", lambda files, **words: seen.update(words, n=len(files)), x=2)
        planned = night.run(muse.flat, flats, nsum=16)
    assert seen == {"n": 3, "x": 2}
    assert {*planned} == {"MASTER_FLAT", "TRACE_TABLE"}
    entry = planned["MASTER_FLAT"][1].record[-1]
    assert entry["parameters"]["order"] == 1
    assert entry["parameters"]["nsum"] == 16


def test_table_of_another_folder_is_told(frames, folder):
    table = Table({"file": ["gone.fits"], "class": ["bias"]})
    night = MuseNight(frames / "raw", frames / "static", table=table)
    assert "gone.fits" in [str(n) for n in night.table["file"]]


def test_only_what_some_exposures_need(frames, folder):
    """A second template of biases, nearer to an exposure, is for it alone."""
    shutil.copytree(frames / "raw", "raw")
    for n in (1, 2, 3):
        df = DataFile(f"raw/MUSE.SIM_BIAS0{n}.fits")
        late = df.copy()
        late.meta["MJD-OBS"] += 1.0
        late.meta["DATE-OBS"] = "2016-01-02T00:0" + str(2 * n) + ":00"
        late.meta["HIERARCH ESO TPL START"] = "2016-01-02T00:00:00"
        late.save(f"raw/MUSE.SIM_LATE0{n}.fits")
    raw = DataFile("raw/MUSE.SIM_OBJECT02.fits", mode="update")
    raw.meta["MJD-OBS"] += 1.0
    raw.meta["DATE-OBS"] = "2016-01-02T02:06:00"
    raw.save()
    night = MuseNight("raw", frames / "static", frames / "masters")
    first, second = night.files("object")
    labels = [
        [label for label, _ in night.groups("bias", one)]
        for one in (None, [first], [second])
    ]
    early, late = "MUSE.SIM_BIAS01_bias.fits", "MUSE.SIM_LATE01_bias.fits"
    assert labels[0] == [early, late]
    assert labels[1] == [early]
    # Its flats are of the night before, and have the biases of that.
    assert labels[2] == [early, late]
    made = []
    night.make("bias", lambda files: made.append(len(files)), [first])
    assert made == [3]


def test_association_files_of_the_archive_count_first(frames, folder):
    """Two of the biases, as no rule would choose them; the rest is by the rules."""
    shutil.copytree(frames / "raw", "raw")
    files = "".join(f'<file category="BIAS" name="MUSE.SIM_BIAS0{n}"/>' for n in (1, 3))
    Path("raw/MUSE.SIM_FLAT01_raw2raw.xml").write_text(
        '<association category="FLAT" certified="true" complete="true" mode="Raw2Raw">'
        '<mainFiles><file category="FLAT" name="MUSE.SIM_FLAT01"/></mainFiles>'
        '<associatedFiles><association category="BIAS" certified="true" '
        f'complete="true"><mainFiles>{files}</mainFiles></association>'
        "</associatedFiles></association>"
    )
    night = MuseNight(
        "raw", frames / "static", frames / "masters", server=["eso-files", "local"]
    )
    groups = dict(night.groups("bias"))
    assert sorted(len(files) for files in groups.values()) == [2, 3]
    flats = night.cals["associations"]["MUSE.SIM_FLAT01.fits"]
    assert len(groups[flats["bias"]]) == 2


def test_static_calibration_that_is_missing_is_named(frames, folder):
    shutil.copytree(frames / "static", "static")
    Path("static/extinct_table.fits").unlink()
    night = MuseNight(frames / "raw", "static", frames / "masters")
    (star,) = night.files("standard")
    with pytest.raises(
        MissingCalibrationError, match=r"standard needs .* EXTINCT_TABLE, .*in static;"
    ):
        night.run(muse.standard, star)
    with config.using(dry_run=True):
        given = frames / "static" / "extinct_table.fits"
        assert night.run(muse.standard, star, extinction=given)


def test_folder_without_raw_frames(frames, folder):
    Path("raw").mkdir()
    with pytest.raises(ParameterError, match="no raw frame of MUSE in raw"):
        MuseNight("raw", frames / "static")
