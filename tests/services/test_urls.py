"""Files whose URLs a function gives."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


@pytest.fixture
def two_folders(waits: list[float]) -> Iterator[str]:
    """Serve /a/x.fits and /b/x.fits, each only while the other is on its way, too."""
    together = threading.Barrier(2)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = fits_bytes(self.path[1], size=200)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:40_000])
            self.wfile.flush()
            together.wait(120)
            self.wfile.write(body[40_000:])

        def log_message(self, *words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_files_of_one_name_in_two_folders_are_not_mixed(
    two_folders: str, tmp_path: Path
) -> None:
    names = ["a.fits", "b.fits"]
    paths = download_files(names, lambda n: f"{two_folders}/{n[0]}/x.fits", tmp_path)
    assert [path.read_bytes() for path in paths] == [
        fits_bytes(name[0], size=200) for name in names
    ]
