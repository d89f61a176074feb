"""Files whose URLs a function gives."""

from pathlib import Path

import pytest

from ndmapper.config import config
from ndmapper.errors import ParameterError
from ndmapper.services import download_files
from ndmapper.testing import LoopbackArchives
from ndmapper.testing.archives.content import fits_bytes

NAME = "S20120827S0066.fits"


def test_answers_of_two_hosts_are_kept_apart(
    archives: LoopbackArchives, tmp_path: Path
) -> None:
    with LoopbackArchives() as other:
        archives.gemini.add(NAME, fits_bytes("one"))
        other.gemini.add(NAME, fits_bytes("two"))
        hosts = {"a.fits": archives, "b.fits": other}

        def url_of(name: str) -> str:
            return f"{hosts[name].urls['gemini']}/file/{NAME}.bz2"

        names = list(hosts)
        with config.using(archive_record=tmp_path / "kept"):
            first = download_files(names, url_of, tmp_path / "one")
        with config.using(archive_replay=tmp_path / "kept"):
            again = download_files(names, url_of, tmp_path / "two")
        ports = [str(one.urls["gemini"]).rpartition(":")[2] for one in hosts.values()]
    contents = [path.read_bytes() for path in first]
    assert contents == [fits_bytes("one"), fits_bytes("two")]
    assert [path.read_bytes() for path in again] == contents
    for path in (tmp_path / "kept").glob("*.json"):
        assert not any(port in path.read_text() for port in ports)


def test_error_of_a_url_does_not_show_what_may_be_a_key(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=r"'ftp://host/x\.fits'") as caught:
        download_files(
            [NAME], lambda _: "ftp://me:sesame-1@host/x.fits?key=sesame-2", tmp_path
        )
    assert "sesame" not in str(caught.value)
