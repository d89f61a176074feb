"""Files that are not there yet."""

import pickle

import numpy as np
from astropy.io import fits

from ndmapper.data import DataFile
from ndmapper.data.planned import PlannedFile


def test_a_planned_file_that_was_made_travels_to_processes_in_other_folders(
    tmp_path, monkeypatch
):
    def make():
        fits.writeto("x.fits", np.full((2, 3), 5.0, np.float32))

    monkeypatch.chdir(tmp_path)
    made = PlannedFile("x.fits", [], {}, make)
    made.make()
    packed = pickle.dumps(made)
    monkeypatch.chdir("/")
    copy = pickle.loads(packed)
    assert type(copy) is DataFile
    assert str(copy) == "x.fits"
    assert copy[0].data[0, 0] == 5.0
