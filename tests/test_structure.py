"""The structure of the package: what no other tool checks."""

import configparser
import json
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def test_accesses_to_what_is_private_to_another_object_only_fall():
    options = ("--select=SLF001", "--exit-zero", "--no-cache", "--output-format=json")
    found = subprocess.run(
        [sys.executable, "-m", "ruff", "check", *options, "ndmapper"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg")
    allowed = setup.getint("structure", "private_accesses")
    # If there are fewer, their number in setup.cfg is to fall with them.
    assert len(json.loads(found.stdout)) == allowed
