"""Running the scripts as a user does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def run_example():
    """
    Run a script of examples/ in a folder; warnings are errors there too.

    ``verb`` is what stands before the script, ``('-m', 'ndmapper.cli', 'run')``.
    """

    def run(name, *arguments, folder, verb=()):
        env = {k: v for k, v in os.environ.items() if not k.startswith("NDMAPPER_")}
        env["PYTHONPATH"] = str(REPOSITORY)
        return subprocess.run(
            [
                *(sys.executable, "-W", "error", *verb),
                *(REPOSITORY / "examples" / name, *arguments),
            ],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        )

    run.path = lambda name: REPOSITORY / "examples" / name
    return run


@pytest.fixture(params=["demo_night.py", "four_engines.py", "kast_longslit.py"])
def example(request):
    return REPOSITORY / "examples" / request.param
