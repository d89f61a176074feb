"""Many processes at one document, and processes that are killed while they save."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict

PROCESSES = 8
EACH = 12

ADDING = f"""
import sys
from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict
from ndmapper.services import look_up_cals
path, number = sys.argv[1], int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
cals = init_cal_dict(path)
for i in range({EACH}):
    name = f"x{{number}}_{{i}}.fits"
    if i % 2:
        add_cal_entry(name, "bias", [(f"b{{number}}.fits", "0123")], cals)
        save_cal_dict(cals, path)
    else:
        look_up_cals(name, {{"target": ["flat"]}}, lambda *_: [f"f{{number}}.fits"],
                     cache=path)
"""

# A save writes, flushes to the disk, and renames; it stops at one of these for ever.
SAVING = """
import os, sys, time
from pathlib import Path
from ndmapper.calibrations import add_cal_entry, init_cal_dict, save_cal_dict
path, place = sys.argv[1:]
def stop(*_):
    print("stopped", flush=True)
    time.sleep(600)
if place == "fsync":
    os.fsync = stop
else:
    Path.replace = stop
cals = init_cal_dict(path)
add_cal_entry("new.fits", "bias", ["b9.fits"], cals)
save_cal_dict(cals, path)
"""


def start(script: str, *words: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_eight_processes_that_add_entries_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "calibrations.json"
    running = [start(ADDING, path, number) for number in range(PROCESSES)]
    for process in running:  # they begin together
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        process.communicate("go\n", timeout=300)
    assert [process.returncode for process in running] == [0] * PROCESSES
    found = json.loads(path.read_text())
    names = {f"x{n}_{i}.fits" for n in range(PROCESSES) for i in range(EACH)}
    assert set(found["associations"]) == names
    for number in range(PROCESSES):
        for i in range(EACH):
            kind = "bias" if i % 2 else "flat"
            label = f"{kind[0]}{number}_{kind}.fits"
            name = f"x{number}_{i}.fits"
            assert found["associations"][name] == {kind: label}
            assert found["calibrations"][label] == [f"{kind[0]}{number}.fits"]
            assert (name in found["answers"]) == (kind == "flat")
    assert set(found["checksums"]) == {f"b{n}.fits" for n in range(PROCESSES)}


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_process_killed_while_it_saves_leaves_the_old_document(
    tmp_path: Path, place: str
) -> None:
    path = tmp_path / "calibrations.json"
    cals = init_cal_dict(path)
    add_cal_entry("old.fits", "bias", ["b1.fits"], cals)
    save_cal_dict(cals, path)
    before = path.read_bytes()
    process = start(SAVING, path, place)
    assert process.stdout is not None
    assert process.stdout.readline() == "stopped\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() == before
    seen = [p.name for p in tmp_path.iterdir() if not p.name.startswith(".")]
    assert seen == ["calibrations.json"]
    # The lock went with the process, and what it left has no name of a document.
    again = init_cal_dict(path)
    add_cal_entry("next.fits", "bias", ["b2.fits"], again)
    save_cal_dict(again, path)
    assert set(init_cal_dict(path)["associations"]) == {"old.fits", "next.fits"}
