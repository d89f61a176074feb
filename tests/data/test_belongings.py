"""What belongs to a group goes with it, whatever is done to a file."""

import pickle

import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import NDData
from astropy.table import Table
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import MissingTableError
from ndmapper.testing import count_reads


def written(path, versions=(1, 2, 3), add=0):
    """Write images with a catalogue and a further image each, told by one number."""
    hdus = [fits.PrimaryHDU()]
    for n in versions:
        number = n + add
        hdus += [
            fits.ImageHDU(np.full((4, 5), number, "f4"), name="SCI", ver=n),
            fits.ImageHDU(np.full((4, 5), number, "i2"), name="OBJMASK", ver=n),
            fits.BinTableHDU(Table({"N": [number]}), name="OBJCAT", ver=n),
        ]
    hdus.append(fits.BinTableHDU(Table({"N": [0]}), name="MDF", ver=1))
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


@pytest.fixture
def belongings_file(tmp_path):
    return written(tmp_path / "a.fits")


def said(df):
    """Give the number of each group, and those that what belongs to it says."""
    return [
        (
            int(ndd.data.flat[0]),
            {name: int(table["N"][0]) for name, table in ndd.tables.items()},
            {name: int(image.data.flat[0]) for name, image in ndd.extras.items()},
        )
        for ndd in df
    ]


def whole(*numbers):
    return [(n, {"OBJCAT": n}, {"OBJMASK": n}) for n in numbers]


def stored(path):
    """Give what astropy finds, by name and EXTVER."""
    with fits.open(path) as hdus:
        return {
            (h.name, h.ver): int(h.data["N"][0] if h.is_image is False else
                                 h.data.flat[0])
            for h in hdus[1:]
        }  # fmt: skip


def swap(df, other):
    df[0], df[1] = df[1], df[0]


def put(df, other):
    df[0] = other[2]


def drop(df, other):
    del df[1]


def drop_and_number(df, other):
    del df[0]
    df.renumber()


def drop_and_append(df, other):
    del df[2]
    df.append(NDLater(np.full((4, 5), 9, "f4")))


def drop_and_put_back(df, other):
    third = df[2]
    del df[2]
    df.insert(0, third)


def turn(df, other):
    df.reverse()


def reorder(df, other):
    df[:] = [df[2], df[0]]


def number(df, other):
    df[0].ident, df[1].ident, df[2].ident = 2, 3, 1


def extend(df, other):
    df.extend([other[0], df[0]])


def in_place(df, other):
    df[0] -= 0
    df *= 1


@pytest.mark.parametrize(("change", "numbers"), [
    (swap, [2, 1, 3]), (put, [103, 2, 3]), (drop, [1, 3]), (drop_and_number, [2, 3]),
    (drop_and_put_back, [3, 1, 2]), (turn, [3, 2, 1]), (reorder, [3, 1]),
    (number, [1, 2, 3]), (extend, [1, 2, 3, 101, 1]), (in_place, [1, 2, 3]),
])  # fmt: skip
@pytest.mark.parametrize("look", [False, True])
def test_what_belongs_to_a_group_goes_with_it(
    belongings_file, tmp_path, change, numbers, look
):
    other = DataFile(written(tmp_path / "b.fits", add=100))
    df = DataFile(belongings_file, mode="update")
    if look:
        said(df)
    change(df, other)
    assert said(df) == whole(*numbers)
    assert list(df.tables).count("MDF") == 1
    for again in (df.copy(), pickle.loads(pickle.dumps(df)), df * 1):
        assert said(again) == whole(*numbers)
    df.save(tmp_path / "c.fits")
    for again in (df, DataFile(tmp_path / "c.fits"), DataFile(tmp_path / "c.fits")[:]):
        assert said(again) == whole(*numbers)
        assert list(again.tables).count("MDF") == 1
    assert df.unloaded
    count = 3 * len(numbers) + 1
    assert len(stored(tmp_path / "c.fits")) == count
    assert said(other) == whole(101, 102, 103)


