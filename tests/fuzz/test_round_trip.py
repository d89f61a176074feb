"""Any content, saved and read again; astropy is the judge."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ndmapper.data import DataFile, NDLater

pytestmark = pytest.mark.filterwarnings("ignore")

DTYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i4", ">f8", "?")
quick = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(
        np.dtype(dtype),
        hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    )
)
idents = st.one_of(
    st.integers(1, 9999), st.from_regex(r"\A[A-Z][A-Z0-9_]{0,11}\Z")
).filter(lambda ident: ident not in ("SCI", "VAR", "DQ", "ERR"))
keywords = st.one_of(
    st.from_regex(r"\AQ[A-Z0-9_-]{0,7}\Z"),
    st.from_regex(r"\AHIERARCH ESO [A-Z0-9]{1,8} [A-Z0-9]{1,8}\Z"),
)
values = st.one_of(
    st.booleans(),
    st.integers(-(10**15), 10**15),
    st.integers(-(10**9), 10**9).map(lambda n: n / 4),
    # Astropy misreads a quote before a slash; blanks at the end mean nothing in FITS.
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
    .map(str.rstrip)
    .filter(lambda text: "'/" not in text.replace(" ", "")),
)
# One spelling of a keyword: FITS does not tell upper from lower case.
headers = st.dictionaries(keywords, values, max_size=6)


def header_of(cards):
    header = fits.Header()
    for keyword, value in cards.items():
        header[keyword] = value
    return header


def has_cards(header, cards):
    return all(header[k.removeprefix("HIERARCH ")] == v for k, v in cards.items())


@quick
@given(
    groups=st.dictionaries(idents, st.tuples(arrays, headers), min_size=1, max_size=4),
    primary=headers,
    suffix=st.sampled_from(["fits", "fits.gz", "fits.fz"]),
)
def test_groups_of_any_type_come_back(groups, primary, suffix):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{suffix}"
        data = [
            NDLater(array, meta=header_of(cards), ident=ident)
            for ident, (array, cards) in groups.items()
        ]
        DataFile(path, data=data, meta=header_of(primary)).save()
        df = DataFile(path)
        assert df.idents == list(groups)
        assert has_cards(df.meta, primary)
        with fits.open(path) as hdus:
            hdus.verify("exception")
            for n, (array, cards) in enumerate(groups.values()):
                wanted = array.astype("u1") if array.dtype.kind == "b" else array
                for found in (df[n].data, hdus[n + 1].data):
                    if wanted.size:
                        np.testing.assert_array_equal(found, wanted)
                        assert found.dtype.itemsize == wanted.dtype.itemsize
                assert df[n].shape == array.shape
                assert has_cards(df[n].meta, cards)
                assert has_cards(hdus[n + 1].header, cards)


@quick
@given(
    array=arrays.filter(lambda a: a.size), variance=st.booleans(), flags=st.booleans(),
    edited=st.sampled_from(["data", "variance", "flags", "meta"]),
)  # fmt: skip
def test_what_is_not_edited_keeps_its_bytes(array, variance, flags, edited):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.fits"
        ndd = NDLater(array)
        if variance:
            ndd.variance = np.ones(array.shape, "f4")
        if flags:
            ndd.flags = np.ones(array.shape, "u2")
        DataFile(path, data=[ndd, NDLater(array)]).save()
        with fits.open(path) as hdus:
            before = {(h.name, h.ver): (str(h.header), h.data) for h in hdus}
        df = DataFile(path, mode="update")
        if edited == "meta":
            df[0].meta["EDITED"] = True
        else:
            setattr(df[0], edited, np.full(array.shape, 3, "u2"))
        df.save()
        label = {"data": "SCI", "meta": "SCI", "variance": "VAR", "flags": "DQ"}[edited]
        with fits.open(path) as hdus:
            hdus.verify("exception")
            for hdu in hdus:
                if (hdu.name, hdu.ver) == (label, 1):
                    continue
                header, data = before[hdu.name, hdu.ver]
                assert str(hdu.header) == header
                assert (hdu.data is None) or hdu.data.tobytes() == data.tobytes()


columns = st.dictionaries(
    st.from_regex(r"\A[a-z][a-z0-9_]{0,8}\Z"),
    st.sampled_from(["u1", "i2", "i4", "i8", "f4", "f8", "?", "S5", "c8", "(3)f4"]),
    min_size=1,
    max_size=5,
)


@quick
@given(form=columns, rows=st.integers(0, 6), seed=st.integers(0, 2**32 - 1))
def test_tables_of_any_type_come_back(form, rows, seed):
    rng = np.random.default_rng(seed)
    table = Table()
    for name, kind in form.items():
        shape = (rows, 3) if kind.startswith("(") else (rows,)
        numbers = rng.integers(0, 100, shape)
        kind = kind.rpartition(")")[2]  # noqa: PLW2901
        table[name] = (
            numbers.astype("U5") if kind == "S5" else numbers.astype(kind)
        )  # fmt: skip
    table.meta["QKEY"] = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.fits"
        df = DataFile(path, mode="new")
        df.tables["ROWS"] = table
        df.save()
        found = DataFile(path).tables["ROWS"]
        judge = Table.read(path, hdu="ROWS")
        assert found.colnames == judge.colnames == list(form)
        assert found.meta["QKEY"] == 3
        for name in form:
            np.testing.assert_array_equal(found[name], judge[name])
            np.testing.assert_array_equal(
                np.asarray(found[name]).astype(table[name].dtype), table[name]
            )
        DataFile(path).save(Path(folder) / "b.fits")
        assert (Path(folder) / "b.fits").read_bytes() == path.read_bytes()


def test_columns_of_varying_length_come_back(tmp_path):
    column = np.empty(3, object)
    column[:] = [np.arange(n, dtype="i4") for n in (2, 0, 5)]
    hdu = fits.BinTableHDU.from_columns(
        [
            fits.Column("V", "PJ()", array=column),
            fits.Column("N", "J", array=[1, 2, 3]),
        ],
        name="VLA",
    )
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "a.fits")
    df = DataFile(tmp_path / "a.fits", mode="update")
    for found, wanted in zip(df.tables["VLA"]["V"], column, strict=True):
        np.testing.assert_array_equal(found, wanted)
    df.tables["VLA"]["N"][1] = 7
    df.save()
    with fits.open(tmp_path / "a.fits") as hdus:
        assert hdus["VLA"].data["N"].tolist() == [1, 7, 3]
        for found, wanted in zip(hdus["VLA"].data["V"], column, strict=True):
            np.testing.assert_array_equal(found, wanted)


CARDS = (
    b"OBJECT  = 'it''s   '           / odd quotes",
    b"EXPTIME =              1.20E+03 / odd form",
    b"exptimE = 3",
    b"GAIN    =2.0",
    b"OBJECT  = 'twice   '",
    b"INHERIT =                    T",
    b"HIERARCH ESO TEL AIRM START = 1.012 / airmass",
    b"LONG    = 'first part of a long string that goes on &'",
    b"CONTINUE  'in the next card'",
    b"COMMENT   not touched",
    b"HISTORY   neither is this",
    b"        blank keyword",
    b"BAD CARD without a value",
    b"        ",
    b"DATE    = '2026-01-01'",
)


def test_odd_cards_that_nobody_touched_keep_their_bytes(tmp_path):
    fits.HDUList(
        [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((2, 3), "f4"), name="SCI")]
    ).writeto(tmp_path / "a.fits")
    content = bytearray((tmp_path / "a.fits").read_bytes())
    at = content.rfind(b"END".ljust(80))
    odd = b"".join(card.ljust(80) for card in CARDS)
    content[at : at + len(odd) + 80] = odd + b"END".ljust(80)
    (tmp_path / "a.fits").write_bytes(content)
    df = DataFile(tmp_path / "a.fits", mode="update")
    assert df[0].meta["LONG"].endswith("string that goes on in the next card")
    df[0].meta["NEW"] = 1
    df[0].data += 1
    df.save()
    saved = (tmp_path / "a.fits").read_bytes()
    assert odd in saved
    assert DataFile(tmp_path / "a.fits")[0].meta["NEW"] == 1
