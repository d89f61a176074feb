import logging

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_extensions

from ndmapper.config import config
from ndmapper.errors import ConfigError
from ndmapper.io.filemap import map_file
from ndmapper.io.labels import Labels, make_labels
from ndmapper.io.layout import find_layout
from ndmapper.testing import make_mef


def layout_of(path, labels=None):
    return find_layout(map_file(path), labels)


def write_shapes(path, *extensions, primary=None):
    """Write a file of image extensions, each given as (name, version, shape)."""
    given = [(name, ver, np.zeros(shape, "f4")) for name, ver, shape in extensions]
    return write_extensions(path, *given, primary=primary)


def test_find_layout_mef_pairs_by_extver(tmp_path):
    path = write_shapes(
        tmp_path / "a.fits",
        ("SCI", 5, (2, 2)), ("DQ", 7, (2, 2)), ("SCI", 7, (2, 2)), ("VAR", 5, (2, 2)),
    )  # fmt: skip
    assert [(g.ident, g.hdus) for g in layout_of(path).groups] == [
        (5, {"data": 1, "uncertainty": 4}),
        (7, {"data": 3, "flags": 2}),
    ]


def test_find_layout_tables_extras_and_record_are_told_apart(tmp_path):
    path = make_mef(tmp_path / "a.fits", n_ext=1)
    with fits.open(path, mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.zeros(3), name="OBJMASK"))
        columns = [fits.Column("A", "J", array=[1])]
        hdus.append(fits.BinTableHDU.from_columns(columns, name="NDM_RECORD"))
    layout = layout_of(path)
    assert (layout.tables, layout.extras, layout.record) == (
        {"MDF": 1}, {"OBJMASK": 5}, 6,
    )  # fmt: skip


def test_find_layout_names_that_repeat_get_their_number(tmp_path):
    path = write_shapes(
        tmp_path / "a.fits",
        ("SCI", 1, 3),
        ("MASK", 1, 3),
        ("MASK", 2, 3),
        ("ONE", None, 3),
    )
    assert list(layout_of(path).extras) == ["MASK_1", "MASK_2", "ONE"]


def test_find_layout_unnamed_extensions_are_numbered_in_order(tmp_path):
    path = write_shapes(tmp_path / "a.fits", (None, None, 3), (None, None, 4))
    assert [(g.ident, g.data) for g in layout_of(path).groups] == [(1, 1), (2, 2)]


def test_find_layout_primary_image_is_one_group(tmp_path):
    path = write_shapes(tmp_path / "a.fits", primary=np.zeros((2, 3)))
    assert [(g.ident, g.data) for g in layout_of(path).groups] == [(1, 0)]


def test_find_layout_primary_image_beside_sci_is_an_extra(tmp_path):
    path = write_shapes(tmp_path / "a.fits", ("SCI", 1, 3), primary=np.zeros((2, 3)))
    assert layout_of(path).extras == {"PRIMARY": 0}


def test_find_layout_same_extver_twice_numbers_in_order(tmp_path):
    path = write_shapes(
        tmp_path / "a.fits",
        ("SCI", None, 3),
        ("VAR", None, 3),
        ("SCI", None, 4),
        ("VAR", None, 4),
    )
    assert [(g.ident, g.data, g.uncertainty) for g in layout_of(path).groups] == [
        (1, 1, 2), (2, 3, 4),
    ]  # fmt: skip


def test_find_layout_variance_of_other_shape_is_an_extra(tmp_path, caplog):
    path = write_shapes(tmp_path / "a.fits", ("SCI", 1, (2, 3)), ("VAR", 1, (3, 2)))
    with caplog.at_level(logging.WARNING):
        layout = layout_of(path)
    assert layout.groups[0].uncertainty is None
    assert layout.extras == {"VAR": 2}
    assert "VAR" in caplog.text


def test_find_layout_labels_of_the_instrument_are_recognised(real_data):
    layout = layout_of(real_data / "muse" / "minicube_cut.fits", None)
    fmap = map_file(real_data / "muse" / "minicube_cut.fits")
    names = {part: fmap.hdus[i].name for part, i in layout.groups[0].hdus.items()}
    assert names == {"data": "DATA", "uncertainty": "STAT", "flags": "DQ"}


