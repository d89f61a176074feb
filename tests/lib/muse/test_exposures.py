"""Names of exposures and pointings."""

import pytest
from astropy.table import Table

from ndmapper.lib.muse.exposures import add_identifiers, exposure_names, pointing_name


@pytest.mark.parametrize(
    ("place", "name"),
    [
        # The example of MUSEreduce's own documentation: 18 04 31, -24 23 16.
        ((271.12917, -24.387778, 5.0), "180431-242316_0005"),
        ((53.125, -27.8, 860.4), "033230-274800_0860"),
        ((0.0, 0.0, 10800.0), "000000+000000_10800"),
        # Decimals are cut off, and not rounded.
        ((15.0 - 0.1 / 240, 0.9999 / 3600, 1.0), "005959+000000_0001"),
        ((15.0, -0.5 / 3600, 1.0), "010000-000000_0001"),
    ],
)
def test_pointing(place, name):
    assert pointing_name(*place) == name


def test_counter_tells_exposures_of_one_kind_apart():
    place = (53.125, -27.8, 100.0)
    assert exposure_names([(*place, 90.0), (*place, 0.2), (*place, 90.4)]) == [
        "033230-274800_0100_090_00",
        "033230-274800_0100_000_00",
        "033230-274800_0100_090_01",
    ]
    assert exposure_names([(*place, -90.0), (*place, 359.8)]) == [
        "033230-274800_0100_270_00",
        "033230-274800_0100_000_00",
    ]


def test_own_names_are_kept_and_calibrations_have_none():
    table = Table({
        "class": ["object", "bias", "object"], "time": ["3", "1", "2"],
        "ra": [10.0, 10.0, 10.0], "dec": [0.0, 0.0, 0.0], "exptime": [1.0, 0.0, 1.0],
        "rotation": [0.0, 0.0, 0.0],
    })  # fmt: skip
    add_identifiers(table)
    # The counter follows the time, and not the rows.
    assert list(table["exposure"]) == [
        "004000+000000_0001_000_01", "", "004000+000000_0001_000_00",
    ]  # fmt: skip
    table["exposure"][0] = "mine"
    add_identifiers(table)
    assert table["exposure"][0] == "mine"
