"""What every test may rely on: a clean configuration, no network, the real frames."""

import fcntl
import json
import os
import shutil
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from ndmapper.config import config
from ndmapper.engines import Task, get_engine
from ndmapper.instruments import loader
from ndmapper.numerics import arith

REPOSITORY = Path(__file__).resolve().parents[1]

# A window would wait for somebody to close it.
os.environ["MPLBACKEND"] = "Agg"


def pytest_configure() -> None:
    """Let Ctrl-C reach the programs of tests, as shells do not in the background."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _clean_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Keep the user's files and environment out, and undo what a test sets."""
    for name in list(os.environ):
        if name.startswith("NDMAPPER_") and name != "NDMAPPER_TEST_DATA":
            monkeypatch.delenv(name)
    nowhere = tmp_path_factory.getbasetemp() / "no-such-folder" / "ndmapper.toml"
    monkeypatch.setattr(config, "_user_file", nowhere)
    monkeypatch.setattr(config, "_project_file", nowhere)
    monkeypatch.setattr(loader, "user_folder", lambda: nowhere.parent / "instruments")
    monkeypatch.setattr(config, "_script", {})
    monkeypatch.setattr(config, "_command_line", {})
    config.reload()
    yield
    config.reload()


@pytest.fixture(autouse=True)
def _loops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the compiled loops without waiting until there was work enough."""
    monkeypatch.setattr(arith, "LOADED_AFTER", 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as a script does."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def make_raw(folder):
    """Write a raw file of extensions with one value each; give its name."""

    def make(name, values=(10.0, 20.0), shape=(3, 4)):
        hdus = fits.HDUList([fits.PrimaryHDU()])
        hdus[0].header["OBJECT"] = "star"
        for extver, value in enumerate(values, 1):
            data = np.full(shape, value, dtype=np.float32)
            hdus.append(fits.ImageHDU(data, name="SCI", ver=extver))
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        hdus.writeto(path)
        return name

    return make


@pytest.fixture(params=["compiled", "numpy"])
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test by the compiled loops, small as its arrays are, and by NumPy alone."""
    if request.param == "compiled":
        pytest.importorskip("numba", reason="the extra fast is not installed")
        monkeypatch.setattr(arith, "FUSED_FROM", 1)
    else:
        monkeypatch.setattr(arith, "import_loops", lambda: None)


@pytest.fixture(autouse=True)
def _no_network(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Refuse every connection but those to this machine, and to ask for others."""
    if request.node.get_closest_marker("remote"):
        return
    connect, resolve = socket.socket.connect, socket.getaddrinfo

    def guarded(self: socket.socket, address: object) -> None:
        local = self.family == getattr(socket, "AF_UNIX", None) or (
            isinstance(address, tuple)
            and address[0] in ("127.0.0.1", "::1", "localhost")
        )
        if not local:
            msg = f"this test connects to {address!r}, and tests run off line"
            raise AssertionError(msg)
        connect(self, address)  # type: ignore[arg-type]

    def resolved(host: object, *words: object, **options: object) -> object:
        # The name of an archive is asked for before it is connected to.
        if host not in (None, "", "127.0.0.1", "::1", "localhost"):
            msg = f"this test asks where {host!r} is, and tests run off line"
            raise AssertionError(msg)
        return resolve(host, *words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket, "getaddrinfo", resolved)


@pytest.fixture(autouse=True)
def _own_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Keep what is remembered of tools and folders out of the user's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


def need_tools(*names: str, recipes: Sequence[str] = ()) -> None:
    """Skip a test without these tools, but fail it in continuous integration."""
    missing = [n for n in names if n != "iraf" and shutil.which(n) is None]
    wanted = [("iraf", n) for n in names if n == "iraf"]
    wanted += [("esorex", name) for name in recipes]
    for engine, name in wanted:
        task = Task(engine=engine, name=name, inputs=(), outputs=())
        if get_engine(engine).tool(task)["version"] is None:
            missing.append("IRAF with PyRAF" if engine == "iraf" else f"recipe {name}")
    if missing:
        reason = f"{', '.join(missing)} not installed; scripts/test installs it"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def need() -> Callable[..., None]:
    """
    Give the function that skips a test where tools are missing.

    It is given names of programs, ``'iraf'``, and ``recipes`` of esorex.
    """
    return need_tools


@pytest.fixture(scope="session")
def real_data() -> Path:
    """
    Folder of the real frames.

    It is NDMAPPER_TEST_DATA, or shared/data beside the repository. Without it a test
    is skipped, but in continuous integration it fails.
    """
    given = os.environ.get("NDMAPPER_TEST_DATA")
    folder = Path(given) if given else REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    reason = (
        f"no real frames: {folder} is missing; name their folder in NDMAPPER_TEST_DATA"
    )
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def kast_raw(real_data: Path, tmp_path: Path) -> Path:
    """Copy the raw frames of the real night, without products, to a folder raw/."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for path in (real_data / "kast_blue_longslit").glob("b*.fits.gz"):
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def make_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str, Callable[[Path], object]], Path]:
    """
    Give the function that makes a folder once in a run of tests.

    It is given a name, and what fills the folder. Where several processes share the
    tests, the others wait for the first.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def make(name: str, fill: Callable[[Path], object]) -> Path:
        folder, done = base / name, base / f"{name}.done"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return make


@pytest.fixture(scope="session")
def muse_night(make_once: Callable[..., Path], need: Callable[..., None]) -> Path:
    """
    Give a night of two IFUs of MUSE, simulated once, that real recipes reduce.

    The folders are those of `simulate_muse_night`; files.json has the files by tag.
    """
    need("esorex", recipes=("muse_bias", "muse_exp_combine"))

    def simulate(folder: Path) -> None:
        from ndmapper.lib.simulate import simulate_muse_night

        files = simulate_muse_night(folder, ifus=(1, 2))
        names = {tag: [str(p) for p in paths] for tag, paths in files.items()}
        (folder / "files.json").write_text(json.dumps(names))

    return make_once("muse_night", simulate)


@pytest.fixture(scope="session")
def run_example() -> Callable[..., Any]:
    """
    Run a script of examples/ in a folder; warnings are errors there too.

    ``verb`` is what stands before the script, ``('-m', 'ndmapper.cli', 'run')``.
    """

    def run(
        name: str, *arguments: object, folder: Path, verb: Sequence[str] = ()
    ) -> Any:
        from shared_helpers import run_as_user

        script = REPOSITORY / "examples" / name
        return run_as_user(script, *arguments, folder=folder, verb=verb)

    run.path = lambda name: REPOSITORY / "examples" / name  # type: ignore[attr-defined]
    return run
