"""Tasks of IRAF on files with data, variance and flags, compared with numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from shared_helpers import write_image

from ndmapper.data import DataFile
from ndmapper.engines import Outcome
from ndmapper.errors import IdentError, ParameterError
from ndmapper.testing import make_mef

pytestmark = pytest.mark.iraf

RunTask = Callable[..., Outcome]


def saved(product: DataFile, path: Path) -> DataFile:
    """What is on the disk in the end, which is what counts."""
    product.save(path)
    return DataFile(path)


def test_imarith_goes_over_extensions(run_iraf: RunTask, tmp_path: Path) -> None:
    one, two = make_mef(tmp_path / "one.fits"), make_mef(tmp_path / "two.fits")
    outcome = run_iraf(
        "images.imutil.imarith",
        {"operand1": one, "operand2": two},
        {"result": "sum.fits"},
        op="+",
        verbose=True,
    )
    product = saved(outcome.products["result"], tmp_path / "sum.fits")
    assert product.idents == [1, 2]
    for made, ndd in zip(product, DataFile(one), strict=True):
        np.testing.assert_array_equal(made.data, 2 * ndd.data)
        np.testing.assert_array_equal(made.variance, 2 * ndd.variance)
        np.testing.assert_array_equal(made.flags, ndd.flags)
        assert made.flags.dtype == np.uint16
        assert made.meta == ndd.meta
    assert product.meta == DataFile(one).meta
    assert list(product.tables) == ["MDF"]
    assert outcome.log.count("Operation = +") == 2
    assert not outcome.warnings


def test_product_is_what_astropy_expects(run_iraf: RunTask, tmp_path: Path) -> None:
    one = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "images.imutil.imarith", {"operand1": one}, {"result": "x.fits"}, op="*",
        operand2=2,
    )  # fmt: skip
    outcome.products["result"].save(tmp_path / "x.fits")
    with fits.open(one) as before, fits.open(tmp_path / "x.fits") as after:
        after.verify("exception")
        assert [(h.name, h.ver) for h in after] == [(h.name, h.ver) for h in before]
        assert [repr(h.header) for h in after] == [repr(h.header) for h in before]
        np.testing.assert_array_equal(after["VAR", 1].data, 4 * before["VAR", 1].data)


def test_single_extension_is_used_again(run_iraf: RunTask, tmp_path: Path) -> None:
    many = make_mef(tmp_path / "many.fits")
    alone = write_image(tmp_path / "alone.fits", np.full((6, 8), 7.0))
    for first, second in ((many, alone), (alone, many)):
        outcome = run_iraf(
            "images.imutil.imarith",
            {"operand1": first, "operand2": second},
            {"result": "x.fits"},
            op="+",
        )
        product = outcome.products["result"]
        assert product.idents == [1, 2]
        np.testing.assert_array_equal(product[1].data, DataFile(many)[1].data + 7)


def test_extensions_must_match(run_iraf: RunTask, tmp_path: Path) -> None:
    two, three = make_mef(tmp_path / "a.fits"), make_mef(tmp_path / "b.fits", 3)
    with pytest.raises(IdentError, match=r"a\.fits has the extensions \[1, 2\]"):
        run_iraf(
            "images.imutil.imarith",
            {"operand1": two, "operand2": three},
            {"result": "x.fits"},
            op="+",
        )


def test_simple_file_stays_simple(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "raw.fits", np.arange(48).reshape(6, 8), cards={"EXPTIME": 30.0}
    )
    outcome = run_iraf(
        "images.imutil.imarith", {"operand1": path}, {"result": "x.fits"}, op="/",
        operand2=4,
    )  # fmt: skip
    outcome.products["result"].save(tmp_path / "x.fits")
    with fits.open(tmp_path / "x.fits") as hdus:
        assert len(hdus) == 1
        assert hdus[0].header["EXPTIME"] == 30
        np.testing.assert_array_equal(
            hdus[0].data, np.arange(48, dtype="f4").reshape(6, 8) / 4
        )


def test_changes_in_memory_reach_the_task(run_iraf: RunTask, tmp_path: Path) -> None:
    df = DataFile(make_mef(tmp_path / "one.fits"))
    df[0].data[...] = 5
    df.append(df[0].copy())
    outcome = run_iraf(
        "images.imutil.imarith", {"operand1": df}, {"result": "x.fits"}, op="+",
        operand2=1,
    )  # fmt: skip
    product = outcome.products["result"]
    assert product.idents == [1, 2, 3]
    assert (product[0].data == 6).all()
    assert (product[2].data == 6).all()


def test_imcombine_takes_all_files_together(run_iraf: RunTask, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    files, stacks = [], []
    for n in range(5):
        df = DataFile(make_mef(tmp_path / f"f{n}.fits"))
        for ndd in df:
            ndd.data = rng.normal(100, 5, (6, 8)).astype("float32")
        files.append(df)
        stacks.append([ndd.data for ndd in df])
    outcome = run_iraf(
        "images.immatch.imcombine",
        {"input": files},
        {"output": "m.fits"},
        words={"comb_in": True},
        combine="median",
    )
    product = outcome.products["output"]
    for index in range(2):
        expected = np.median([stack[index] for stack in stacks], axis=0)
        np.testing.assert_allclose(product[index].data, expected, rtol=1e-6)
    assert not product[0].has("uncertainty")
    assert "variance" in outcome.warnings[0]
    assert product[0].meta["NCOMBINE"] == 5


def test_long_lists_go_through_a_file(run_iraf: RunTask, tmp_path: Path) -> None:
    files = []
    for n in range(120):
        path = tmp_path / f"a_rather_long_name_{n:03d}.fits"
        files.append(write_image(path, np.full((2, 3), n)))
    outcome = run_iraf(
        "images.immatch.imcombine",
        {"input": files},
        {"output": "m.fits"},
        words={"comb_in": True},
        combine="sum",
    )
    assert (outcome.products["output"][0].data == sum(range(120))).all()


def test_a_list_gives_a_list(run_iraf: RunTask, tmp_path: Path) -> None:
    files = [make_mef(tmp_path / f"{n}x.fits", dtype="int16") for n in range(3)]
    for n, path in enumerate(files):
        with fits.open(path, mode="update") as hdus:
            hdus[0].header["NUMBER"] = n
            hdus["SCI", 2].data[...] = n
    outcome = run_iraf(
        "images.imutil.imcopy", {"input": files},
        {"output": "a.fits", "output#2": "b.fits", "output#3": "c.fits"},
        words={"comb_in": True}, verbose=False,
    )  # fmt: skip
    for n, product in enumerate(outcome.products.values()):
        assert product.meta["NUMBER"] == n
        assert (product[1].data == n).all()
        np.testing.assert_array_equal(product[0].data, DataFile(files[n])[0].data)


def test_imcopy_cuts_variance_and_flags_too(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "images.imgeom.imtranspose", {"input": path}, {"output": "t.fits"}
    )
    for made, ndd in zip(outcome.products["output"], DataFile(path), strict=True):
        np.testing.assert_array_equal(made.data, ndd.data.T)
        np.testing.assert_array_equal(made.variance, ndd.variance.T)
        np.testing.assert_array_equal(made.flags, ndd.flags.T)
        assert made.flags.dtype == np.uint16
    assert not outcome.warnings


def test_imstat_has_no_product(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "images.imutil.imstat", {"images": path}, fields="npix,mean", format=False
    )
    assert outcome.products == {}
    lines = [line.split() for line in outcome.log.splitlines()]
    assert [int(npix) for npix, _ in lines] == [48, 48]
    means = [float(mean) for _, mean in lines]
    np.testing.assert_allclose(means, [1023.5, 2023.5], rtol=1e-5)


def test_fit1d_carries_variance_with_a_warning(
    run_iraf: RunTask, tmp_path: Path
) -> None:
    path = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "images.imfit.fit1d", {"input": path}, {"output": "f.fits"}, type="difference",
        interactive=False, function="legendre", order=2,
    )  # fmt: skip
    product = outcome.products["output"]
    np.testing.assert_allclose(product[0].data, 0, atol=1e-3)
    np.testing.assert_array_equal(product[0].variance, DataFile(path)[0].variance)
    assert "variance and flags" in outcome.warnings[0]


@pytest.mark.parametrize("word", ["carry", "drop"])
def test_variance_as_asked(run_iraf: RunTask, tmp_path: Path, word: str) -> None:
    path = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "noao.imred.generic.background", {"input": path}, {"output": "b.fits"},
        words={"vardq": word}, interactive=False,
    )  # fmt: skip
    for made, ndd in zip(outcome.products["output"], DataFile(path), strict=True):
        assert made.has("flags") == made.has("uncertainty") == (word == "carry")
        np.testing.assert_allclose(
            made.data, ndd.data - ndd.data.mean(axis=1, keepdims=True), atol=1e-3
        )
    assert not outcome.warnings


def test_variance_where_it_cannot_be_told(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "one.fits")
    for given in ({"op": "max", "operand2": 1}, {"op": "+", "operand2": "one_1.fits"}):
        outcome = run_iraf(
            "images.imutil.imarith", {"operand1": path}, {"result": "b.fits"}, **given
        )
        assert "variance and flags of its input" in outcome.warnings[0]
        with pytest.raises(ParameterError, match="not known how"):
            run_iraf(
                "images.imutil.imarith", {"operand1": path}, {"result": "b.fits"},
                words={"vardq": "recompute"}, **given,
            )  # fmt: skip
    with pytest.raises(ParameterError, match=r"vardq='drop' goes with MEF_ext=True"):
        run_iraf(
            "images.imutil.imcopy", {"input": path}, {"output": "b.fits"},
            words={"vardq": "drop", "MEF_ext": False},
        )  # fmt: skip
    with pytest.raises(ParameterError, match="vardq must be one of"):
        run_iraf(
            "images.imutil.imcopy", {"input": path}, {"output": "b.fits"},
            words={"vardq": "keep"},
        )  # fmt: skip


def test_switches_for_variance_and_flags(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "one.fits")
    outcome = run_iraf(
        "images.imutil.imcopy", {"input": path}, {"output": "c.fits"},
        settings={"use_uncert": False, "use_flags": False},
    )  # fmt: skip
    assert not any(n.has("uncertainty") for n in outcome.products["output"])
    assert not any(n.has("flags") for n in outcome.products["output"])


def test_zerocombine_and_ccdproc(run_iraf: RunTask, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    biases = []
    for n in range(3):
        hdus = [fits.PrimaryHDU(header=fits.Header({"IMAGETYP": "zero"}))]
        for ver in (1, 2):
            data = rng.normal(500, 3, (20, 30)).astype("float32")
            hdus.append(fits.ImageHDU(data, name="SCI", ver=ver))
        fits.HDUList(hdus).writeto(tmp_path / f"bias{n}.fits")
        biases.append(DataFile(tmp_path / f"bias{n}.fits"))
    outcome = run_iraf(
        "noao.imred.ccdred.zerocombine", {"input": biases}, {"output": "zero.fits"},
        words={"comb_in": True}, combine="average", reject="none", process=False,
    )  # fmt: skip
    zero = saved(outcome.products["output"], tmp_path / "zero.fits")
    expected = np.mean([b[1].data for b in biases], axis=0)
    np.testing.assert_allclose(zero[1].data, expected, rtol=1e-6)

    raw = make_mef(
        tmp_path / "raw.fits", shape=(20, 30), dtype="uint16",
        primary={"EXPTIME": 60.0, "IMAGETYP": "object"},
        extension={"TRIMSEC": "[1:25,1:20]"},
    )  # fmt: skip
    outcome = run_iraf(
        "noao.imred.ccdred.ccdproc", {"images": raw}, {"output": "p.fits"},
        words={"vardq": "drop"}, zero=zero, fixpix=False, darkcor=False, flatcor=False,
        overscan=False, trimsec="image",
    )  # fmt: skip
    product = outcome.products["output"]
    expected = DataFile(raw)[1].data[:, :25] - zero[1].data[:, :25]
    np.testing.assert_allclose(product[1].data, expected, rtol=1e-5)
    assert "TRIM" in product[1].meta
    assert "ZEROCOR" in product[1].meta
    assert product.meta["EXPTIME"] == 60
    assert "EXPTIME" not in product[1].meta


def test_apall_without_anybody_there(run_iraf: RunTask, tmp_path: Path) -> None:
    y, _ = np.mgrid[:60, :200]
    profile = 1000 * np.exp(-0.5 * ((y - 30) / 2) ** 2)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(profile.astype("f4"), name="SCI", ver=1)]
    fits.HDUList(hdus).writeto(tmp_path / "spec.fits")
    outcome = run_iraf(
        "noao.twodspec.apextract.apall", {"input": tmp_path / "spec.fits"},
        {"output": "e.fits"}, interactive=False, find=True, nfind=1, recenter=True,
        resize=False, edit=False, trace=True, fittrace=False, extract=True,
        extras=False, review=False, lower=-8, upper=8, apextract_dispaxis=1,
    )  # fmt: skip
    spectrum = outcome.products["output"][0].data.squeeze()
    np.testing.assert_allclose(spectrum, profile.sum(axis=0)[0], rtol=1e-3)
    assert (tmp_path / "database" / "apspec_1").is_file()


def test_in_place_tasks_change_a_copy(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "one.fits")
    before = path.read_bytes()
    outcome = run_iraf(
        "images.imutil.imreplace", {"images": path}, {"images": "r.fits"},
        words={"vardq": "carry"}, value=-1, upper=1010,
    )  # fmt: skip
    product = outcome.products["images"]
    expected = DataFile(path)[0].data.copy()
    expected[expected <= 1010] = -1
    np.testing.assert_array_equal(product[0].data, expected)
    assert path.read_bytes() == before


def test_images_made_of_nothing(run_iraf: RunTask) -> None:
    outcome = run_iraf(
        "noao.artdata.mkpattern", {}, {"input": "p.fits"}, pattern="constant", v1=7,
        ncols=20, nlines=10,
    )  # fmt: skip
    (ndd,) = outcome.products["input"]
    assert ndd.shape == (10, 20)
    assert (ndd.data == 7).all()


def test_whole_files(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(tmp_path / "one.fits", np.ones((4, 5)))
    before = path.read_bytes()
    outcome = run_iraf(
        "images.imutil.hedit", {"images": path}, {"images": "h.fits"},
        words={"MEF_ext": False}, fields="NEWKEY", value="3", add=True, verify=False,
    )  # fmt: skip
    assert outcome.products["images"].meta["NEWKEY"] == 3
    assert path.read_bytes() == before


def test_changes_of_a_copy_are_told(run_iraf: RunTask, tmp_path: Path) -> None:
    path = make_mef(tmp_path / "m.fits")
    before = path.read_bytes()
    edit = {"fields": "NEW", "value": "1.5", "add": True, "verify": False}
    for words in ({}, {"MEF_ext": False}):
        outcome = run_iraf("images.imutil.hedit", {"images": path}, words=words, **edit)
        (warning,) = outcome.warnings
        assert "changed its copy of" in warning
        assert "(NEW)" in warning
        assert "outputs={'images': '@images'}" in warning
    outcome = run_iraf("images.imutil.imreplace", {"images": path}, value=0, upper=1003)
    assert "(pixels)" in outcome.warnings[0]
    outcome = run_iraf("images.imutil.imdelete", {"images": path}, verify=False)
    assert "(it is gone)" in outcome.warnings[0]
    assert path.read_bytes() == before
    # What is looked at alone is not changed, whatever IRAF does to its headers.
    for name in ("imstatistics", "imheader", "listpixels"):
        assert run_iraf(f"images.imutil.{name}", {"images": path}).warnings == ()


def test_ccdproc_in_place(run_iraf: RunTask, tmp_path: Path) -> None:
    path = write_image(
        tmp_path / "raw.fits", np.full((8, 12), 100.0), cards={"IMAGETYP": "object"}
    )
    settings = dict.fromkeys(
        ("darkcor", "flatcor", "fixpix", "zerocor", "overscan"), False
    )
    call = {"ccdtype": "", "trim": True, "trimsec": "[1:8,*]", **settings}
    name = "noao.imred.ccdred.ccdproc"
    assert "raw.fits (" in run_iraf(name, {"images": path}, **call).warnings[0]
    outcome = run_iraf(name, {"images": path}, {"images": "new.fits"}, **call)
    assert outcome.warnings == ()
    assert outcome.products["images"][0].shape == (8, 8)


@pytest.mark.parametrize("name", ["objects of,all [a].dat", "o" * 150, "$HOME.txt"])
def test_text_files_with_odd_and_long_names(
    run_iraf: RunTask, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "a folder whose name is longer than mkobjects has room for"
    folder.mkdir()
    objects = folder / name
    objects.write_text("5 5 -5\n")
    image = write_image(tmp_path / "sky.fits", np.zeros((10, 10)))
    outcome = run_iraf(
        "noao.artdata.mkobjects", {"input": image}, {"output": "made.fits"},
        objects=objects, exptime=1.0, comments=False,
    )  # fmt: skip
    product = outcome.products["output"]
    assert np.unravel_index(np.argmax(product[0].data), (10, 10)) == (4, 4)
    assert objects.read_text() == "5 5 -5\n"
