"""The mask as something that can be set, and what that does to flags."""

import copy
import pickle

import numpy as np
import pytest

from ndmapper.data import NDLater
from ndmapper.errors import ModeError, ParameterError


@pytest.fixture
def ndd():
    flags = np.array([[0, 4, 0], [8, 0, 5]], "u2")
    return NDLater(np.ones((2, 3), "f4"), flags=flags)


def test_item_sets_and_clears_flags(ndd):
    ndd.mask[0, 0] = True
    ndd.mask[1, :2] = [False, True]
    assert ndd.flags.tolist() == [[1, 4, 0], [0, 1, 5]]
    assert ndd.mask.tolist() == [[True, True, False], [False, True, True]]


def test_item_by_an_array_of_bool(ndd):
    ndd.mask[ndd.flags == 5] = False
    assert ndd.flags.tolist() == [[0, 4, 0], [8, 0, 0]]


@pytest.mark.parametrize("how", ["whole", "in place", "held"])
def test_only_what_changes_is_changed(ndd, how):
    new = np.array([[True, True, False], [False, False, True]])
    if how == "whole":
        ndd.mask = ndd.mask | new
    elif how == "in place":
        ndd.mask |= new
    else:
        mask = ndd.mask
        mask |= new
    assert ndd.flags.tolist() == [[1, 4, 0], [8, 0, 5]]
    ndd.mask &= new
    assert ndd.flags.tolist() == [[1, 4, 0], [0, 0, 5]]
    ndd.mask ^= new
    assert not ndd.flags.any()


def test_flags_set_in_between_are_kept(ndd):
    mask = ndd.mask
    ndd.flags[0, 2] = 64
    mask[0, 0] = True
    assert ndd.flags.tolist() == [[1, 4, 64], [8, 0, 5]]


def test_what_would_be_lost_is_an_error(ndd):
    with pytest.raises(ModeError, match="part of a mask"):
        ndd.mask[1][0] = True
    for write in (lambda m: m.fill(True), lambda m: np.copyto(m, True)):
        with pytest.raises(ValueError, match="read-only"):
            write(ndd.mask)
    ndd.bad_flags = 4
    with pytest.raises(ParameterError, match="BAD"):
        ndd.mask[0, 0] = True


def test_copies_and_results_are_plain(ndd):
    for made in (~ndd.mask, ndd.mask | ndd.mask, np.array(ndd.mask), ndd.data[ndd.mask],
                 pickle.loads(pickle.dumps(ndd.mask))):  # fmt: skip
        assert type(made) is np.ndarray
    for own in (ndd.mask.copy(), copy.deepcopy(ndd.mask)):
        own[...] = True
    assert ndd.to_ccddata("adu").mask.sum() == 3
    assert ndd.flags.tolist() == [[0, 4, 0], [8, 0, 5]]
