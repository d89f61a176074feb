"""The same script on a dask scheduler with two workers, over TCP on this machine."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from shared_helpers import wait_until

from ndmapper.data import DataFile
from ndmapper.io.digest import differences

pytest.importorskip("distributed")
pytestmark = pytest.mark.slow

START = "import sys; from distributed.cli.dask_{0} import main; sys.exit(main())"

SCRIPT = """
import logging, os, time
from pathlib import Path
import ndmapper
from ndmapper import DataFileList, config, qc, run_task
{setting}
FACTOR = 2

@run_task(prefix="s")
def scale(ndd, *, offset: float = 0.5):
    logging.getLogger("ndmapper.script").info("scaling in %s", os.getpid())
    qc(mean=float(ndd.data.mean()))
    first = Path("pid")
    if {waits}:
        try:
            with first.open("x") as stream:
                stream.write(str(os.getpid()))
            time.sleep(600)
        except FileExistsError:
            pass
    return ndd * FACTOR + offset

@run_task("command:cp", inputs="a", outputs="b", prefix="c", argv=["{{in}}", "{{out}}"])
def copied():
    "Copy the file."

print("script runs", flush=True)
print(*copied(scale(DataFileList("x*.fits"))), flush=True)
"""

ADDRESS = "config['cluster'] = {address!r}"
CLIENT = """
from distributed import Client
config["cluster"] = Client({address!r})
"""


def start(kind, *arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-c", START.format(kind), *arguments],
        cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a scheduler and two workers in processes of their own; give its address."""
    home = tmp_path_factory.mktemp("cluster")
    about = home / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard")
    processes = [
        start(
            "scheduler", *local, "--port", "0", "--scheduler-file", str(about), cwd=home
        )
    ]
    try:
        wait_until(about.exists)
        address = wait_until(lambda: json.loads(about.read_text() or "{}"))["address"]
        for number in range(2):
            # Threads of one process must not get into each other's way.
            threads = ("--nthreads", str(1 + number))
            processes.append(
                start("worker", address, *local, *threads, "--no-nanny", cwd=home)
            )
        yield address
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait(timeout=120)


@pytest.fixture
def raws(make_raw):
    return [make_raw(f"x{n}.fits", (n + 1.0, 3.0)) for n in range(4)]


def run(setting="", waits=False, **settings):
    Path("script.py").write_text(SCRIPT.format(setting=setting, waits=waits))
    env = os.environ | {f"NDMAPPER_{n.upper()}": str(v) for n, v in settings.items()}
    return subprocess.Popen(
        [sys.executable, "script.py"],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process):
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err[-3000:]
    return out, err


def assert_same_products(one="serial", two="cluster"):
    names = sorted(path.name for path in Path(one).glob("*.fits"))
    assert len(names) == 8
    assert names == sorted(path.name for path in Path(two).glob("*.fits"))
    for name in names:
        assert differences(f"{one}/{name}", f"{two}/{name}") == []
        entries = [DataFile(f"{folder}/{name}").record for folder in (one, two)]
        for a, b in zip(*entries, strict=True):
            assert {n for n in a if a[n] != b[n]} <= {"run"}


@pytest.mark.parametrize("how", ["environment", "address", "client"])
def test_cluster_makes_what_one_process_makes(raws, cluster, how):
    finish(run(outdir="serial"))
    if how == "environment":
        process = run(outdir="cluster", cluster=cluster)
    else:
        setting = ADDRESS if how == "address" else CLIENT
        process = run(setting.format(address=cluster), outdir="cluster")
    out, err = finish(process)
    assert_same_products()
    assert out.count("script runs") == 1
    # What was logged there comes back.
    pids = {
        line.rpartition(" ")[2] for line in err.splitlines() if "scaling in" in line
    }
    assert pids
    assert str(process.pid) not in pids
    assert err.count("scaling in") == 8
    assert "8 products made, 0 re-used" in err


def test_cluster_rerun_does_nothing(raws, cluster):
    finish(run(cluster=cluster))
    before = {path: path.stat().st_mtime_ns for path in Path().glob("*.fits")}
    _, err = finish(run(cluster=cluster, reprocess="auto"))
    assert {path: path.stat().st_mtime_ns for path in Path().glob("*.fits")} == before
    assert "nothing to do: all 8 products exist already" in err


def test_cluster_goes_on_where_a_worker_is_killed(raws, cluster, tmp_path_factory):
    finish(run(outdir="serial"))
    extra = start(
        "worker", cluster, "--host", "127.0.0.1", "--no-dashboard", "--nthreads", "1",
        "--no-nanny", cwd=tmp_path_factory.mktemp("extra"),
    )  # fmt: skip
    try:
        process = run(outdir="cluster", waits=True, cluster=cluster)
        pid = int(wait_until(lambda: Path("pid").exists() and Path("pid").read_text()))
        os.kill(pid, signal.SIGKILL)  # one of the three, whichever began
        finish(process)
    finally:
        extra.kill()
        extra.wait(timeout=120)
    # The source differs by the word that makes it wait, and so do the keys.
    for path in Path("serial").glob("*.fits"):
        assert differences(path, Path("cluster", path.name)) == []
    assert len(list(Path("cluster").glob("*.fits"))) == 8


def test_cluster_error_of_a_step_is_that_of_the_step(raws, cluster, make_raw):
    Path("x0.fits").unlink()
    Path("x0.fits").write_text("no FITS file")
    process = run(cluster=cluster)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "x0.fits" in err


def test_cluster_that_is_not_there_says_what_to_do(raws):
    process = run(cluster="tcp://127.0.0.1:9")
    _, err = process.communicate(timeout=240)
    assert process.returncode == 1
    assert "there is no dask scheduler at tcp://127.0.0.1:9" in err


def test_cluster_without_workers_is_said_and_then_an_error(raws, tmp_path):
    about = tmp_path / "scheduler.json"
    local = ("--host", "127.0.0.1", "--no-dashboard", "--port", "0")
    scheduler = start("scheduler", *local, "--scheduler-file", str(about), cwd=tmp_path)
    try:
        wait_until(about.exists)
        address = wait_until(lambda: json.loads(about.read_text() or "{}"))["address"]
        process = run(ADDRESS.format(address=address), cluster_wait=1)
        _, err = process.communicate(timeout=240)
    finally:
        scheduler.kill()
        scheduler.wait(timeout=120)
    assert process.returncode != 0
    assert f"the cluster at {address} has no workers; waiting" in err
    assert "had no workers for 1 s" in err
    assert not list(Path().glob("sx*.fits"))
