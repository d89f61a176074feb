import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile, NDLater
from ndmapper.io import temporary
from ndmapper.io.temporary import (
    final_name,
    make_scratch_folder,
    scratch_folder,
    staging_mark,
    staging_name,
    sweep,
    sweep_side_data,
)
from ndmapper.steps.run.publish import stage


@pytest.fixture(autouse=True)
def _forget_what_was_swept(monkeypatch):
    monkeypatch.setattr(temporary, "_swept", {})


@pytest.fixture(scope="module")
def dead():
    """Give the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def mark_of(pid):
    return staging_mark().replace(f"-{os.getpid()}-", f"-{pid}-", 1)


def test_staging_name_is_hidden_beside_and_of_the_same_type(tmp_path):
    name = staging_name(tmp_path / "a.fits.gz")
    assert name.parent == tmp_path
    assert name.name.startswith(".")
    assert name.name.endswith(".fits.gz")
    assert name != staging_name(tmp_path / "a.fits.gz")


def test_staging_name_of_the_longest_name_can_be_written(tmp_path):
    name = staging_name(tmp_path / ("x" * 250 + ".fits"))
    name.touch()
    assert name.suffix == ".fits"


def test_sweep_removes_what_dead_processes_left(tmp_path, dead):
    (tmp_path / f"{mark_of(dead)}-a.fits").write_text("half")
    folder = tmp_path / mark_of(dead)
    folder.mkdir()
    (folder / "b.fits").write_text("half")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["a.fits", ".ndm-1.fits", ".ndm-999999999-abc-x.fits", ".hidden"],
)
def test_sweep_leaves_other_files(tmp_path, name):
    (tmp_path / name).touch()
    sweep(tmp_path)
    assert (tmp_path / name).exists()


def test_sweep_leaves_what_is_being_written(tmp_path):
    ours, others = tmp_path / staging_mark(), tmp_path / mark_of(os.getppid())
    ours.touch()
    others.touch()
    sweep(tmp_path)
    assert ours.exists()
    assert others.exists()


def test_sweep_leaves_the_files_of_other_hosts(tmp_path, dead, monkeypatch):
    path = tmp_path / mark_of(dead)
    path.touch()
    monkeypatch.setattr(temporary, "_host", lambda: "0" * 8)
    sweep(tmp_path)
    assert path.exists()


def test_sweep_without_folder_does_nothing(tmp_path):
    sweep(tmp_path / "none")


def test_sweep_does_not_look_again_at_once(tmp_path, dead):
    sweep(tmp_path)
    path = tmp_path / mark_of(dead)
    path.touch()
    sweep(tmp_path)
    assert path.exists()


def test_save_sweeps_its_folder(tmp_path, dead):
    (tmp_path / f"{mark_of(dead)}-a.fits").write_text("half")
    DataFile(tmp_path / "a.fits", data=[NDLater([1, 2])]).save()
    assert [path.name for path in tmp_path.iterdir()] == ["a.fits"]


def test_stage_sweeps_its_home(tmp_path, dead):
    old = tmp_path / ".ndmapper" / "stage" / mark_of(dead)
    old.mkdir(parents=True)
    with stage(tmp_path) as folder:
        assert folder.is_dir()
        assert not old.exists()
    assert list((tmp_path / ".ndmapper" / "stage").iterdir()) == []


def test_save_killed_half_way_is_swept_by_the_next(tmp_path):
    script = """
import os, signal, sys
import numpy as np
from ndmapper.data import DataFile, NDLater
import ndmapper.io.write as write
def killed(*_, **words):
    os.kill(os.getpid(), signal.SIGKILL)
write._flush = killed
DataFile(sys.argv[1], data=[NDLater(np.zeros(1000))], mode="overwrite").save()
"""
    path = tmp_path / "a.fits"
    path.write_text("old")
    run = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert run.returncode != 0
    assert len(list(tmp_path.iterdir())) == 2
    assert path.read_text() == "old"
    DataFile(tmp_path / "b.fits", data=[NDLater(np.zeros(3))]).save()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits", "b.fits"]


def test_final_name_of_what_waits_in_a_folder_for_unfinished_products(tmp_path):
    stage = tmp_path / ".ndmapper" / "stage"
    assert final_name(stage / staging_mark() / "x.fits") == tmp_path / "x.fits"
    assert final_name(stage / "mine" / "x.fits") == stage / "mine" / "x.fits"
    assert final_name(Path("x.fits")) == Path("x.fits")


def test_scratch_folder_is_private_and_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder() as folder:
        assert folder.parent == tmp_path.resolve()
        assert not folder.name.startswith(".")
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "x").touch()
    assert list(tmp_path.iterdir()) == []


def test_scratch_folder_of_a_killed_process_is_swept_by_the_next(tmp_path, dead):
    left = tmp_path / mark_of(dead).removeprefix(".")
    left.mkdir()
    (left / "login.cl").touch()
    made = make_scratch_folder(tmp_path)
    assert list(tmp_path.iterdir()) == [made]


def test_side_data_are_swept_with_their_folders(tmp_path, dead):
    side = tmp_path / ".ndmapper"
    (side / "decisions").mkdir(parents=True)
    for folder in (side, side / "decisions"):
        (folder / f"{mark_of(dead)}-a.json").touch()
        (folder / "kept.json").touch()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / mark_of(dead)).touch()
    (side / "link").symlink_to(elsewhere)
    sweep_side_data(side)
    assert sorted(p.name for p in side.iterdir()) == ["decisions", "kept.json", "link"]
    assert [p.name for p in (side / "decisions").iterdir()] == ["kept.json"]
    assert len(list(elsewhere.iterdir())) == 1
