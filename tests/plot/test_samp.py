"""Sending images by SAMP; astropy's hub and client are the judges."""

import threading
import warnings

import pytest

from ndmapper.errors import ServiceError
from ndmapper.plot.samp import image_displays, send_image
from ndmapper.testing import make_mef

with warnings.catch_warnings():
    # astropy gives its own SAMP up for that of pyvo.
    warnings.simplefilter("ignore")
    samp = pytest.importorskip("astropy.samp", reason="astropy has no SAMP any more")


@pytest.fixture(autouse=True)
def lockfile(tmp_path, monkeypatch):
    path = tmp_path / "hub" / "lock"
    path.parent.mkdir()
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{path.as_uri()}")
    return path


@pytest.fixture
def hub(lockfile):
    samp.conf.use_internet = False
    server = samp.SAMPHubServer(
        web_profile=False, lockfile=str(lockfile), addr="127.0.0.1", mode="single"
    )
    server.start()
    yield server
    server.stop()


class Display:
    """What DS9 does as far as SAMP sees it."""

    def __init__(self, hub):
        self.client = samp.SAMPIntegratedClient(name="display", addr="127.0.0.1")
        self.client.connect(hub_params=hub.params)
        self.client.bind_receive_notification("image.load.fits", self.receive)
        self.received = []
        self.got_one = threading.Event()

    def receive(self, key, sender, mtype, parameters, extra):
        self.received.append(parameters)
        self.got_one.set()


@pytest.fixture
def display(hub):
    made = Display(hub)
    yield made
    made.client.disconnect()
    made.client.client.client.server_close()  # which it leaves open


@pytest.fixture
def path(tmp_path):
    (tmp_path / "an odd folder").mkdir()
    return make_mef(tmp_path / "an odd folder" / "b#1.fits", n_ext=1)


def test_image_displays_lists_what_shows_images(display):
    assert list(image_displays().values()) == ["display"]


def test_image_displays_without_hub_is_empty():
    assert image_displays() == {}


def test_image_displays_with_nothing_but_a_hub_is_empty(hub):
    assert image_displays() == {}


def test_image_displays_of_a_hub_that_died_is_empty(lockfile):
    lockfile.write_text(
        "# SAMP\nsamp.secret=abc\nsamp.hub.xmlrpc.url=http://127.0.0.1:9/\n"
    )
    assert image_displays() == {}


def test_send_image_reaches_the_display_with_a_proper_url(display, path):
    assert send_image(path) == ["display"]
    assert display.got_one.wait(120)
    assert display.received == [{"url": path.as_uri(), "name": "b#1.fits"}]
    assert "%23" in display.received[0]["url"]


def test_send_image_leaves_the_hub(display, path):
    send_image(path)
    image_displays()
    # The hub itself and the display are left.
    assert len(display.client.get_registered_clients()) == 1


def test_send_image_without_hub_says_what_to_do(path):
    with pytest.raises(ServiceError, match=r"no SAMP hub runs.*DS9"):
        send_image(path)


def test_send_image_without_display_says_so(hub, path):
    with pytest.raises(ServiceError, match="no program that shows FITS images"):
        send_image(path)


def test_send_image_to_a_hub_that_died_names_it(lockfile, path):
    lockfile.write_text("samp.secret=abc\nsamp.hub.xmlrpc.url=http://127.0.0.1:9/\n")
    with pytest.raises(ServiceError, match=r"127\.0\.0\.1:9/ does not answer"):
        send_image(path)


@pytest.mark.parametrize(
    "text", ["", "rubbish", "samp.secret=x\n"], ids=["empty", "rubbish", "no url"]
)
def test_image_displays_malformed_lock_file_is_no_hub(lockfile, text):
    lockfile.write_text(text)
    assert image_displays() == {}


def test_send_image_hub_elsewhere_than_http_is_refused(lockfile, path):
    lockfile.write_text("samp.secret=abc\nsamp.hub.xmlrpc.url=file:///etc/passwd\n")
    with pytest.raises(ServiceError, match="no address"):
        send_image(path)