def test_nothing_of_a_group_that_is_gone_comes_back(belongings_file):
    df = DataFile(belongings_file, mode="update")
    drop_and_append(df, None)
    alone = (9, {}, {})
    assert said(df) == [*whole(1, 2), alone]
    df.save()
    assert said(DataFile(belongings_file)) == [*whole(1, 2), alone]
    for save in (False, True):
        written(belongings_file)
        df = DataFile(belongings_file, mode="update")
        del df[1:]
        if save:
            df.save()
            df = DataFile(belongings_file, mode="update")
        df.append(np.full((4, 5), 9, "f4"))
        assert df.idents == [1, 2]
        df.save()
        assert said(DataFile(belongings_file)) == [*whole(1), alone]


def test_group_that_was_taken_out_has_what_belongs_to_it(belongings_file, tmp_path):
    df = DataFile(belongings_file, mode="update")
    third = df[2]
    del df[2]
    df.save()
    assert int(third.tables["OBJCAT"]["N"][0]) == 3
    new = DataFile(tmp_path / "new.fits", data=third)
    new.save()
    assert said(DataFile(tmp_path / "new.fits")) == whole(3)


def test_part_of_a_file_has_what_belongs_to_its_groups_alone(belongings_file, tmp_path):
    df = DataFile(belongings_file)
    with count_reads() as reads:
        part = df[1:]
    assert reads.bytes == 0
    part.save(tmp_path / "part.fits")
    assert sorted(stored(tmp_path / "part.fits")) == sorted(
        [(name, n) for name in ("SCI", "OBJMASK", "OBJCAT") for n in (2, 3)]
        + [("MDF", 1)]
    )
    assert said(df) == whole(1, 2, 3)


@pytest.mark.parametrize("value", [
    np.full((4, 5), 9, "f4"), NDData(np.full((4, 5), 9, "f4")),
    NDLater(np.full((4, 5), 9, "f4")),
], ids=["array", "NDData", "NDLater"])  # fmt: skip
def test_array_of_no_file_takes_over_what_belongs_to_the_place(belongings_file, value):
    df = DataFile(belongings_file, mode="update")
    df[0] = value
    df.save()
    assert said(DataFile(belongings_file))[0] == (9, {"OBJCAT": 1}, {"OBJMASK": 1})


def test_group_without_tables_brings_none(belongings_file, tmp_path):
    bare = tmp_path / "bare.fits"
    DataFile(bare, data=np.full((4, 5), 9, "f4")).save()
    df = DataFile(belongings_file, mode="update")
    df[0] = DataFile(bare)[0]
    df[1] = df[0].copy()
    df.save()
    assert said(DataFile(belongings_file)) == [(9, {}, {}), (9, {}, {}), *whole(3)]


def test_image_of_the_same_pixels_is_cut_with_its_group(belongings_file, tmp_path):
    df = DataFile(belongings_file, mode="update")
    df[0].extras["THUMB"] = np.zeros((2, 2))
    df[0].extras["OBJMASK"].data[1, 2] = 7
    with count_reads() as reads:
        part = df[0][1:, 2:]
    assert reads.bytes == 0
    assert part.extras["OBJMASK"].data[0, 0] == 7
    df[0] = part
    df.save()
    again = DataFile(belongings_file)[0]
    assert again.extras["OBJMASK"].shape == again.shape == (3, 3)
    assert again.extras["THUMB"].shape == (2, 2)


def test_image_is_added_to_a_group_and_taken_away(belongings_file):
    df = DataFile(belongings_file, mode="update")
    df[1].extras["SKY"] = np.full((4, 5), 20)
    del df[0].extras["OBJMASK"]
    df.save()
    found = stored(belongings_file)
    assert found["SKY", 2] == 20
    assert ("OBJMASK", 1) not in found
    assert list(DataFile(belongings_file)[1].extras) == ["OBJMASK", "SKY"]
    with pytest.raises(MissingTableError, match="no extra 'OBJMASX'; did you mean"):
        df[1].extras["OBJMASX"]


def test_images_of_a_group_with_a_name(tmp_path):
    df = DataFile(tmp_path / "a.fits", mode="new", labels="muse")
    df.append(NDLater(np.ones((2, 2)), ident="CHAN07"))
    df[0].extras["TRACE"] = np.ones(3)
    df.save()
    assert DataFile(df.filename, labels="muse")["CHAN07"].extras["TRACE"].shape == (3,)
    df[0].ident = "CHAN08"
    df.save()
    with fits.open(df.filename) as hdus:
        assert [h.name for h in hdus[1:]] == ["CHAN08.DATA", "CHAN08.TRACE"]


