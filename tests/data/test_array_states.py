"""
Any sequence of reading, editing, copying and saving, against a model of plain arrays.

Whatever is read when, and shared with what: a file, an image and an array that was
handed out always show what NumPy would, had every array been read at once and every
copy been made.
"""

import copy
import gc
import pickle
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
from astropy.io import fits
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ndmapper.data import DataFile, NDLater
from ndmapper.errors import ModeError

ROLES = {"data": "SCI", "variance": "VAR", "flags": "DQ"}
SHAPE = (6, 5)
NAMES = ("a.fits", "b.fits", "c.fits")


class Cell:
    """An array of one or several images, and whether several have it."""

    def __init__(self, array, *, shared=False):
        self.array = array
        self.shared = shared


class Image:
    """An image under test, and what it should be."""

    def __init__(self, real, cells, *, owned=False, opened=None):
        self.real = real
        self.cells = cells
        self.owned = owned  # by a file, of which it is copied
        self.opened = opened  # the file that it cannot outlive

    @property
    def arrays(self):
        return {role: cell.array for role, cell in self.cells.items()}

    @property
    def shape(self):
        return self.cells["data"].array.shape

    def shares(self):
        """Return the cells of what is made of this by putting it into a file."""
        if self.owned:
            return self.copies()
        for cell in self.cells.values():
            cell.shared = True
        return dict(self.cells)

    def snapshot(self):
        return {role: array.copy() for role, array in self.arrays.items()}

    def copies(self):
        return {role: Cell(array) for role, array in self.snapshot().items()}


class File:
    """A DataFile of one group, and the model of that."""

    def __init__(self, real, image, opened=None):
        self.real = real
        self.image = image
        self.opened = opened  # the file that it cannot outlive: it is no copy


def same(found, expected):
    assert found is not None
    assert found.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(found), expected)


def combined(left, right, sign):
    """Add or subtract two models, or a number, as if they were independent."""
    if not isinstance(right, dict):
        return left | {"data": left["data"] + sign * right}
    made = {"data": left["data"] + sign * right["data"]}
    for role, join in (("variance", np.add), ("flags", np.bitwise_or)):
        known = [x[role] for x in (left, right) if role in x]
        if known:
            made[role] = join(*known) if len(known) == 2 else known[0].copy()
    return made


index = st.integers(0, 11)
number = st.integers(-3, 3)
roles = st.sampled_from(list(ROLES))


