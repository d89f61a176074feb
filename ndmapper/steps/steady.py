"""Whether the files that go into a product stay as they are while it is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ndmapper.errors import StepError
from ndmapper.steps.paths import Stamp, absolute, stamp_of
from ndmapper.steps.record.entry import Entry, Work, references

__all__ = ["steady"]


@contextmanager
def steady(work: Work) -> Iterator[Entry]:
    """
    Refer to the files that go in, and see to it that they stay as they are.

    Parameters
    ----------
    work : Work
        What is done while the ``with`` block lasts.

    Yields
    ------
    dict
        What `references` says of the files as they are.

    Raises
    ------
    StepError
        At the end, if a file has another content by then.
    """
    stamps = _stamps(work)
    found = references(work, expected=False)
    yield found
    changed = [path for path, stamp in stamps.items() if stamp_of(path) != stamp]
    if changed and references(work, expected=False) != found:
        msg = (
            f"{work.declaration.name}: {', '.join(map(str, changed))} was changed "
            "while the step worked, so nobody can tell which content the product is "
            "made of; nothing was saved. Run it again when the file is complete"
        )
        raise StepError(msg)


def _stamps(work: Work) -> dict[Path, Stamp | None]:
    """Note when each file on disk was changed."""
    paths = [
        absolute(str(df))
        for df in work.used
        if df.is_made and df.unloaded and df.filename is not None
    ]
    paths += [absolute(path) for path in work.named if isinstance(path, Path)]
    return {path: stamp_of(path) for path in paths}
