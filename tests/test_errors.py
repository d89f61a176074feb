"""Errors: one base, the built-in a reader would catch, messages as written."""

import pickle

import pytest

from ndmapper import errors

CLASSES = [
    getattr(errors, name)
    for name in errors.__all__
    if isinstance(getattr(errors, name), type)
]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_error_is_ours_and_a_built_in(cls):
    built_in = [
        base
        for base in cls.__mro__
        if base.__module__ == "builtins"
        and base not in (Exception, BaseException, object)
    ]
    assert issubclass(cls, errors.NdmapperError)
    assert built_in or cls is errors.NdmapperError


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_error_shows_its_message_as_written(cls):
    assert str(cls("a.fits is 'odd'; rename it")) == "a.fits is 'odd'; rename it"


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_error_travels_to_other_processes(cls):
    copy = pickle.loads(pickle.dumps(cls("message")))
    assert (type(copy), str(copy)) == (cls, "message")


@pytest.mark.parametrize("cls", CLASSES, ids=lambda c: c.__name__)
def test_error_stands_in_the_tree_of_the_docstring(cls):
    assert cls.__name__ in (errors.__doc__ or "")


def test_did_you_mean_without_a_near_name_lists_all():
    assert errors.did_you_mean("zzz", ["b", "a"]) == "; there are: a, b"