class Arrays(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.disk = {}
        self.files = []
        self.images = []
        self.held = []  # pairs of arrays: handed out, and that of the model
        self.count = 0

    def teardown(self):
        try:
            for image in [*self.images, *(file.image for file in self.files)]:
                self.compare(image)
            self.compare_held()
            self.compare_disk()
        finally:
            self.folder.cleanup()

    def compare(self, image):
        found = {role: getattr(image.real, role) for role in ROLES}
        assert {role for role in found if found[role] is not None} == {*image.cells}
        for role, array in image.arrays.items():
            same(found[role], array)

    @invariant()
    def compare_held(self):
        for found, expected in self.held:
            same(found, expected)

    def compare_disk(self):
        for name, arrays in self.disk.items():
            with fits.open(self.path / name, memmap=False) as hdus:
                there = {hdu.name for hdu in hdus if hdu.name in ROLES.values()}
                assert there == {ROLES[role] for role in arrays}
                for role, array in arrays.items():
                    same(hdus[ROLES[role]].data, array)

    def image(self, i):
        everything = [*self.images, *(file.image for file in self.files)]
        return everything[i % len(everything)]

    def new_image(self, real, cells):
        self.images = [*self.images[-5:], Image(real, cells)]

    def new_file(self, real, cells, opened=None):
        image = Image(real[0], cells, owned=True, opened=opened)
        self.files = [*self.files[-3:], File(real, image, opened)]

    def fresh(self, shape, role):
        self.count += 1
        size = int(np.prod(shape))
        values = np.arange(size).reshape(shape) * 7 % 64 + self.count
        return values.astype("u2" if role == "flags" else "f8")

    # ---- files

    @initialize()
    def start(self):
        for name in NAMES[:2]:
            arrays = {role: self.fresh(SHAPE, role) for role in ROLES}
            hdus = [fits.ImageHDU(arrays[r], name=n, ver=1) for r, n in ROLES.items()]
            fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(self.path / name)
            self.disk[name] = arrays
        self.open(0)

    @rule(i=index)
    def open(self, i):
        names = list(self.disk)
        name = names[i % len(names)]
        real = DataFile(self.path / name, mode="update")
        cells = {role: Cell(a.copy()) for role, a in self.disk[name].items()}
        self.new_file(real, cells, name)

    @rule(i=index, name=st.sampled_from([None, *NAMES]))
    def save(self, i, name):
        file = self.files[i % len(self.files)]
        if name is None:
            own = file.real.filename
            name = NAMES[2] if own is None else Path(own).name
        file.real.save(self.path / name, overwrite=True)
        self.disk[name] = file.image.snapshot()
        # What was opened, and is no copy, notices that its file is another one now.
        file.opened = None
        self.files = [x for x in self.files if x.opened != name]
        self.images = [x for x in self.images if x.opened != name]
        file.opened = file.image.opened = name

    @rule(i=index)
    def reload(self, i):
        file = self.files[i % len(self.files)]
        if file.real.filename is None:
            return
        self.images = [*self.images[-5:], file.image]
        file.real.reload()
        name = Path(file.real.filename).name
        cells = {role: Cell(a.copy()) for role, a in self.disk[name].items()}
        file.image = Image(file.real[0], cells, owned=True, opened=name)
        file.opened = name

    @rule(i=index, how=st.sampled_from([DataFile.copy, copy.deepcopy, "pickle", "[:]"]))
    def copy_file(self, i, how):
        file = self.files[i % len(self.files)]
        if how == "pickle":
            real = pickle.loads(pickle.dumps(file.real))
        else:
            real = file.real[:] if how == "[:]" else how(file.real)
        self.new_file(real, file.image.copies())

    @rule(i=index)
    def file_of_an_image(self, i):
        image = self.image(i)
        self.new_file(DataFile(data=image.real), image.shares())

    @rule(i=index, j=index)
    def put_into_a_file(self, i, j):
        image, file = self.image(i), self.files[j % len(self.files)]
        before = file.image
        file.real[0] = image.real
        file.image = Image(file.real[0], image.shares(), owned=True)
        if before is not image:
            before.opened = None  # it left the file, and outlives it
            self.images = [*self.images[-5:], before]

    @rule(i=index)
    def drop_file(self, i):
        if len(self.files) > 1:
            del self.files[i % len(self.files)]
            gc.collect()

    # ---- images

    @rule(i=index, how=st.sampled_from(["copy", "deepcopy", "NDLater", "pickle"]))
    def copy_image(self, i, how):
        image = self.image(i)
        make = {
            "copy": NDLater.copy,
            "deepcopy": copy.deepcopy,
            "NDLater": NDLater,
            "pickle": lambda ndd: pickle.loads(pickle.dumps(ndd)),
        }[how]
        self.new_image(make(image.real), image.copies())

    @rule(i=index, item=st.sampled_from([np.s_[1:], np.s_[::2, 1:], np.s_[:, ::-1]]))
    def section(self, i, item):
        image = self.image(i)
        if min(image.shape) < 2:
            return
        cells = {role: Cell(array[item].copy()) for role, array in image.arrays.items()}
        self.new_image(image.real[item], cells)

    @rule(i=index)
    def drop_image(self, i):
        if self.images:
            del self.images[i % len(self.images)]
            gc.collect()

    @rule(i=index)
    def drop_held(self, i):
        if self.held:
            del self.held[i % len(self.held)]
            gc.collect()

    @rule(i=index)
    def look(self, i):
        self.compare(self.image(i))

    @rule(i=index)
    def look_at_a_copy(self, i):
        image = self.image(i)
        self.compare(Image(image.real.copy(), image.cells))

    # ---- arrays

    @rule(i=index, role=roles, by_object=st.booleans(), view=st.booleans())
    def hold(self, i, role, by_object, view):
        image = self.image(i)
        if role not in image.cells:
            assert getattr(image.real, role) is None
            return
        found, expected = getattr(image.real, role), image.cells[role].array
        if role == "variance" and by_object:
            found = image.real.uncertainty.array
        same(found, expected)
        if view:
            found, expected = found[1:], expected[1:]
        self.held = [*self.held[-5:], (found, expected)]

    @precondition(lambda self: self.held)
    @rule(i=index, value=st.integers(0, 63))
    def write(self, i, value):
        found, expected = self.held[i % len(self.held)]
        found[..., :2] = value
        expected[..., :2] = value

    @rule(i=index, role=roles)
    def set_array(self, i, role):
        image = self.image(i)
        array = self.fresh(image.shape, role)
        setattr(image.real, role, array)
        mine = array.copy()
        image.cells[role] = Cell(mine)
        self.held = [*self.held[-5:], (array, mine)]

    @rule(i=index)
    def put_into_the_uncertainty(self, i):
        image = self.image(i)
        if "variance" in image.cells:
            array = self.fresh(image.shape, "variance")
            image.real.uncertainty.array = array
            mine = array.copy()
            image.cells["variance"] = Cell(mine)
            self.held = [*self.held[-5:], (array, mine)]

    @rule(i=index, role=st.sampled_from(["variance", "flags"]))
    def take_away(self, i, role):
        image = self.image(i)
        setattr(image.real, role, None)
        image.cells.pop(role, None)

    @rule(i=index, role=roles)
    def free(self, i, role):
        image = self.image(i)
        if role not in image.cells:
            return
        try:
            delattr(image.real, "uncertainty" if role == "variance" else role)
        except ModeError:
            return
        cell = image.cells[role]
        cell.array = cell.array.copy()

    # ---- arithmetic

    def put(self, image, made):
        """Put a result in place, as an operator in place does."""
        for role, array in made.items():
            cell = image.cells.get(role)
            if cell is None or cell.shared:
                image.cells[role] = Cell(array.copy())
            else:
                cell.array[...] = array

    @rule(i=index, value=number, sign=st.sampled_from([1, -1]))
    def combine_with_number(self, i, value, sign):
        image = self.image(i)
        real = image.real + value if sign > 0 else image.real - value
        made = combined(image.arrays, value, sign)
        self.new_image(real, {role: Cell(a.copy()) for role, a in made.items()})

    @rule(i=index, j=index, sign=st.sampled_from([1, -1]))
    def combine(self, i, j, sign):
        one, two = self.image(i), self.image(j)
        if one.shape != two.shape:
            return
        real = one.real + two.real if sign > 0 else one.real - two.real
        made = combined(one.arrays, two.arrays, sign)
        self.new_image(real, {role: Cell(a.copy()) for role, a in made.items()})

    @rule(i=index, value=number)
    def in_place_with_number(self, i, value):
        image = self.image(i)
        image.real += value
        self.put(image, combined(image.arrays, value, 1))

    @rule(i=index, j=index)
    def in_place(self, i, j):
        one, two = self.image(i), self.image(j)
        if one.shape == two.shape:
            one.real -= two.real
            self.put(one, combined(one.arrays, two.arrays, -1))

    @rule(i=index, value=number)
    def file_in_place(self, i, value):
        file = self.files[i % len(self.files)]
        file.real += value
        self.put(file.image, combined(file.image.arrays, value, 1))

    @rule(i=index, j=index)
    def combine_files(self, i, j):
        one, two = (self.files[n % len(self.files)] for n in (i, j))
        if one.image.shape == two.image.shape:
            real = one.real - two.real
            made = combined(one.image.arrays, two.image.arrays, -1)
            # As for an image that was appended to the file.
            cells = {role: Cell(a.copy(), shared=True) for role, a in made.items()}
            self.new_file(real, cells)


TestArrays = Arrays.TestCase
TestArrays.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