def test_find_layout_labels_of_the_configuration_hold(tmp_path):
    path = write_shapes(tmp_path / "a.fits", ("SCI", 1, 3), ("FLUX", 1, 3))
    with config.using(labels={"data": "flux"}):
        assert layout_of(path).groups[0].data == 2


@pytest.mark.parametrize(
    "labels",
    [
        "nonsense",
        {"dat": "SCI"},
        {"uncertainty_is": "sigma"},
        {"data": "X", "flags": "X"},
    ],
    ids=str,
)
def test_make_labels_malformed_is_an_error(labels):
    with pytest.raises(ConfigError):
        make_labels(labels)


def test_make_labels_mapping_keeps_defaults():
    assert make_labels({"uncertainty": "err", "uncertainty_is": "std"}) == Labels(
        "SCI", "ERR", "DQ", "std"
    )


def test_make_labels_preset_is_that_of_the_instrument():
    assert make_labels("muse").names == {
        "data": "DATA", "uncertainty": "STAT", "flags": "DQ",
    }  # fmt: skip


def test_find_layout_header_without_pixels_is_carried_only(real_data):
    layout = layout_of(real_data / "muse" / "MUSE.2017-06-16T01_34_56.867.fits")
    assert (layout.groups, layout.extras) == ((), {})


def test_make_labels_toml_of_ones_own(tmp_path):
    (tmp_path / "cam.toml").write_text(
        'schema = 1\ndescription = "x"\n[applies]\nINSTRUME = "CAM"\n'
        '[labels]\ndata = "IMG"\nuncertainty = "SIG"\nuncertainty_is = "std"\n'
    )
    labels = make_labels(str(tmp_path / "cam.toml"))
    assert (labels.data, labels.uncertainty, labels.uncertainty_is) == (
        "IMG", "SIG", "std",
    )  # fmt: skip


def test_find_layout_extver_zero_is_a_number_like_others(tmp_path):
    path = write_shapes(
        tmp_path / "a.fits",
        ("SCI", 0, 3), ("VAR", 0, 3), ("SCI", 1, 3), ("VAR", 1, 3),
    )  # fmt: skip
    layout = layout_of(path)
    assert [(g.ident, g.data, g.uncertainty) for g in layout.groups] == [
        (0, 1, 2), (1, 3, 4),
    ]  # fmt: skip
    assert layout.extras == {}


def pairs_in(path):
    return [(g.ident, g.data, g.uncertainty) for g in layout_of(path).groups]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("SCI SCI VAR SCI VAR", [(1, 1, None), (2, 2, 3), (3, 4, 5)]),
        ("SCI SCI VAR", [(1, 1, None), (2, 2, 3)]),
        ("SCI VAR SCI", [(1, 1, 2), (2, 3, None)]),
        ("SCI SCI VAR VAR", [(1, 1, 3), (2, 2, 4)]),
        ("VAR SCI VAR SCI", [(1, 2, 1), (2, 4, 3)]),
        ("SCI VAR DQ SCI VAR DQ", [(1, 1, 2), (2, 4, 5)]),
        ("A.SCI A.SCI A.VAR", [("A_1", 1, None), ("A_2", 2, 3)]),
        ("A.SCI A.SCI A.VAR A.VAR", [("A_1", 1, 3), ("A_2", 2, 4)]),
    ],
)
def test_find_layout_without_numbers_pairs_by_place(tmp_path, names, expected):
    path = write_shapes(
        tmp_path / "a.fits", *[(name, None, 3) for name in names.split()]
    )
    assert pairs_in(path) == expected


def test_find_layout_pairs_that_cannot_be_told_are_extras(tmp_path, caplog):
    names = ["SCI", "SCI", "SCI", "VAR", "VAR"]
    path = write_shapes(tmp_path / "a.fits", *[(name, None, 3) for name in names])
    assert pairs_in(path) == [(1, 1, None), (2, 2, None), (3, 3, None)]
    assert list(layout_of(path).extras) == ["VAR_1", "VAR_2"]
    assert "VAR" in caplog.text


def test_find_layout_numbers_of_names_that_repeat_hold(tmp_path):
    path = write_shapes(
        tmp_path / "a.fits",
        ("A.SCI", 1, 3), ("A.SCI", 2, 3), ("A.VAR", 2, 3), ("A.VAR", 1, 3),
    )  # fmt: skip
    assert pairs_in(path) == [("A_1", 1, 4), ("A_2", 2, 3)]
