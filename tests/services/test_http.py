"""Requests: who asks, how patiently, where to, and with what in hand."""

import logging
import os
import shutil
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ndmapper.config import config
from ndmapper.errors import ServiceError, ServiceUnreachableError
from ndmapper.services.redaction import Secret, redacted
from ndmapper.services.transfer.http import Http, user_agent
from ndmapper.services.transfer.redirects import is_trusted, refusal
from ndmapper.testing import LoopbackArchives

PATH = "/jsonfilelist/canonical/20120827"


def gemini(**words: Any) -> Http:
    return Http("gemini", "https://archive.gemini.edu", **words)


def test_agent_says_who_asks(archives: LoopbackArchives) -> None:
    gemini().ask(PATH)
    (asked,) = archives.asked
    assert asked.headers["user-agent"] == user_agent()
    assert user_agent().startswith("ndmapper/")
    assert asked.headers["accept-encoding"] == "identity"


def test_usual_url_is_encrypted() -> None:
    assert gemini().base_url == "https://archive.gemini.edu"


def test_url_is_configurable() -> None:
    with config.using(archive_urls={"gemini": "https://mirror.example/g/"}):
        assert gemini().base_url == "https://mirror.example/g"


def test_busy_archive_is_asked_again(
    archives: LoopbackArchives, waits: list[float]
) -> None:
    archives.switch("busy", times=2, retry_after="7")
    assert gemini().ask(PATH).status == 200
    assert len(archives.asked) == 3
    assert all(7 <= wait < 8 for wait in waits)


def test_busy_archive_that_names_a_date_is_asked_then(
    archives: LoopbackArchives, waits: list[float]
) -> None:
    then = datetime.now(UTC) + timedelta(seconds=100)
    archives.switch("busy", times=1, retry_after=format_datetime(then, usegmt=True))
    gemini().ask(PATH)
    assert 90 < waits[0] < 102


def test_archive_that_wants_hours_is_not_waited_for(
    archives: LoopbackArchives, waits: list[float]
) -> None:
    archives.switch("busy", retry_after="7200")
    with pytest.raises(ServiceError, match="asks to wait 7200 seconds"):
        gemini().ask(PATH)
    assert waits == []


