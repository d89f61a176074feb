"""Fixtures for the steps of images."""

import pytest
from lib_image import make_field


@pytest.fixture(scope="session")
def field():
    """Thirty stars of 1000 to 100000 electrons on a sky of 100."""
    return make_field(11)
