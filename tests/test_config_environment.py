"""Variables of the environment that no setting has are errors."""

import pytest

from ndmapper.config.store import Config
from ndmapper.errors import UnknownKeyError


def read(tmp_path, **environ):
    nowhere = tmp_path / "none.toml"
    return Config(user_file=nowhere, project_file=nowhere, environ=environ)["reprocess"]


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("NDMAPPER_REPROCES", "NDMAPPER_REPROCESS"),
        ("NDMAPPER_WORKER", "NDMAPPER_WORKERS"),
        ("NDMAPPER_ESO_PASWORD", "NDMAPPER_ESO_PASSWORD"),
        ("NDMAPPER_CREDENTIAL", "NDMAPPER_CREDENTIALS"),
    ],
)
def test_misspelt_variable_is_an_error_with_a_suggestion(tmp_path, variable, meant):
    with pytest.raises(UnknownKeyError, match=f"{variable}.*did you mean '{meant}'"):
        read(tmp_path, **{variable: "1"})


@pytest.mark.parametrize(
    "variable",
    [
        "NDMAPPER_ESO_USER",
        "NDMAPPER_MYARCHIVE_TOKEN",
        "NDMAPPER_CREDENTIALS",
        "NDMAPPER_FUZZ",
        "NDMAPPER_TEST_DATA",
        "MY_NDMAPPER_X",
        "ndmapper_x",
    ],
)
def test_other_variables_are_none_of_its_business(tmp_path, variable):
    assert read(tmp_path, **{variable: "x", "NDMAPPER_REPROCESS": "auto"}) == "auto"
