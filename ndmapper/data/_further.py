"""Further planes of errors, which no arithmetic carries along: dropped when stale."""

import logging
from typing import TYPE_CHECKING

from ndmapper.data.ndlater import NDLater

if TYPE_CHECKING:
    from ndmapper.data.datafile import DataFile

__all__ = ["drop_stale"]

log = logging.getLogger(__name__)


def drop_stale(df: "DataFile") -> None:
    """
    Drop, and say so, what described the errors of pixels that are others by now.

    Parameters
    ----------
    df : DataFile
        A file, such as one of JWST with ERR, VAR_POISSON, VAR_RNOISE and VAR_FLAT.
    """
    if df._layout is None or df._map is None or not df._layout.further:
        return
    source = df._map.source
    gone = []
    for name, owners in df._layout.further.items():
        plane = df.extras.get(name)
        if plane is None or plane._origin != (source, df._layout.extras[name]):
            continue
        if plane._parts["data"].is_modified:
            continue  # by somebody who knows what it should be
        about = [x for x in df._groups if x._origin in [(source, i) for i in owners]]
        if any(map(_is_changed, about)):
            del df.extras[name]
            gone.append(name)
    if gone:
        log.warning(
            "%s: %s dropped, since the data are no longer those whose errors they are; "
            "the uncertainty itself was carried along",
            str(df) or source.path, ", ".join(gone),
        )  # fmt: skip


def _is_changed(ndd: NDLater) -> bool:
    part = ndd._parts["data"]
    if part.pending is not None or part.handle is None or not part.handle.is_whole:
        return True
    return part.is_modified
