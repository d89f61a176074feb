"""Running the scripts as a user does."""

import pytest
from shared_helpers import REPOSITORY

OFF_LINE = """
import runpy, socket, sys

def refuse(*args, **words):
    raise OSError("there is no network in this test")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a script that cannot connect to anything."""


@pytest.fixture(scope="session")
def kast_night(tmp_path_factory, run_example, real_data):
    """The folder with all products of the script for Kast, made without network."""
    folder = tmp_path_factory.mktemp("kast")
    raw = real_data / "kast_blue_longslit"
    run_example("kast_longslit.py", raw, folder=folder, verb=("-c", OFF_LINE))
    return folder


@pytest.fixture(
    params=[
        "demo_night.py", "four_engines.py", "imaging_night.py", "kast_longslit.py",
        "slit_night.py",
    ]
)  # fmt: skip
def example(request):
    return REPOSITORY / "examples" / request.param
