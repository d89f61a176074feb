"""What is no raw frame never becomes one, and no exposure counts twice."""

import gzip
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_image

from ndmapper.calibrations import survey
from ndmapper.calibrations.copies import holds_same_pixels, is_lossy
from ndmapper.calibrations.processed import why_processed
from ndmapper.data import DataFileList
from ndmapper.errors import IdentError, ParameterError
from ndmapper.io.quickheader import QuickHeader
from ndmapper.lib.ccd import apply_flat, make_flat
from ndmapper.lib.combine import combine
from ndmapper.services import look_up_cals
from ndmapper.steps import run_task

pytestmark = pytest.mark.usefixtures("folder")

RNG = np.random.default_rng(5)


def write_frame(
    path, kind, minute=0, *, hour=18, day=10, level=1000.0, dtype="u2", **cards
):
    header = fits.Header()
    header["INSTRUME"], header["IMAGETYP"], header["OBJECT"] = "CAM", kind, kind
    header["DATE-OBS"] = f"2024-03-{day:02}T{hour:02}:{minute:02}:00"
    header["EXPTIME"], header["FILTER"] = 1.0, "V"
    for key, value in cards.items():
        header[key] = value
    data = np.rint(RNG.normal(level, 5, (40, 50))).astype(dtype)
    Path(path).parent.mkdir(exist_ok=True)
    fits.PrimaryHDU(data, header).writeto(path)
    return str(path)


def write_night(folder="raw", day=10):
    for n in range(3):
        write_frame(f"{folder}/b{n}.fits", "Bias Frame", n, day=day)
    return write_frame(f"{folder}/sci.fits", "Light Frame", hour=23, day=day)


def biases(target="raw/sci.fits", **words):
    found = look_up_cals(
        target, dependencies={"target": ["bias"]}, server="local", **words
    )
    ((_, files),) = found["calibrations"].items()
    return files


PROCESSED = [
    {"NCOMBINE": 5},
    {"NCOMBINE": "5"},
    {"IMCMB001": "b1.fits"},
    {"SNAPSHOT": 9},
    {"STACKCNT": 12},
    {"CALSTAT": "BD"},
    {"ZEROCOR": "Mar 10 12:00 Zero level correction image is Zero"},
    {"CCDPROC": "Mar 10 12:00 CCD processing done"},
    {"HIERARCH ESO PRO CATG": "MASTER_BIAS"},
    {"PREPARE": "2024-03-10T12:00:00"},
    {"IMAGETYP": "Master Bias"},
    {"IMAGETYP": "masterbias"},
    {"IMAGETYP": "Combined bias"},
]
RAW = [
    {"NCOMBINE": 1},
    {"NCOADD": 4},
    {"SNAPSHOT": 1},
    {"CALSTAT": ""},
    {"ZEROCOR": False},
    {"OVERSCAN": 50},
    {"TRIM": "[1:50,1:40]"},
    {"OBJECT": "master of the hunt"},
]


@pytest.mark.parametrize("cards", PROCESSED, ids=str)
def test_frame_of_another_program_is_kept_out_and_said(cards, caplog):
    caplog.set_level(logging.INFO)
    write_night()
    write_frame(
        "raw/other.fits", **{"kind": "Bias Frame", "minute": 5} | cards_of(cards)
    )
    assert biases() == ["b0.fits", "b1.fits", "b2.fits"]
    assert "kept out of sets of raw frames: other.fits" in caplog.text
    row = next(r for r in survey("raw") if r["file"] == "other.fits")
    assert row["class"] == "?"
    assert next(iter(cards)).removeprefix("HIERARCH ") in row["why"]


@pytest.mark.parametrize("cards", RAW, ids=str)
def test_raw_frame_stays_one(cards):
    write_night()
    write_frame(
        "raw/other.fits", **{"kind": "Bias Frame", "minute": 5} | cards_of(cards)
    )
    assert "other.fits" in biases()


def cards_of(cards):
    return {{"IMAGETYP": "kind"}.get(key, key): value for key, value in cards.items()}


