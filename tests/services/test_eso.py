"""The archive of ESO: trees of associations, logins, names that come with the file."""

import shutil
from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.errors import (
    MissingFileError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services import download_files, look_up_cals
from ndmapper.services.eso.service import EsoService, dataset_of
from ndmapper.services.eso.tree import (
    Association,
    parse_association,
    parse_associations,
)
from ndmapper.testing import LoopbackArchives, ServiceContract
from ndmapper.testing.archives.content import compressed, fits_bytes, tiled_fits_bytes

SCIENCE = "MUSE.2017-06-18T01:02:03.456"
BIASES = [f"MUSE.2017-06-18T10:11:1{n}.013" for n in range(3)]
FLATS = [f"MUSE.2017-06-18T11:11:1{n}.013" for n in range(2)]
REAL = "FORS2.2021-01-02T00_59_12.533_raw2raw.xml"


@pytest.fixture(autouse=True)
def _archived_night(archives: LoopbackArchives) -> None:
    for name in (SCIENCE, *BIASES, *FLATS):
        archives.eso.add(name)
    archives.eso.associate(SCIENCE, {"BIAS": BIASES, "FLAT": (FLATS, {"BIAS": BIASES})})


class TestContract(ServiceContract):
    known = (f"{SCIENCE}.fits", "bias")
    files = tuple(f"{name}.fits" for name in BIASES)
    absent = ("MUSE.1999-01-01T00:00:00.000.fits", "MUSE.1999-01-01T00:00:01.000.fits")

    def make_service(self, folder: Path) -> EsoService:
        return EsoService()


@pytest.mark.parametrize(
    "name",
    [SCIENCE, f"{SCIENCE}.fits", f"{SCIENCE}.fits.fz", f"raw/{SCIENCE}.fits.Z",
     f"{SCIENCE.replace(':', '_')}.fits"],
)  # fmt: skip
def test_dataset_has_one_name(name: str) -> None:
    assert dataset_of(name) == SCIENCE


def test_tree_answers_for_all_that_is_in_it(archives: LoopbackArchives) -> None:
    found = look_up_cals(
        f"{SCIENCE}.fits.fz", {"target": ["bias", "flat"], "flat": ["bias"]}, "eso"
    )
    assert found["calibrations"] == {
        f"{BIASES[0]}_bias.fits": [f"{name}.fits" for name in BIASES],
        f"{FLATS[0]}_flat.fits": [f"{name}.fits" for name in FLATS],
    }
    of_flat = found["associations"][f"{FLATS[1]}.fits"]
    assert of_flat == {"bias": f"{BIASES[0]}_bias.fits"}
    assert len(archives.asked) == 1


def test_categories_of_eso_can_be_asked_for() -> None:
    found = EsoService().look_up(SCIENCE, "FLAT").names
    assert found == [f"{name}.fits" for name in FLATS]


def test_all_targets_are_asked_for_at_once(archives: LoopbackArchives) -> None:
    other = "MUSE.2017-06-18T02:00:00.000"
    archives.eso.associate(other, {"BIAS": BIASES[:2]})
    names = [f"{SCIENCE}.fits", f"{other}.fits"]
    found = look_up_cals(names, {"target": ["bias"]}, "eso")
    assert len(found["calibrations"]) == 2
    (asked,) = archives.asked
    assert sorted(v for k, v in asked.form if k == "dp_id") == sorted([SCIENCE, other])


@pytest.mark.real_data
def test_real_tree_is_read(real_data: Path) -> None:
    body = (real_data / "archives" / "eso" / REAL).read_bytes()
    tree = parse_association(body, "the archive")
    assert tree.names == ["FORS2.2021-01-02T00:59:12.533"]
    assert tree.is_complete
    assert tree.is_certified
    flat, standard = tree.find("flat"), tree.find("standard")
    assert flat is not None
    assert standard is not None
    assert (flat.category, len(flat.names)) == ("FLAT_SKY", 5)
    bias = flat.find("bias")
    assert bias is not None
    assert len(bias.names) == 20
    assert len(set(bias.names)) == 20
    assert standard.names == ["FORS2.2021-01-02T00:14:20.344"]
    assert tree.find("arc") is None


@pytest.mark.real_data
def test_real_reply_of_several_parts_is_read(real_data: Path) -> None:
    path = real_data / "archives" / "eso" / REAL.replace(".xml", "_multipart.xml")
    body = path.read_bytes()
    mark = body.partition(b"\n")[0].strip().removeprefix(b"--").decode()
    kind = f"multipart/form-data;boundary={mark}"
    trees = parse_associations(body, kind, "the archive")
    assert [tree.names[0][-3:] for tree in trees] == ["534", "533"]


@pytest.mark.real_data
@pytest.mark.parametrize("stem", ["as it is", "with colons"])
def test_document_beside_the_data_is_used_like_the_server(
    archives: LoopbackArchives, real_data: Path, tmp_path: Path, stem: str
) -> None:
    name = REAL if stem == "as it is" else REAL.replace("_59_", ":59:")
    shutil.copy(real_data / "archives" / "eso" / REAL, tmp_path / name)
    archives.stop()
    science = tmp_path / "FORS2.2021-01-02T00:59:12.533.fits"
    found = look_up_cals(
        science, {"target": ["flat", "standard"], "flat": ["bias"]}, "eso"
    )
    assert sorted(map(len, found["calibrations"].values())) == [1, 5, 20]


def test_document_beside_the_data_that_is_broken_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{SCIENCE}_raw2raw.xml").write_text("<association>")
    with pytest.raises(ServiceError, match=r"_raw2raw\.xml does not answer with XML"):
        look_up_cals(tmp_path / f"{SCIENCE}.fits", {"target": ["bias"]}, "eso")


def test_shortcomings_are_said(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    archives.eso.associate(
        SCIENCE, {"BIAS": BIASES}, complete=False, certified=False,
        messages=("2 of 3 flats",),
    )  # fmt: skip
    look_up_cals(SCIENCE, {"target": ["bias"]}, "eso-raw2master")
    assert "what ESO associates is not complete" in caplog.text
    assert "ESO has not certified the associations yet" in caplog.text
    assert "ESO answers Raw2Raw where raw2master was asked" in caplog.text
    assert "ESO remarks: 2 of 3 flats" in caplog.text
    assert ("mode", "raw2master") in archives.asked[0].form


def test_empty_tree_is_said(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    archives.eso.associate(SCIENCE, {})
    assert EsoService().look_up(SCIENCE, "bias").names == []
    assert "ESO associates nothing with it; is its type supported?" in caplog.text


def test_table_in_place_of_a_tree_is_an_error(archives: LoopbackArchives) -> None:
    path = "/eso-archive/calselector/v1/associations?responseformat=votable&dp_id=x"
    from ndmapper.testing.archives.scenarios import Asked

    body = archives.eso.answer(Asked("GET", path, {})).body
    with pytest.raises(ServiceError, match=r"<VOTABLE> in place of an association"):
        parse_associations(body, "text/xml", "the archive")


def test_reply_of_several_parts_that_is_cut_is_an_error() -> None:
    body = b"--mark\r\nContent-Type: application/xml\r\n\r\n<association/>"
    with pytest.raises(ServiceError, match="cut short"):
        parse_associations(body, "multipart/form-data;boundary=mark", "the archive")


@pytest.mark.parametrize("kind", ["fits", "fits.Z", "fits.gz"])
def test_name_with_type_is_unpacked(
    archives: LoopbackArchives, tmp_path: Path, kind: str
) -> None:
    archives.eso.add(SCIENCE, kind=kind)
    (path,) = download_files([f"{SCIENCE}.fits"], "eso", tmp_path)
    assert path.read_bytes() == fits_bytes(SCIENCE)


def test_tiles_are_unpacked(archives: LoopbackArchives, tmp_path: Path) -> None:
    from astropy.io import fits

    archives.eso.add(SCIENCE, kind="fits.fz")
    (path,) = download_files([f"{SCIENCE}.fits"], "eso", tmp_path)
    (tmp_path / "tiled.fits.fz").write_bytes(tiled_fits_bytes(SCIENCE))
    with fits.open(path) as found, fits.open(tmp_path / "tiled.fits.fz") as tiled:
        assert b"ZIMAGE" not in path.read_bytes()
        assert (found[1].data == tiled[1].data).all()


@pytest.mark.parametrize("kind", ["fits", "fits.Z", "fits.fz"])
def test_name_without_type_is_kept_as_it_comes(
    archives: LoopbackArchives, tmp_path: Path, kind: str
) -> None:
    held = archives.eso.add(SCIENCE, kind=kind)
    (path,) = download_files([SCIENCE], "eso", tmp_path)
    assert path.name == f"{SCIENCE}.{kind}"
    assert path.read_bytes() == held.stored
    archives.stop()
    assert download_files([SCIENCE], "eso", tmp_path) == [path]


@pytest.mark.real_data
def test_real_compressed_file_is_unpacked(
    archives: LoopbackArchives, real_data: Path, tmp_path: Path
) -> None:
    import uncompresspy

    stored = (real_data / "archives" / "eso" / "testfile.fits.Z").read_bytes()
    archives.switch("body", path="/file/", body=stored)
    archives.switch("named", path="/file/",
                    disposition=f"attachment; filename={SCIENCE}.fits.Z")  # fmt: skip
    with uncompresspy.open(real_data / "archives" / "eso" / "testfile.fits.Z") as file:
        plain = file.read()
    (path,) = download_files([f"{SCIENCE}.fits"], "eso", tmp_path)
    assert path.read_bytes() == plain


def test_file_in_compressed_form_is_what_compress_writes() -> None:
    import io

    import uncompresspy

    content = fits_bytes("x")
    with uncompresspy.open(io.BytesIO(compressed(content, "Z"))) as file:
        assert file.read() == content


@pytest.mark.parametrize(
    "disposition",
    ['attachment; filename="{}.fits.Z"', "attachment; filename={}.fits.Z",
     "inline;FILENAME = {}.fits.Z ; x=y"],
)  # fmt: skip
def test_name_is_read_from_the_header(
    archives: LoopbackArchives, tmp_path: Path, disposition: str
) -> None:
    archives.switch("named", disposition=disposition.format(SCIENCE))
    (path,) = download_files([SCIENCE], "eso", tmp_path)
    assert path.name == f"{SCIENCE}.fits.Z"


def test_another_file_than_asked_is_refused(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.switch("named", disposition=f"attachment; filename={BIASES[0]}.fits.Z")
    with pytest.raises(ServiceError, match="in place of MUSE"):
        download_files([SCIENCE], "eso", tmp_path)
    assert not list(tmp_path.glob("*.fits*"))


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NDMAPPER_ESO_USER", "observer")
    monkeypatch.setenv("NDMAPPER_ESO_PASSWORD", "starlight")


def test_proprietary_file_needs_a_login(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.eso.add(SCIENCE, proprietary=True)
    with pytest.raises(ServiceAccessError, match="NDMAPPER_ESO_USER"):
        download_files([SCIENCE], "eso", tmp_path)


@pytest.mark.usefixtures("login")
def test_login_gives_a_token(archives: LoopbackArchives, tmp_path: Path) -> None:
    archives.eso.add(SCIENCE, proprietary=True)
    download_files([SCIENCE, *BIASES], "eso", tmp_path)
    assert len(archives.paths("/sso/")) == 1
    sent = [a.headers.get("authorization", "") for a in archives.asked]
    assert sum(text.startswith("Bearer ") for text in sent) == 4


@pytest.mark.usefixtures("login")
def test_token_that_ends_soon_is_renewed(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = EsoService()
    service.fetch([f"{BIASES[0]}.fits"], tmp_path, {})
    from ndmapper.services.eso import login

    later = login.time.time() + 28800 - 500
    monkeypatch.setattr(login.time, "time", lambda: later)
    service.fetch([f"{BIASES[1]}.fits"], tmp_path, {})
    assert len(archives.paths("/sso/")) == 2


@pytest.mark.usefixtures("login")
def test_token_of_a_short_life_is_used_for_half_of_it(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ndmapper.services.eso import login

    archives.eso.token_life = 100.0
    service = EsoService()
    now = login.time.time()
    for number, (after, logins) in enumerate([(0, 1), (30, 1), (60, 2)]):
        monkeypatch.setattr(login.time, "time", lambda t=now + after: t)
        service.fetch([f"{BIASES[number]}.fits"], tmp_path, {})
        assert len(archives.paths("/sso/")) == logins


@pytest.mark.usefixtures("login")
def test_login_needs_no_slot_of_its_own(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    archives.eso.add(SCIENCE, proprietary=True)
    with config.using(archive_transfers=1):
        download_files([SCIENCE, *BIASES], "eso", tmp_path)
    assert len(archives.paths("/sso/")) == 1


@pytest.mark.usefixtures("login")
def test_token_that_is_no_longer_taken_is_renewed(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    service = EsoService()
    service.fetch([f"{BIASES[0]}.fits"], tmp_path, {})
    archives.eso.tokens.clear()
    service.fetch([f"{BIASES[1]}.fits"], tmp_path, {})
    assert len(archives.paths("/sso/")) == 2


@pytest.mark.usefixtures("login")
def test_wrong_password_is_said(
    archives: LoopbackArchives, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archives.eso.users = {}
    with pytest.raises(ServiceAccessError, match="does not take user 'observer'") as e:
        download_files([SCIENCE], "eso", tmp_path)
    assert "starlight" not in f"{e.value} {caplog.text}"


def test_token_of_the_user_is_sent_as_it_is(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.eso.tokens.add("my.own.token")
    monkeypatch.setenv("NDMAPPER_ESO_TOKEN", "my.own.token")
    archives.eso.add(SCIENCE, proprietary=True)
    download_files([SCIENCE], "eso", tmp_path)
    assert archives.paths("/sso/") == []


def test_public_files_need_no_login(archives: LoopbackArchives, tmp_path: Path) -> None:
    download_files(BIASES, "eso", tmp_path)
    assert all("authorization" not in asked.headers for asked in archives.asked)


def test_look_ups_carry_no_token(
    archives: LoopbackArchives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NDMAPPER_ESO_TOKEN", "my.own.token")
    EsoService().look_up(SCIENCE, "bias")
    assert "authorization" not in archives.asked[0].headers


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, MissingFileError), (403, ServiceAccessError), (503, ServiceUnreachableError),
     (418, ServiceError)],
)  # fmt: skip
def test_refusals_are_told_apart(
    archives: LoopbackArchives, tmp_path: Path, status: int, error: type[Exception]
) -> None:
    archives.switch("status", path="/file/", status=status)
    with pytest.raises(error):
        download_files([SCIENCE], "eso", tmp_path)


@pytest.mark.parametrize(
    ("categories", "flat", "twilight"),
    [
        (["SKYFLAT", "FLAT"], "FLAT", "SKYFLAT"),
        (["SKYFLAT", "BIAS"], None, "SKYFLAT"),
        (["MASTER_SKYFLAT"], None, "MASTER_SKYFLAT"),
        (["SKY_FLAT_IMG"], "SKY_FLAT_IMG", "SKY_FLAT_IMG"),
        (["FLAT_SKY"], "FLAT_SKY", "FLAT_SKY"),
    ],
)
def test_sky_of_a_spectrograph_is_no_flat(
    categories: list[str], flat: str | None, twilight: str | None
) -> None:
    children = tuple(Association(category=category) for category in categories)
    tree = Association(category="SCIENCE", children=children)
    found = [tree.find(cal_type) for cal_type in ("flat", "twilight")]
    assert [a.category if a else None for a in found] == [flat, twilight]
