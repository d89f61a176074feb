"""The root package, and what the tests themselves rely on."""

import socket
import subprocess
import sys

import pytest

import ndmapper
from ndmapper.config import Config, config


def test_import_of_the_package_loads_no_heavy_library():
    code = (
        "import ndmapper, sys; print(*{'numpy', 'astropy', 'numba'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


def test_config_is_the_mapping_though_a_module_has_its_name():
    assert isinstance(ndmapper.config, Config)
    assert ndmapper.config is config


@pytest.mark.parametrize("name", ndmapper.__all__)
def test_public_name_is_there_and_listed(name):
    assert getattr(ndmapper, name) is not None
    assert name in dir(ndmapper)


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'DataFiles'"):
        ndmapper.DataFiles  # noqa: B018


def test_tests_refuse_to_leave_this_machine():
    with (
        socket.socket() as connection,
        pytest.raises(AssertionError, match="off line"),
    ):
        connection.connect(("192.0.2.1", 80))  # an address for documentation, RFC 5737


def test_tests_may_talk_to_this_machine():
    with socket.socket() as server, socket.socket() as client:
        server.bind(("127.0.0.1", 0))
        server.listen()
        client.connect(server.getsockname())
