"""Products of a task: opened, checked, and put into the structure of their input."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ndmapper.data import DataFile, NDLater, PlainFile
from ndmapper.engines.base import Output
from ndmapper.engines.iraf.calls import Call, Calls
from ndmapper.engines.iraf.failures import ProductError
from ndmapper.engines.iraf.headers import header_from, without_inherited
from ndmapper.engines.iraf.pixels import dtype_of_flags, fit_flags
from ndmapper.errors import NdmapperError
from ndmapper.io.filetypes import is_plain
from ndmapper.io.headers import Header

__all__ = ["assemble", "open_product", "repair_headers"]


def open_product(
    folder: Path,
    call: Call,
    output: Output,
    before: Iterable[str],
    base: DataFile | None = None,
) -> DataFile:
    """Open a product of a task; raises ProductError."""
    name = call.outputs[output]
    path = folder / name
    if not path.exists():
        new = sorted({p.name for p in folder.iterdir() if p.is_file()} - set(before))
        end = path.suffix
        # Some tasks append a format to the name.
        mine = [n for n in new if n.startswith(f"{path.stem}.") and n.endswith(end)]
        if len(mine) != 1:
            made = f"; it made {', '.join(new[:5])} instead" if new else ""
            msg = f"it did not make {name} (its parameter {output!r}){made}"
            raise ProductError(msg)
        path = folder / mine[0]
    if is_plain(path):
        return PlainFile(path)
    try:
        df = DataFile(path)
        count = _pixels(df)
    except NdmapperError as err:
        msg = f"what it made as {output!r} is broken: {err}"
        raise ProductError(msg) from err
    if not count and (not df.tables or (base is not None and _pixels(base))):
        held = [f"table {table}" for table in df.tables]
        msg = (
            f"what it made as {output!r} ({name}) has no pixels, but "
            f"{', '.join(held) or 'a header alone'}"
        )
        if base is not None and (images := len(base) + len(base.extras)):
            msg += f"; {base} has {images} image{'s' if images > 1 else ''}"
        raise ProductError(msg)
    return df


def _pixels(df: DataFile) -> int:
    return sum(ndd.size for ndd in (*df, *df.extras.values()))


def assemble(
    calls: Calls,
    output: Output,
    made: Mapping[Any, tuple[Call, DataFile]],
    parts: Mapping[Any, Mapping[str, Any]],
    warnings: list[str],
) -> DataFile:
    """Put the images of a task into a copy of the file that they were made from."""
    base = calls.bases.get(output)
    if base is None:
        ((_, alone),) = made.values()
        return alone
    product = DataFile(data=base)
    del product[:]
    moved: dict[str, list[Any]] = {}
    for ident, (call, df) in made.items():
        own = ident if ident in base.idents else base.idents[0]
        like = base[base.idents.index(own)]
        header, changed = header_from(df.meta, call.given[output], like.meta)
        for keyword in changed:
            moved.setdefault(keyword, []).append(df.meta[keyword])
        ndd, lost = _group(like, ident, df, header, dict(parts.get(ident, {})))
        product.append(ndd)
        if lost:
            warnings.append(
                f"the {' and '.join(lost)} of {base}[{like.ident}] were dropped, since "
                f"the image has another shape now: {ndd.shape}, not {like.shape}"
            )
    _raise_common(product, moved, len(made))
    return product


def _group(
    like: NDLater,
    ident: Any,
    made: DataFile,
    header: Header,
    given: dict[str, Any],
) -> tuple[NDLater, list[str]]:
    data = made[0].data
    lost = []
    for word, part in (("variance", "uncertainty"), ("flags", "flags")):
        kept = given.get(word, like if like.has(part) else None)
        if kept is None:
            continue
        shape = like.shape if kept is like else np.shape(kept)
        if shape != data.shape:
            given[word] = None
            lost.append(word)
    if data.shape == like.shape:
        ndd = like.replace(data=data, meta=header)
        for word, array in given.items():
            setattr(ndd, word, array)  # keeps the header of its extension
    else:
        ndd = like.replace(data=data, meta=header, **given)
    ndd.ident = ident
    return ndd, lost


def _raise_common(
    product: DataFile, moved: Mapping[str, list[Any]], count: int
) -> None:
    """Move cards that changed alike in all extensions to the primary header."""
    for keyword, values in moved.items():
        if len(values) != count or any(v != values[0] for v in values):
            continue
        if any(ndd.meta is product.meta for ndd in product):
            continue
        product.meta[keyword] = values[0]
        for ndd in product:
            ndd.meta.remove(keyword, ignore_missing=True, remove_all=True)


def repair_headers(
    product: DataFile,
    base: DataFile | None,
    drop: Mapping[str, None],
    given: Sequence[DataFile],
) -> DataFile:
    """Repair the headers of a file that a task wrote whole."""
    above = [df.meta for df in given]
    for index, ndd in enumerate(product):
        like = None
        if base is not None and ndd.ident in base.idents:
            like = base[base.idents.index(ndd.ident)]
        mended = ndd
        if drop and (ndd.has("uncertainty") or ndd.has("flags")):
            mended = ndd.replace(**drop)
        if mended.has("flags"):
            mended = _mended_flags(mended, like, str(product))
        if ndd.meta is not product.meta:
            own = _own_header(base) if like is None else like.meta
            cleaned = without_inherited(ndd.meta, product.meta, own, above)
            if cleaned is not None:
                mended = mended.replace(meta=cleaned)
        if mended is not ndd:
            product[index] = mended
    return product


def _own_header(base: DataFile | None) -> Header:
    """Merge the cards of all extensions, for a product made of several."""
    own = Header()
    if base is not None:
        for ndd in base:
            if ndd.meta is not base.meta:
                own.extend(ndd.meta.cards, unique=True)
    return own


def _mended_flags(ndd: NDLater, like: NDLater | None, name: str) -> NDLater:
    wanted = np.dtype(np.uint16)
    if like is not None and like.has("flags"):
        wanted = dtype_of_flags(like)
    flags = np.asarray(ndd.copy().flags)
    fitted = fit_flags(flags, wanted, f"{name}[{ndd.ident}]")
    return ndd if fitted is flags else ndd.replace(flags=fitted)
