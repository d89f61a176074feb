"""Images aligned by their stars with an image, or a catalogue."""

import numpy as np
import pytest
from astropy.table import Table
from shared_stars import SHAPE, SKY, coordinates, exposure, field

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ParameterError, StepError
from ndmapper.lib.image import align_images, stack_images


def worst(ndd, true):
    """Give the largest error of the coordinates of an image [pixel]."""
    ny, nx = SHAPE
    at = np.array([[0, 0], [nx - 1, 0], [0, ny - 1], [nx / 2, ny / 2]], float)
    return np.abs(true.all_world2pix(ndd.wcs.all_pix2world(at, 0), 0) - at).max()


@pytest.mark.parametrize(
    ("true", "stated"),
    [
        (coordinates(3.3, -4.8), coordinates()),
        (coordinates(12.6, 9.1, 0.3), coordinates()),
        (coordinates(5, 5, 1, 1.002), coordinates(2, 2, 1)),
        (coordinates(60, -40, 35), coordinates()),
    ],
)
def test_coordinates_are_those_of_the_reference(true, stated):
    reference = exposure("r.fits", coordinates(), coordinates(), seed=2)
    image = exposure("x.fits", true, stated, clear=0.7, sky=150)
    before = worst(image[0], true)
    aligned = align_images(image, reference=reference, save=False)[0]
    # Some 25 stars, each good to .02 to .1 pixel, in the corners of the field.
    assert worst(aligned, true) < 0.1 < before
    assert aligned.meta["ALNSTARS"] >= 12
    assert aligned.meta["ALNFLUX"] == pytest.approx(0.7, abs=0.02)
    assert aligned.meta["ALNSKY"] == pytest.approx(150 - 0.7 * SKY, abs=3)
    assert np.array_equal(aligned.data, image[0].data)


def test_positions_are_good_to_a_few_hundredths_of_a_pixel():
    reference = exposure("r.fits", coordinates(), coordinates(), seed=2)
    true, shifts = coordinates(3.3, -4.8), []
    for seed in range(6):
        image = exposure("x.fits", true, coordinates(), seed=10 + seed)
        aligned = align_images(image, reference=reference, fit="shift", save=False)[0]
        shifts.append(aligned.wcs.wcs.crpix - true.wcs.crpix)
    assert np.abs(shifts).mean() < 0.03


def test_a_shift_alone_keeps_the_angle():
    reference = exposure("r.fits", coordinates(), coordinates())
    image = exposure("x.fits", coordinates(4, 3, 0.05), coordinates(), seed=3)
    aligned = align_images(image, reference=reference, fit="shift", save=False)[0]
    matrices = [wcs.pixel_scale_matrix for wcs in (aligned.wcs, coordinates())]
    assert np.allclose(*matrices, atol=1e-12)


@pytest.mark.parametrize("form", ["ecsv", "csv"])
@pytest.mark.parametrize("order", [["ra", "dec", "mag"], ["DEC", "RA"]])
def test_a_catalogue_gives_coordinates(tmp_path, form, order):
    world, flux = field()
    columns = {"ra": world[:, 0], "dec": world[:, 1], "mag": -2.5 * np.log10(flux)}
    table = Table({name: columns[name.lower()] for name in order})
    path = tmp_path / f"gaia.{form}"
    table.write(path, format=f"ascii.{form}")
    true = coordinates(7.7, -11.2, 0.2)
    image = exposure("x.fits", true, coordinates())
    aligned = align_images(image, reference=path, save=False)[0]
    assert worst(aligned, true) < 0.1
    assert "ALNFLUX" not in aligned.meta