def test_pauses_grow_and_differ(archives: LoopbackArchives, waits: list[float]) -> None:
    archives.switch("busy")
    assert gemini().ask(PATH).status == 503
    assert len(waits) == 3
    for number, wait in enumerate(waits):
        assert 0.5 * 2**number <= wait <= 1.5 * 2**number


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 406])
def test_refusal_is_final(archives: LoopbackArchives, status: int) -> None:
    archives.switch("status", status=status)
    assert gemini().ask(PATH).status == status
    assert len(archives.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_trouble_is_not_final(archives: LoopbackArchives, status: int) -> None:
    archives.switch("status", status=status, times=1)
    assert gemini().ask(PATH).status == 200


def test_silent_archive_is_given_up(archives: LoopbackArchives) -> None:
    archives.switch("silent", seconds=60.0)
    with (
        config.using(archive_timeout=0.5),
        pytest.raises(ServiceUnreachableError, match="did not answer in time"),
    ):
        gemini(attempts=2).ask(PATH)
    assert len(archives.asked) == 2


def test_body_that_stops_is_given_up(archives: LoopbackArchives) -> None:
    archives.switch("body", body=b"[" + b" " * 9999 + b"]")
    archives.switch("slow", seconds=60.0)
    with (
        config.using(archive_timeout=0.5),
        pytest.raises(ServiceUnreachableError, match="did not answer in time"),
    ):
        gemini(attempts=1).ask(PATH)


def test_body_that_is_cut_is_asked_for_again(archives: LoopbackArchives) -> None:
    archives.switch("body", body=b"[]" + b" " * 9999)
    archives.switch("cut", times=1)
    assert gemini().ask(PATH).body.strip() == b"[]"
    assert len(archives.asked) == 2


def test_no_server_is_an_error_of_connections(archives: LoopbackArchives) -> None:
    archives.stop()
    with pytest.raises(ConnectionError, match=r"cannot be reached \(Connection re"):
        gemini(attempts=1).ask(PATH)


def test_huge_reply_is_not_read(archives: LoopbackArchives) -> None:
    archives.switch("endless", size=3 << 20)
    with pytest.raises(ServiceError, match="more than 2 MB"):
        gemini().ask(PATH, limit=2 << 20)


def test_offline_opens_no_socket(archives: LoopbackArchives) -> None:
    with (
        config.using(offline=True),
        pytest.raises(ServiceUnreachableError, match="network is not used"),
    ):
        gemini().ask(PATH)
    assert archives.asked == []


def test_limit_of_requests_holds(archives: LoopbackArchives) -> None:
    archives.switch("silent", seconds=0.05)
    with config.using(archive_transfers=2):
        http = gemini()
        threads = [threading.Thread(target=http.ask, args=(PATH,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(archives.asked) == 8
    assert archives.most_at_once <= 2


def cookie() -> dict[str, str]:
    return {"Cookie": f"session={Secret('sesame-open-now').reveal()}"}


class Elsewhere:
    """Another host: one that has another port, or name, counts as one."""

    def __init__(self) -> None:
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(dict(self.headers.items()))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"[]")

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}/x"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def elsewhere() -> Any:
    found = Elsewhere()
    yield found
    found.server.shutdown()
    found.server.server_close()


def test_credential_goes_to_its_host(archives: LoopbackArchives) -> None:
    gemini(auth=cookie).ask(PATH)
    assert archives.asked[0].headers["cookie"] == "session=sesame-open-now"


def test_look_up_does_not_follow_to_another_host(
    archives: LoopbackArchives, elsewhere: Elsewhere
) -> None:
    archives.switch("redirect", to=elsewhere.url)
    with pytest.raises(ServiceError, match="another host, to which no query or cred"):
        gemini(auth=cookie).ask(PATH)
    assert elsewhere.seen == []


def test_file_from_another_host_comes_without_credential(
    archives: LoopbackArchives, elsewhere: Elsewhere
) -> None:
    archives.switch("redirect", to=elsewhere.url)
    with gemini(auth=cookie).stream("/file/x.fits") as stream:
        assert b"".join(stream.chunks) == b"[]"
    (seen,) = elsewhere.seen
    assert not {"cookie", "authorization"} & {name.lower() for name in seen}


def test_netrc_is_not_used(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(netrc))
    gemini(auth=lambda: {"Authorization": "Bearer right"}).ask(PATH)
    assert archives.asked[0].headers["authorization"] == "Bearer right"


def test_cookies_of_a_server_are_not_kept(archives: LoopbackArchives) -> None:
    http = gemini()
    form = {"username": "observer", "password": "starlight"}
    reply = http.ask("/login", method="POST", data=form, is_login=True)
    assert "gemini_archive_session" in reply.cookies
    http.ask(PATH)
    assert "cookie" not in archives.asked[-1].headers


@pytest.mark.parametrize(
    ("to", "reason"),
    [
        ("https://me:word@archive.gemini.edu/x", "with a user name in the URL"),
        ("ftp://archive.gemini.edu/x", "no https URL"),
        ("file:///etc/passwd", "no https URL"),
        ("data:,x", "no https URL"),
        ("https://archive.gemini.edu:99999/x", "no https URL"),
        ("https://archive.gemini.edu:port/x", "no https URL"),
        ("https://[::1", "no https URL"),
    ],
)
def test_strange_redirect_is_refused(
    archives: LoopbackArchives, to: str, reason: str
) -> None:
    archives.switch("redirect", to=to)
    with pytest.raises(ServiceError, match=reason), gemini().stream(PATH):
        pass


def test_redirects_come_to_an_end(archives: LoopbackArchives) -> None:
    archives.switch("redirect", to=f"{archives.url}/gemini{PATH}")
    with pytest.raises(ServiceError, match="leads on and on"):
        gemini().ask(PATH)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_post_is_not_turned_into_a_get(archives: LoopbackArchives, status: int) -> None:
    archives.switch("redirect", to=f"{archives.url}/gemini{PATH}", status=status)
    with pytest.raises(ServiceError, match="its content would be lost"):
        gemini().ask("/download", method="POST", data={"files": "x"})


def test_move_to_https_is_followed(
    archives: LoopbackArchives, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate of this test, is missing")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
         "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"],
        check=True, capture_output=True,
    )  # fmt: skip
    there = Elsewhere()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    there.server.socket = context.wrap_socket(there.server.socket, server_side=True)
    to = there.url.replace("http://localhost", "https://127.0.0.1")
    archives.switch("redirect", to=to, status=301)
    with pytest.raises(ServiceError, match="certificate is not accepted"):
        gemini(attempts=1).stream("/file/x.fits").__enter__()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    with gemini().stream("/file/x.fits") as stream:
        assert b"".join(stream.chunks) == b"[]"
    there.server.shutdown()
    there.server.server_close()


def test_errors_and_logs_hold_no_password(
    archives: LoopbackArchives, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = {"username": "me", "password": Secret("pass word&x").reveal()}
    archives.eso.users = {}
    http = Http("eso-login", "https://www.eso.org")
    http.ask("/sso/oidc/token", params=words, is_login=True)
    archives.stop()
    with pytest.raises(ServiceError) as caught:
        http.ask("/sso/oidc/token", params=words, is_login=True)
    shown = f"{caplog.text} {caught.value!r} {caught.value}"
    assert "/sso/oidc/token" in caplog.text
    assert "pass" not in shown.replace("password", "")
    assert "word&x" not in shown
    assert "word%26x" not in shown


def test_secret_shows_itself_nowhere() -> None:
    word = Secret("open-sesame")
    assert "sesame" not in f"{word} {word!r} {[word]} {word!s:>20}"
    assert redacted("Cookie: a=open-sesame; b") == "Cookie: a=(hidden); b"


def test_header_that_cannot_be_sent_is_not_quoted(archives: LoopbackArchives) -> None:
    word = Secret("line one\nline two").reveal()
    with pytest.raises(ServiceError, match="characters that do not belong") as caught:
        gemini(auth=lambda: {"Cookie": word}).ask(PATH)
    assert "line" not in str(caught.value)
    assert archives.asked == []


def test_password_is_sent_by_https_alone() -> None:
    with (
        config.using(archive_urls={"gemini": "http://mirror.example"}),
        pytest.raises(ServiceError, match="a password is sent by https alone"),
    ):
        gemini().ask("/login", method="POST", data={"a": "b"}, is_login=True)


@pytest.mark.parametrize(
    ("base", "url", "trusted"),
    [
        ("https://a.example/x", "https://a.example/y", True),
        ("http://a.example", "https://a.example", True),
        ("http://127.0.0.1:80", "http://127.0.0.1:80/x", True),
        ("http://127.0.0.1:80", "http://127.0.0.1:81", False),
        ("http://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:444", False),
        ("https://a.example", "https://b.example", False),
        ("https://a.example", "https://a.example.evil.example", False),
        ("https://a.example", "https://A.Example:443/x", True),
        ("http://a.example", "https://a.example:443", True),
        ("http://a.example", "https://a.example:80", False),
        ("https://a.example", "https://a.example:80", False),
    ],
)
def test_credential_goes_where_it_belongs(base: str, url: str, trusted: bool) -> None:
    assert is_trusted(urlsplit(base), urlsplit(url)) is trusted


@pytest.mark.parametrize("to", ["http://127.0.0.1/x", "https://127.0.0.1/x",
                                "http://archive.example/x"])  # fmt: skip
def test_archive_leads_neither_to_this_machine_nor_out_of_encryption(to: str) -> None:
    base = urlsplit("https://archive.example/y")
    assert refusal(base, urlsplit(to), method="GET", status=302, is_login=False,
                   may_leave=True)  # fmt: skip


@pytest.mark.parametrize("host", [
    "localhost.", "x.localhost", "127.0.0.2", "127.1", "0x7f000001", "2130706433",
    "0.0.0.0", "[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::]", "[fe80::1%25eth0]",
    "127\N{IDEOGRAPHIC FULL STOP}0.0.1", "10.0.0.1", "192.168.1.1", "169.254.169.254",
])  # fmt: skip
@pytest.mark.parametrize("base", ["https://archive.example/y", "https://8.8.8.8/y"])
def test_archive_does_not_lead_into_the_own_network(base: str, host: str) -> None:
    url = urlsplit(f"https://{host}/x")
    found = refusal(urlsplit(base), url, method="GET", status=302, is_login=False,
                    may_leave=True)  # fmt: skip
    assert found is not None
    assert "own network" in found


def test_archive_of_the_own_network_leads_within_it_and_out_of_it() -> None:
    for to in ("https://10.0.0.6/x", "https://archive.example/x"):
        assert refusal(urlsplit("https://10.0.0.5/y"), urlsplit(to), method="GET",
                       status=302, is_login=False, may_leave=True) is None  # fmt: skip


def test_login_is_asked_once(archives: LoopbackArchives) -> None:
    archives.switch("busy")
    reply = gemini().ask("/login", method="POST", data={"a": "b"}, is_login=True)
    assert (reply.status, len(archives.asked)) == (503, 1)


def test_a_child_process_does_not_use_the_sockets_of_its_parent(
    archives: LoopbackArchives,
) -> None:
    from ndmapper.services.transfer.http import _session

    assert _session(os.getpid()) is _session(os.getpid())
    assert _session(os.getpid()) is not _session(os.getpid() + 1)
