"""``ndmapper align``."""

import pytest
from shared_stars import coordinates, exposure

from ndmapper.data import DataFile


@pytest.fixture
def images(folder):
    for number, dither in enumerate([(0, 0), (3, -4)], 1):
        exposure(f"x{number}.fits", coordinates(*dither), coordinates()).save()
    return ["x1.fits", "x2.fits"]


def test_images_agree_with_the_first(command, images):
    result = command("align", *images)
    assert result.code == 0
    assert "ax2.fits[1]" in result.out
    moved = DataFile("ax2.fits")[0].wcs.wcs.crpix - coordinates().wcs.crpix
    assert moved == pytest.approx([3, -4], abs=0.1)


def test_numbers_for_programs(command, images):
    found = command("align", *images, "--reference", "x2.fits", "--json").json
    assert [one["product"] for one in found] == ["ax1.fits", "ax2.fits"]
    assert found[0]["ALNSTARS"] >= 10
    assert found[0]["ALNFLUX"] == pytest.approx(1, abs=0.02)


def test_what_does_not_match_is_an_error(command, images):
    result = command("align", *images, "--near", "1", "--fit", "shift")
    assert result.code == 1
    assert "do not match" in result.err