def test_images_without_coordinates_get_those_of_pixels():
    reference = exposure("r.fits", coordinates())
    image = exposure("x.fits", coordinates(15, 8, 3), seed=4)
    own = align_images(reference, reference=reference, save=False)
    aligned = align_images(image, reference=reference, save=False)
    at = np.array([[50.0, 60.0]])
    assert own[0].wcs.all_pix2world(at, 0) == pytest.approx(at + 1, abs=0.01)
    stack = stack_images([own, aligned], covers="first", method="mean", save=False)[0]
    good = np.isfinite(stack.data) & (stack.flags == 0)
    pull = (stack.data - reference[0].data)[good] / np.sqrt(reference[0].variance[good])
    # Both have the same stars at the same places; noise and steep slopes are left.
    assert np.std(pull) < 1.2


def test_an_image_without_coordinates_takes_those_of_the_reference():
    reference = exposure("r.fits", coordinates(), coordinates())
    true = coordinates(-9, 14, 5)
    aligned = align_images(exposure("x.fits", true), reference=reference, save=False)
    assert worst(aligned[0], true) < 0.1


def test_fields_that_do_not_match_are_told(tmp_path):
    reference = exposure("r.fits", coordinates(), coordinates())
    other = exposure("x.fits", coordinates(), coordinates(), stars=field(seed=9))
    with pytest.raises(StepError, match=r"stars of x\.fits\[1\] do not match the"):
        align_images(other, reference=reference, save=False)
    empty = exposure(
        "e.fits", coordinates(), coordinates(), stars=(np.empty((0, 2)), [])
    )
    with pytest.raises(StepError, match="has no stars above 10 times the noise"):
        align_images(empty, reference=reference, threshold=10.0, save=False)
    flagged = exposure("f.fits", coordinates(), coordinates())
    flagged[0].flags = np.ones(SHAPE, np.uint16)
    with pytest.raises(StepError, match="has no good pixels"):
        align_images(flagged, reference=reference, save=False)


def test_what_cannot_be_a_reference(tmp_path):
    image = exposure("x.fits", coordinates(), coordinates())
    path = tmp_path / "c.csv"
    path.write_text("x,y\n1,2\n")
    with pytest.raises(ParameterError, match="must be in columns ra and dec"):
        align_images(image, reference=path, save=False)
    path.write_text("ra,dec\n1,2\n")
    with pytest.raises(ParameterError, match="has no coordinates, not even rough"):
        align_images(exposure("y.fits", coordinates()), reference=path, save=False)
    several = DataFile("s.fits", data=[image[0].copy(), image[0].copy()])
    several[0].ident, several[1].ident = 5, 6
    with pytest.raises(ParameterError, match="has no extension 1"):
        align_images(image, reference=several, save=False)


def test_saved_with_the_reference_in_its_record(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exposure("r.fits", coordinates(), coordinates()).save()
    exposure("x.fits", coordinates(4, 5), coordinates()).save()
    align_images("x.fits", reference="r.fits")
    product = DataFile("ax.fits")
    assert product.record[-1]["references"]["reference"]["name"] == "r.fits"
    assert worst(product[0], coordinates(4, 5)) < 0.1


def test_one_star_in_both_images_gives_the_shift():
    star = [[60.0, 50.0, 3e4]]
    frames = []
    for name, dx in (("r.fits", 0.0), ("x.fits", 2.5)):
        y, x = np.mgrid[:100, :120]
        noise = np.random.default_rng(len(frames)).normal(0, 5, x.shape)
        light = np.exp(-((x - star[0][0] - dx) ** 2 + (y - star[0][1]) ** 2) / 4.5)
        ndd = NDLater(star[0][2] / 14 * light + noise, ident=1, wcs=coordinates())
        ndd.variance = np.full(x.shape, 25.0)
        frames.append(DataFile(name, data=[ndd]))
    aligned = align_images(frames[1], reference=frames[0], save=False)[0]
    assert aligned.meta["ALNSTARS"] == 1
    assert "ALNRMS" not in aligned.meta
    moved = aligned.wcs.wcs.crpix - coordinates().wcs.crpix
    assert moved == pytest.approx([2.5, 0], abs=0.1)
