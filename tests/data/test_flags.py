import numpy as np

from ndmapper.data import Flag
from ndmapper.data.flags import FLAGS_DTYPE


def test_flag_bits_are_those_of_gemini():
    assert [flag.value for flag in Flag] == [1, 2, 4, 8, 16, 32, 64]


def test_flag_every_bit_fits_the_type_of_new_flags():
    assert max(flag.value for flag in Flag) <= np.iinfo(FLAGS_DTYPE).max


def test_flag_goes_into_an_array():
    flags = np.zeros(2, FLAGS_DTYPE)
    flags[0] |= Flag.COSMIC_RAY | Flag.SATURATED
    assert flags.tolist() == [12, 0]
