"""Static calibrations: which is which, and where the pipeline has them."""

import shutil

import pytest
from shared_helpers import write_extensions

from ndmapper.config import config
from ndmapper.errors import MissingFileError
from ndmapper.lib.muse.statics import STATIC_TAGS, find_statics, static_folder
from ndmapper.lib.simulate.muse.statics import write_statics
from ndmapper.testing import FakeRecipe, fake_esorex


def test_headers_tell_and_else_names(tmp_path):
    write_statics(tmp_path)
    found = find_statics(tmp_path)
    assert {kind: path.name for kind, (path,) in found.items()} == {
        "geometry": "geometry_table_wfm.fits", "extinction": "extinct_table.fits",
        "filters": "filter_list.fits", "fluxes": "std_flux_table.fits",
        "skylines": "sky_lines.fits", "lines": "line_catalog.fits",
    }  # fmt: skip
    # A file of the kit whose header says nothing, and one that says something else.
    write_extensions(tmp_path / "raman_lines_v2.fits", ("X", None, [[1.0]]))
    cards = {"HIERARCH ESO PRO CATG": "MASTER_BIAS"}
    write_extensions(tmp_path / "badpix_table.fits", ("X", None, [[1.0]]), cards=cards)
    # What a recipe made of the sky is no list of lines.
    cards = {
        "HIERARCH ESO PRO CATG": "SKY_LINES",
        "HIERARCH ESO PRO REC1 ID": "muse_create_sky",
    }
    write_extensions(tmp_path / "x_skyfit.fits", ("X", None, [[1.0]]), cards=cards)
    (tmp_path / "extinct_table_broken.fits").write_text("no FITS")
    found = find_statics(tmp_path)
    assert [path.name for path in found["raman"]] == ["raman_lines_v2.fits"]
    assert "badpix" not in found
    assert [path.name for path in found["skylines"]] == ["sky_lines.fits"]
    assert [path.name for path in found["extinction"]] == ["extinct_table.fits"]


def test_every_type_is_told_by_one_name():
    starts = [start for _, start in STATIC_TAGS.values()]
    assert len({*starts}) == len(starts)
    assert not [a for a in starts for b in starts if a != b and a.startswith(b)]


@pytest.mark.parametrize(
    "place", ["calib/fake-1.0/cal", "share/esopipes/datastatic/fake-1.0"]
)
def test_folder_of_the_pipeline(tmp_path, place):
    fake = fake_esorex(tmp_path / "bin", {"muse_scipost": FakeRecipe(products={})})
    with config.using(**fake.settings):
        with pytest.raises(MissingFileError, match="static calibrations of fake-1"):
            static_folder()
        folder = tmp_path / place
        folder.mkdir(parents=True)
        assert static_folder() == folder
        shutil.rmtree(folder)
    with pytest.raises(MissingFileError, match="there is no folder"):
        find_statics(tmp_path / "gone")
