import numpy as np
import pytest

from ndmapper.data import DataFile, DataFileList, NDLater
from ndmapper.errors import IdentError, ShapeError, UnitError
from ndmapper.lib.combine import combine, combine_ndds, make_bias
from ndmapper.testing import count_reads


def frames(n, shape=(30, 20), **parts):
    rng = np.random.default_rng(51)
    return [NDLater(rng.normal(100, 3, shape), ident=1, **parts) for _ in range(n)]


@pytest.mark.parametrize("method", ["mean", "median", "sigclip"])
def test_combine_ndds_has_pulls_of_width_one(method):
    ndds = frames(5, (200, 200), variance=np.full((200, 200), 9.0))
    result = combine_ndds(ndds, method=method)
    pulls = (result.data - 100) / np.sqrt(result.variance)
    # 40000 pixels: 0.35 per cent.
    assert pulls.std() == pytest.approx(1, abs=0.015)


def test_combine_ndds_one_without_variance_uses_the_scatter():
    ndds = frames(4, variance=np.full((30, 20), 1e6))
    result = combine_ndds([*ndds, *frames(1)])
    assert result.variance.max() < 1e3


def test_combine_ndds_of_one_frame_without_variance_has_none():
    assert combine_ndds(frames(1)).variance is None


def test_combine_ndds_keeps_header_and_unit_of_the_first():
    ndds = frames(3, unit="adu")
    ndds[0].meta["OBJECT"] = "first"
    result = combine_ndds(ndds)
    assert (result.meta["OBJECT"], result.unit.to_string()) == ("first", "adu")
    assert result.meta["NCOMBINE"] == 3


def test_combine_ndds_flagged_pixel_is_left_out():
    ndds = frames(3)
    ndds[1].data[2, 3] = 1e6
    ndds[1].flags = np.zeros((30, 20), "u2")
    ndds[1].flags[2, 3] = 4
    result = combine_ndds(ndds, method="mean")
    assert result.data[2, 3] < 200
    assert result.flags[2, 3] == 0


def test_combine_ndds_of_other_shape_names_the_file():
    with pytest.raises(ShapeError, match=r"b\.fits has shape"):
        combine_ndds(frames(1) + frames(1, (3, 4)), names=["a.fits", "b.fits"])


def test_combine_ndds_of_other_unit_raises():
    with pytest.raises(UnitError, match="electron"):
        combine_ndds(frames(1, unit="adu") + frames(1, unit="electron"))


def test_make_bias_pairs_extensions_by_ident(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, order in (("a.fits", (1, 2)), ("b.fits", (2, 1))):
        groups = [NDLater(np.full((4, 4), 10.0 * i), ident=i) for i in order]
        DataFile(name, data=groups, mode="new").save()
    bias = make_bias(["a.fits", "b.fits"], bias="bias.fits", method="mean")
    assert [ndd.data[0, 0] for ndd in bias] == [10, 20]


def test_make_bias_of_other_extensions_raises():
    files = [DataFile(data=[NDLater(np.ones((2, 2)), ident=i)]) for i in (1, 2)]
    with pytest.raises(IdentError, match="combine files with the same extensions"):
        make_bias.func(DataFileList(data=files))


def test_combine_scales_the_frames():
    files = [DataFile(data=[NDLater(np.full((2, 2), v))]) for v in (1.0, 2.0)]
    (result,) = combine.func(DataFileList(data=files), scale=[1, 0.5], method="mean")
    assert result.data.tolist() == [[1, 1], [1, 1]]


def test_combine_ndds_reads_each_file_by_rows(tmp_path):
    # 3000 x 3000 pixels of three frames are taken a few hundred rows at a time.
    names = []
    for number in range(3):
        path = tmp_path / f"{number}.fits"
        data = np.full((3000, 3000), number, "i2")
        DataFile(path, data=[NDLater(data)], mode="new").save()
        names.append(path)
    ndds = [DataFile(path)[0] for path in names]
    with count_reads() as counted:
        result = combine_ndds(ndds, method="median")
    assert result.data[-1, -1] == 1
    assert counted.reads > 3
    assert counted.bytes == 3 * 3000 * 3000 * 2


def test_combine_ndds_high_flags_leave_out_the_pixel_and_are_kept():
    ndds = frames(3, (1, 2))
    for ndd in ndds:
        ndd.flags = np.array([[0, 1 << 20]], "i4")
    ndds[0].flags[0, 0] = 1 << 20
    ndds[0].data[0, 0] = 1e6
    result = combine_ndds(ndds, method="mean")
    assert result.data[0, 0] < 200
    assert result.flags.tolist() == [[0, 1 << 20]]
    assert result.mask.tolist() == [[False, True]]
