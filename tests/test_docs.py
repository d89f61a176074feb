"""The documentation covers every public name and every verb, and its code runs."""

import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pytest
from numpydoc.validate import validate

import ndmapper
from ndmapper.cli.command import VERBS
from ndmapper.steps import Step

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"

# What a script may import. Other modules are for those who work on ndmapper.
PUBLIC = (
    "ndmapper.calibrations",
    "ndmapper.config",
    "ndmapper.data",
    "ndmapper.errors",
    "ndmapper.instruments",
    "ndmapper.lib.calibrator",
    "ndmapper.lib.ccd",
    "ndmapper.lib.combine",
    "ndmapper.lib.cosmetics",
    "ndmapper.lib.simulate",
    "ndmapper.log",
    "ndmapper.services",
    "ndmapper.steps",
    "ndmapper.testing",
)


def all_modules():
    found = pkgutil.walk_packages(ndmapper.__path__, "ndmapper.")
    return sorted(m.name for m in found if not m.name.endswith("__main__"))


def public_objects():
    """Every function, class, method and step that a module offers under __all__."""
    found = {}
    for module_name in all_modules():
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            func = value.func if isinstance(value, Step) else value
            if getattr(func, "__module__", None) != module_name:
                continue
            if not (inspect.isclass(func) or inspect.isfunction(func)):
                continue
            is_step = isinstance(value, Step)
            found[f"{module_name}.{name}" + ".func" * is_step] = value
            if inspect.isclass(func):
                for key, member in vars(func).items():
                    if not key.startswith("_") and inspect.isfunction(member):
                        found[f"{module_name}.{name}.{key}"] = member
    return found


CHECKS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"][
    "numpydoc_validation"
]["checks"]


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_docstring_keeps_to_numpydoc(name):
    errors = validate(name)["errors"]
    assert [f"{code} {text}" for code, text in errors if code not in CHECKS] == []


@pytest.mark.parametrize("module", all_modules())
def test_module_says_what_it_offers(module):
    if module.rpartition(".")[2].startswith("_"):
        return
    assert hasattr(importlib.import_module(module), "__all__")


@pytest.mark.parametrize("module", PUBLIC)
def test_reference_has_every_public_module(module):
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    assert f".. public:: {module}\n" in pages


def test_reference_has_no_module_that_is_not_public():
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    assert sorted(re.findall(r"^\.\. public:: (\S+)", pages, re.M)) == sorted(PUBLIC)


@pytest.mark.parametrize("name", [n for n in ndmapper.__all__ if n[0] != "_"])
def test_root_offers_what_a_public_module_documents(name):
    value = getattr(ndmapper, name)
    homes = [importlib.import_module(module) for module in PUBLIC]
    assert any(getattr(home, name, None) is value for home in homes)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_is_in_the_readme_or_a_page(verb):
    prose = [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
    assert any(f"ndmapper {verb.name}" in page.read_text() for page in prose)
