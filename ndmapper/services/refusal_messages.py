"""What is said where an archive answers, but not with what was asked for."""

from collections.abc import Callable

from ndmapper.errors import (
    MissingFileError,
    NdmapperError,
    ServiceAccessError,
    ServiceError,
    ServiceUnreachableError,
)
from ndmapper.services.transfer.backoff import RETRIED
from ndmapper.services.transfer.response import Reply, Stream

__all__ = ["refused"]


def refused(
    answer: Stream | Reply,
    denied: Callable[[], str],
    missing: str = "the archive has no such file",
) -> NdmapperError:
    """Make the error for an answer that is not what was asked for."""
    if answer.status in {401, 403}:
        return ServiceAccessError(denied())
    if answer.status in {404, 410}:
        return MissingFileError(missing)
    msg = f"{answer.url} answers with status {answer.status}"
    if answer.status in RETRIED:
        return ServiceUnreachableError(f"{msg}; try again later")
    return ServiceError(msg)