@pytest.mark.parametrize(
    "name",
    [
        "MasterBias.fits", "master_flat_V.fits", "superbias.fits", "b_master.fits",
        "stack_bias.fits", "bias_median_20.fits", "n1-flats-combined.fits",
    ],
)  # fmt: skip
def test_master_is_known_by_its_name(name):
    write_night()
    write_frame(f"raw/{name}", "Bias Frame", 5)
    assert biases() == ["b0.fits", "b1.fits", "b2.fits"]


def test_name_that_only_resembles_is_no_master():
    header = QuickHeader(fits.Header().tostring().encode())
    for name in (
        "masterton1.fits",
        "remaster.fits",
        "b1.fits",
        "bias_meander.fits",
        "mean.fits",
    ):
        assert why_processed(header, name) is None


def lossless(path):
    with fits.open(path) as hdus:
        fits.HDUList(
            [fits.PrimaryHDU(), fits.CompImageHDU(hdus[0].data, hdus[0].header)]
        ).writeto("raw/packed.fits.fz")
    return "packed.fits.fz"


def copied(path):
    shutil.copy(path, "raw/a copy (1).fits")
    return "a copy (1).fits"


def linked(path):
    Path("raw/zlink.fits").symlink_to(Path(path).name)
    return "zlink.fits"


def zipped(path):
    Path("raw/z.fits.gz").write_bytes(gzip.compress(Path(path).read_bytes()))
    return "z.fits.gz"


def as_floats(path):
    with fits.open(path) as hdus:
        fits.PrimaryHDU(hdus[0].data.astype("f4"), hdus[0].header).writeto("raw/z.fits")
    return "z.fits"


@pytest.mark.parametrize("other", [copied, linked, zipped, lossless, as_floats])
def test_exposure_under_two_names_counts_once(other):
    write_night()
    name = other("raw/b1.fits")
    found = biases()
    assert len(found) == 3
    assert len({"b1.fits", name} & set(found)) == 1
    assert [str(r["why"]) for r in survey("raw") if "same exposure" in str(r["why"])]


def test_exposures_of_one_second_are_two():
    write_night()
    write_frame("raw/b9.fits", "Bias Frame", 1)  # the same minute, other pixels
    assert biases() == ["b0.fits", "b1.fits", "b2.fits", "b9.fits"]


def test_lossy_copy_is_named(caplog):
    write_night()
    for name, quantize in (("raw/b1_lossy.fits.fz", 4.0), ("raw/x.fits.fz", 1.0)):
        with fits.open("raw/b1.fits") as hdus:
            packed = fits.CompImageHDU(
                hdus[0].data.astype("f4"), hdus[0].header, quantize_level=quantize
            )
        fits.HDUList([fits.PrimaryHDU(), packed]).writeto(name)
        assert is_lossy(Path(name))
    assert not is_lossy(Path("raw/b1.fits"))
    assert biases() == ["b0.fits", "b1.fits", "b2.fits"]
    assert "b1_lossy.fits.fz is a lossy copy of b1.fits" in caplog.text
    assert "x.fits.fz is a lossy copy of b1.fits" in caplog.text


def test_pixels_are_compared_to_the_last(folder):
    write_frame("raw/a.fits", "Bias Frame")
    shutil.copy("raw/a.fits", "raw/b.fits")
    assert holds_same_pixels(Path("raw/a.fits"), Path("raw/b.fits"))
    with fits.open("raw/b.fits", mode="update") as hdus:
        hdus[0].data[-1, -1] += 1
    assert not holds_same_pixels(Path("raw/a.fits"), Path("raw/b.fits"))
    Path("raw/b.fits").write_bytes(b"no FITS")
    assert not holds_same_pixels(Path("raw/a.fits"), Path("raw/b.fits"))


@pytest.mark.parametrize("other", [copied, linked, zipped])
def test_combine_counts_an_exposure_once(other, caplog):
    write_night()
    name = other("raw/b1.fits")
    files = ["raw/b0.fits", "raw/b1.fits", f"raw/{name}", "raw/b2.fits"]
    made = combine(DataFileList(files), combined="c.fits", scale=[1, 2, 2, 4])
    three = combine(
        DataFileList([files[0], files[1], files[3]]), combined="d.fits", scale=[1, 2, 4]
    )
    assert made[0].meta["NCOMBINE"] == 3
    assert np.array_equal(made[0].data, three[0].data)
    assert f"raw/{name} is the exposure of raw/b1.fits, and counts once" in caplog.text


