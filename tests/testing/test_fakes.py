import json
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ndmapper.data import DataFile
from ndmapper.testing import FakeRecipe, fake_command, fake_esorex, make_mef
from ndmapper.testing.fakes import Fault


def run(
    *argv: object, cwd: Path | None = None, check: bool = False
) -> subprocess.CompletedProcess[bytes]:
    words = [str(word) for word in argv]
    return subprocess.run(words, capture_output=True, cwd=cwd, check=check)


def test_command_notes_and_copies(tmp_path: Path) -> None:
    image = make_mef(tmp_path / "a.fits")
    fake = fake_command(tmp_path / "bin", "prog", prints="hello")
    assert fake.calls == []
    end = run(fake.path, "-x", "a b; c", image, f"--out={tmp_path / 'b.fits'}")
    assert end.returncode == 0
    assert end.stdout == b"hello\n"
    assert (tmp_path / "b.fits").read_bytes() == image.read_bytes()
    (call,) = fake.calls
    assert call.argv[:2] == ["-x", "a b; c"]
    assert call.sof is None
    assert call.cwd == str(Path.cwd())


def test_command_without_an_input_makes_an_image(tmp_path: Path) -> None:
    fake = fake_command(tmp_path, "prog")
    run(fake.path, "new.fits", cwd=tmp_path)
    assert np.array_equal(DataFile(tmp_path / "new.fits")[0].data, np.zeros((100, 100)))


@pytest.mark.parametrize(
    ("fault", "code", "share"),
    [
        ("exit", 4, None),
        ("signal", -signal.SIGKILL, 0.5),
        ("no product", 0, None),
        ("half a product", 0, 0.5),
        ("huge output", 0, 1.0),
        ("bad UTF-8", 0, 1.0),
    ],
)
def test_faults(tmp_path: Path, fault: Fault, code: int, share: float | None) -> None:
    image = make_mef(tmp_path / "a.fits")
    fake = fake_command(tmp_path, "prog", fault=fault, exit_code=4)
    target = tmp_path / "b.fits"
    end = run(fake.path, image, target)
    # What dies by a signal in a shell may be reported by a number above 128.
    assert end.returncode == code
    assert target.exists() == (share is not None)
    if share is not None:
        assert target.stat().st_size == int(share * image.stat().st_size)
    if fault == "huge output":
        assert len(end.stdout) > 5_000_000
    if fault == "bad UTF-8":
        with pytest.raises(UnicodeDecodeError):
            end.stdout.decode()
    assert len(fake.calls) == 1


def test_hang(tmp_path: Path) -> None:
    fake = fake_command(tmp_path, "prog", fault="hang", prints="begin")
    with subprocess.Popen([fake.path], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begin\n"
        assert child.poll() is None
        child.kill()


def test_esorex_describes_and_makes(tmp_path: Path) -> None:
    recipe = FakeRecipe(products={"A": 1, "B": 2}, parameters={"n": 3})
    fake = fake_esorex(tmp_path / "bin", {"make": recipe})
    assert run(fake.path, "--create-config=p.json", "nothing").returncode == 13
    run(fake.path, "--create-config=p.json", "make", cwd=tmp_path, check=True)
    (parameter,) = json.loads((tmp_path / "p.json").read_text())
    assert (parameter["display_name"], parameter["valtype"]) == ("n", "int")
    assert fake.calls == []  # questions do not count
    (tmp_path / "in.sof").write_text("/x/raw.fits RAW\n/x/m.fits MASTER_X\n")
    run(fake.path, "--products-sof=out.json", "make", "--n=4", "in.sof", cwd=tmp_path,
        check=True)  # fmt: skip
    names = [entry["name"] for entry in json.loads((tmp_path / "out.json").read_text())]
    assert names == ["A.fits", "B-01.fits", "B-02.fits"]
    meta = DataFile(tmp_path / "B-02.fits").meta
    assert meta["ESO PRO CATG"] == "B"
    assert meta["ESO PRO REC1 RAW1 NAME"] == "raw.fits"
    assert meta["ESO PRO REC1 CAL1 CATG"] == "MASTER_X"
    assert "/x/raw.fits RAW" in str(fake.calls[0].sof)