def test_what_is_of_no_group_is_not_given_to_a_new_one(belongings_file):
    with fits.open(belongings_file, mode="append") as hdus:
        for name in ("ALONE", "VAR"):
            hdus.append(fits.ImageHDU(np.full((4, 5), 50), name=name, ver=7))
        hdus.append(fits.BinTableHDU(Table({"N": [50]}), name="ALSO", ver=7))
    df = DataFile(belongings_file, mode="update")
    df.append(NDLater(np.full((4, 5), 9, "f4"), ident=7))
    for _ in range(2):
        df.save()
        again = DataFile(belongings_file)
        assert said(again) == [*whole(1, 2, 3), (9, {}, {})]
        assert not again[3].has("uncertainty")
        assert sorted(stored(belongings_file).values()).count(50) == 3


def test_empty_hdu_goes_with_its_group(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for n in (1, 2):
        hdus.append(fits.ImageHDU(np.full((4, 5), n, "f4"), name="SCI", ver=n))
        hdus.append(fits.ImageHDU(name="ERR", ver=n))
        hdus[-1].header["PIXVALUE"] = float(n)
    fits.HDUList(hdus).writeto(tmp_path / "hst.fits")
    df = DataFile(tmp_path / "hst.fits", mode="update")
    del df[0]
    df.renumber()
    df.save()
    with fits.open(tmp_path / "hst.fits") as found:
        assert [(h.name, h.ver) for h in found[1:]] == [("SCI", 1), ("ERR", 1)]
        assert found[2].header["PIXVALUE"] == 2


def test_array_in_the_place_of_an_empty_hdu_of_a_group_with_another_number(tmp_path):
    hdus = [fits.PrimaryHDU()]
    for n in (1, 2):
        hdus.append(fits.ImageHDU(np.full((4, 5), n, "f4"), name="SCI", ver=n))
        hdus.append(fits.ImageHDU(name="ERR", ver=n))
        hdus[-1].header["FROM"] = n
    fits.HDUList(hdus).writeto(tmp_path / "hst.fits")
    df = DataFile(tmp_path / "hst.fits", mode="update")
    del df[1]
    df.renumber(2)
    df[0].variance = np.ones((4, 5))
    df.append(NDLater(np.ones((4, 5)), variance=np.ones((4, 5))))
    df.save()
    with fits.open(tmp_path / "hst.fits") as found:
        assert [(h.name, h.ver) for h in found[1:]] == [
            ("SCI", 2), ("ERR", 2), ("SCI", 3), ("ERR", 3),
        ]  # fmt: skip
        assert found["ERR", 2].header["FROM"] == 1
        assert "FROM" not in found["ERR", 3].header


def count_in(path):
    with fits.open(path) as hdus:
        keys = ("NEXTEND", "NSCIEXT")
        return len(hdus) - 1, *(hdus[0].header.get(key) for key in keys)


def test_numbers_of_extensions_follow(belongings_file, tmp_path):
    fits.setval(belongings_file, "NEXTEND", value=10)
    fits.setval(belongings_file, "NSCIEXT", value=3)
    df = DataFile(belongings_file, mode="update")
    df[0].meta["A"] = 1
    df.save()
    assert count_in(belongings_file) == (10, 10, 3)
    del df[1]
    df.save()
    assert count_in(belongings_file) == (7, 7, 2)
    assert (df.meta["NEXTEND"], df.meta["NSCIEXT"]) == (7, 2)
    df[0].variance = np.ones((4, 5))
    df.append(np.ones((4, 5)))
    df.save()
    assert count_in(belongings_file) == (9, 9, 3)
    assert df.unloaded
    new = DataFile(tmp_path / "new.fits", data=df[0], meta=df.meta)
    new.save()
    assert count_in(tmp_path / "new.fits") == (4, 4, 1)


def test_number_that_was_wrong_is_not_touched_without_need(belongings_file):
    fits.setval(belongings_file, "NEXTEND", value=99)
    df = DataFile(belongings_file, mode="update")
    df[0].meta["A"] = 1
    df.save()
    assert count_in(belongings_file)[1] == 99


def test_image_in_the_primary_hdu_gets_company(tmp_path):
    cards = {"NEXTEND": 0, "GAIN": 2.0, "DATASEC": "[1:5,1:4]", "EXPTIME": 30.0,
             "AMPSEC1": "[1:5,1:4]", "GAIN1": 2.0}  # fmt: skip
    hdu = fits.PrimaryHDU(np.ones((4, 5), "f4"))
    hdu.header.update(cards)
    hdu.writeto(tmp_path / "a.fits")
    df = DataFile(tmp_path / "a.fits", mode="update")
    in_memory = dict(df[0].meta)
    df[0].variance = np.ones((4, 5))
    df.save()
    for again in (df, DataFile(tmp_path / "a.fits")):
        for key in set(cards) - {"NEXTEND"}:
            assert again[0].meta[key] == in_memory[key]
        assert again.meta["EXPTIME"] == 30
        assert again.meta["NEXTEND"] == 2
        # These are of the pixels, and would be out of date with the next cut.
        assert not {"DATASEC", "AMPSEC1", "GAIN1"} & set(again.meta)


class Files(RuleBasedStateMachine):
    """Any sequence of edits, against a list of numbers."""

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.folder = tempfile.TemporaryDirectory()
        self.path = written(Path(self.folder.name) / "a.fits")
        self.other = DataFile(written(Path(self.folder.name) / "b.fits", add=100))
        self.df = DataFile(self.path, mode="update")
        self.model = [1, 2, 3]

    def teardown(self):
        self.folder.cleanup()

    @rule(i=strategies.integers(0, 9), j=strategies.integers(0, 9))
    def swap(self, i, j):
        if self.model:
            i, j = i % len(self.model), j % len(self.model)
            self.df[i], self.df[j] = self.df[j], self.df[i]
            self.model[i], self.model[j] = self.model[j], self.model[i]

    @rule(i=strategies.integers(0, 9))
    def delete(self, i):
        if self.model:
            del self.df[i % len(self.model)], self.model[i % len(self.model)]

    @rule(i=strategies.integers(0, 9), j=strategies.integers(0, 2))
    def insert(self, i, j):
        if len(self.model) < 6:
            self.df.insert(i, self.other[j])
            self.model.insert(i, 101 + j)

    @rule(i=strategies.integers(0, 9), j=strategies.integers(0, 2))
    def assign(self, i, j):
        if self.model:
            self.df[i % len(self.model)] = self.other[j]
            self.model[i % len(self.model)] = 101 + j

    @rule(i=strategies.integers(0, 9))
    def append_again(self, i):
        if 0 < len(self.model) < 6:
            self.df.append(self.df[i % len(self.model)])
            self.model.append(self.model[i % len(self.model)])

    @rule(step=strategies.sampled_from([1, -1, 2]))
    def take(self, step):
        name, mode = self.df.filename, self.df.mode
        self.df = self.df[::step]
        self.df.filename, self.df.mode = name, "overwrite" if mode else mode
        self.model = self.model[::step]

    @rule(start=strategies.integers(1, 4))
    def renumber(self, start):
        self.df.renumber(start)

    @rule()
    def reverse(self):
        self.df.reverse()
        self.model.reverse()

    @rule()
    def turn_by_assigning(self):
        self.df[:] = self.df[::-1]
        self.model.reverse()

    @rule()
    def copy(self):
        name = self.df.filename
        self.df = self.df * 1
        self.df.filename, self.df.mode = name, "overwrite"

    @rule()
    def save(self):
        self.df.save(self.path, overwrite=True)

    @rule()
    def reopen(self):
        self.df.save(self.path, overwrite=True)
        self.df = DataFile(self.path, mode="update")

    @invariant()
    def agree(self):
        assert said(self.df) == whole(*self.model)
        assert len(self.df.tables) == len(self.df.extras) + 1 == len(self.model) + 1


TestFiles = Files.TestCase
TestFiles.settings = settings(
    max_examples=12, stateful_step_count=8, deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