def test_two_frames_of_one_name_are_refused():
    write_night("n1")
    write_night("n2", day=13)
    with pytest.raises(ParameterError, match=r"n1.b0\.fits and n2.b0\.fits are two"):
        biases("n1/sci.fits", dirname=["n1", "n2"])
    with pytest.raises(ParameterError, match="two frames of one name"):
        biases(DataFileList(["n1/sci.fits", "n2/sci.fits"]), dirname=["n1"])


def test_document_knows_where_its_frames_lie():
    write_night("n1")
    write_night("n2", day=13)
    Path("n2/sci.fits").rename("n2/sci2.fits")
    assert biases("n1/sci.fits", cache="cals.json") == ["b0.fits", "b1.fits", "b2.fits"]
    before = Path("cals.json").read_text()
    with pytest.raises(
        ParameterError, match=r"b0\.fits \(known to cals\.json\) and n2"
    ):
        biases("n2/sci2.fits", cache="cals.json")
    assert '"n2"' not in Path("cals.json").read_text().replace('"sci2.fits": "n2"', "")
    # Nothing of the first night is touched.
    assert [line for line in before.splitlines() if "b0_bias" in line]


def test_frames_that_moved_or_were_copied_are_the_same():
    write_night("n1")
    biases("n1/sci.fits", cache="cals.json")
    shutil.copytree("n1", "n2")
    assert biases("n2/sci.fits", cache="cals.json") == ["b0.fits", "b1.fits", "b2.fits"]
    shutil.rmtree("n2")
    shutil.move("n1", "n3")
    assert len(biases("n3/sci.fits", cache="cals.json")) == 3


@run_task(prefix="s", cals=["bias"])
def subtract(ndd, bias):
    """Subtract a bias."""
    return ndd - bias


def write_ones(path, names):
    images = [fits.ImageHDU(np.ones((4, 5), "f4"), name=name) for name in names]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    return path


def test_calibration_of_other_extensions_is_refused():
    write_ones("raw.fits", ["CHIP1", "CHIP2"])
    for names in (["CHIP3", "CHIP4"], ["CHIP3"]):
        cal = write_ones(f"bias_{'_'.join(names)}.fits", names)
        with pytest.raises(IdentError, match="CHIP"):
            subtract("raw.fits", bias=cal)
    for names in (["CHIP2", "CHIP1"], ["SCI"]):
        cal = write_ones(f"good_{'_'.join(names)}.fits", names)
        assert len(subtract("raw.fits", bias=cal, reprocess=True)) == 2


def test_flat_with_zeros_is_flagged_and_not_divided_by():
    flat = np.ones((6, 6))
    flat[1, 1], flat[2, 2], flat[3, 3] = 0, -0.5, np.nan
    write_image("flat.fits", flat)
    write_image("sci.fits", np.full((6, 6), 100.0))
    result = apply_flat("sci.fits", flat="flat.fits")[0]
    assert np.isfinite(result.data).all()
    assert sorted(zip(*np.nonzero(result.flags), strict=True)) == [
        (1, 1), (2, 2), (3, 3),
    ]  # fmt: skip
    assert result.mask.sum() == 3
    assert np.all(result.data[~result.mask] == 100)


@pytest.mark.parametrize("level", [20000.0, 0.0, 1e-4])
def test_flat_that_is_not_normalised_is_refused(level):
    write_image("flat.fits", np.full((6, 6), level))
    write_image("sci.fits", np.full((6, 6), 100.0))
    with pytest.raises(ParameterError, match="not normalised"):
        apply_flat("sci.fits", flat="flat.fits")


def test_scales_of_more_than_99_flats_are_all_noted():
    files = []
    for n in range(101):
        data = RNG.poisson(20000, (8, 8))
        files.append(write_image(f"f{n}.fits", data))
    flat = make_flat(DataFileList(files), flat="flat.fits", normalise="plain")[0]
    assert {"FSCALE99", "FSCAL100", "FSCAL101"} <= set(flat.meta)
