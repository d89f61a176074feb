"""How files and their images are shown: pictures, and HTML for notebooks."""

import base64
import dataclasses
import html
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ndmapper.data.flagging import Flagging
from ndmapper.data.flags import Flag
from ndmapper.data.name_pattern import key_text, keys_text
from ndmapper.data.spectral_axis import spectral_type
from ndmapper.data.uncertainty import root_of
from ndmapper.errors import FormatError, OutputExistsError, ParameterError, ShapeError
from ndmapper.io.write import clear_write_errors
from ndmapper.plot.panels import Panel, draw_figure, draw_panel, missing, picture
from ndmapper.plot.thumbnail import thumbnail

__all__ = ["FileViews", "ListViews", "PixelViews", "Preview", "SetViews", "panel_of"]

_HEADS = ("ident", "shape", "type", "unit", "uncertainty", "flags")
_LINES = 50
"""A long list is shown up to here."""
_PANELS = 24
"""Largest number of members of a set that are drawn."""
_LINES_OF_ARC = "ARCLINES"
"""Table of identified lines, of an image of wavelengths."""
_OF_LINES = {"pixel", "fwhm", "peak", "used", "wavelength"}


class Preview:
    """
    A picture, as a PNG in memory; a notebook shows it.

    Parameters
    ----------
    png : bytes
        The PNG.
    """

    def __init__(self, png: bytes) -> None:
        self.png = png

    def _repr_png_(self) -> bytes:
        return self.png

    def __repr__(self) -> str:
        return f"<Preview: PNG of {len(self.png)} bytes; save('name.png') writes it>"

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
        """
        Write the picture.

        Parameters
        ----------
        path : str or path
            File to write.
        overwrite : bool
            Replace a file of this name.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        OutputExistsError
            If it exists already.
        ParameterError
            If its name is that of another kind of picture.
        FileAccessError, MissingFileError
            If it cannot be written.
        """
        target = Path(path)
        if target.suffix.lower() not in ("", ".png"):
            msg = f"{target} would be a PNG; give it a name that ends in .png"
            raise ParameterError(msg)
        if os.path.exists(target) and not overwrite:  # noqa: PTH110
            msg = f"{target} exists already; name another file, or pass overwrite=True"
            raise OutputExistsError(msg)
        with clear_write_errors(target):
            target.write_bytes(self.png)
        return target


class _File(Protocol):
    """What is shown of a DataFile."""

    @property
    def idents(self) -> list[Any]: ...
    @property
    def tables(self) -> Mapping[str, Any]: ...
    @property
    def extras(self) -> Mapping[str, Any]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, item: Any) -> Any: ...


class _Set(Protocol):
    """What is shown of a FileSet."""

    missing: dict[Any, str]

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __getitem__(self, key: Any) -> Any: ...


class _List(Protocol):
    """What is shown of a DataFileList."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Any]: ...


class PixelViews(Flagging):
    """How an NDLater is shown."""

    def __repr__(self) -> str:
        parts = [
            "x".join(map(str, self.shape)) or "scalar",
            str(self.dtype),
            *(name for name in ("uncertainty", "flags") if self.has(name)),
        ]
        ident = "" if self.ident is None else f" {self.ident}"
        return f"<NDLater{ident}: {', '.join(parts)}>"

    __str__ = __repr__

    def plot(self, ax: Any = None, *, flags: bool = True) -> Any:
        """
        Draw the image (or spectrum) with the levels of zscale.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure of pyplot by default.
        flags : bool
            Mark the flags of `bad_flags`, a colour for each kind.

        Returns
        -------
        matplotlib.axes.Axes
            Where it was drawn. Of more than two axes the middle plane is drawn.

        Raises
        ------
        MissingPackageError
            If matplotlib is not installed.
        """
        panel = panel_of(self, flags=flags)
        if ax is None:
            ax = _pyplot().figure().add_subplot()
        draw_panel(ax, panel)
        return ax

    def _repr_html_(self) -> str:
        return _table([_row(self)]) + _thumbnails([self])


class FileViews:
    """How a DataFile is shown."""

    def info(self: _File) -> str:
        """
        Describe the groups, tables and extras, from headers alone.

        Returns
        -------
        str
            A line for the file, and one for each part of it.
        """
        return _in_columns(repr(self), [_HEADS, *_info_rows(self)])

    def plot(
        self: _File, *idents: int | str, figure: Any = None, flags: bool = True
    ) -> Any:
        """
        Draw the images side by side, with the levels of zscale.

        Parameters
        ----------
        *idents : int or str
            Idents of those to draw; all by default.
        figure : matplotlib.figure.Figure, optional
            Where to draw; a new figure of pyplot by default.
        flags : bool
            Mark the flags of `bad_flags`, a colour for each kind.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        ShapeError
            If there is nothing to draw.
        MissingPackageError
            If matplotlib is not installed.
        """
        panels = _panels(self, idents, flags=flags)
        if figure is None:
            figure = _pyplot().figure()
        return draw_figure(panels, figure, str(self))

    def preview(
        self: _File, *idents: int | str, flags: bool = True, size: int = 256
    ) -> Preview:
        """
        Draw the images small and quickly: of large ones every so many pixels.

        Parameters
        ----------
        *idents : int or str
            Idents of those to draw; all by default.
        flags : bool
            Mark the flags of `bad_flags`, a colour for each kind.
        size : int
            Of each image no more than about so many pixels are taken along an axis;
            no others are read from a plain file.

        Returns
        -------
        Preview
            The picture: a notebook shows it, and ``save('name.png')`` writes it.

        Raises
        ------
        ShapeError
            If there is nothing to draw.
        ParameterError
            If the size is no number of pixels.
        MissingPackageError
            If matplotlib is not installed.
        """
        _check_size(size)
        panels = _panels(self, idents, flags=flags, size=size)
        return Preview(picture(panels, str(self)))

    def _repr_html_(self: _File) -> str:
        rows = [_row(ndd) for ndd in self]
        rows += [(name, "", "table", "", "", "") for name in self.tables]
        rows += [(name, *_row(ndd)[1:]) for name, ndd in self.extras.items()]
        title = f"<p><b>{html.escape(repr(self))}</b></p>"
        return title + _table(rows) + _thumbnails([*self, *self.extras.values()])


class SetViews:
    """How a FileSet is shown."""

    def info(self: _Set) -> str:
        """
        Describe the members, from headers alone.

        Returns
        -------
        str
            A line for the set, and one for each part of each member.
        """
        rows: list[tuple[str, ...]] = [("key", "file", *_HEADS)]
        for key in self:
            member = self[key]
            names = (key_text(key), str(member) or "-")
            parts: list[tuple[str, ...]] = _info_rows(member) or [("",) * len(_HEADS)]
            rows += [
                (*(names if n == 0 else ("", "")), *p) for n, p in enumerate(parts)
            ]
        text = _in_columns(repr(self), rows)
        lost = (f"  {key_text(k)}  missing: {why}" for k, why in self.missing.items())
        return "\n".join([text, *lost])

    def plot(self: _Set, *keys: Any, figure: Any = None, flags: bool = True) -> Any:
        """
        Draw the first image of each member side by side, with the levels of zscale.

        Parameters
        ----------
        *keys : int, str or tuple
            Keys of those to draw; the first 24 by default.
        figure : matplotlib.figure.Figure, optional
            Where to draw; a new figure of pyplot by default.
        flags : bool
            Mark the flags of `bad_flags`, a colour for each kind.

        Returns
        -------
        matplotlib.figure.Figure
            The figure.

        Raises
        ------
        ShapeError
            If there is nothing to draw.
        MissingPackageError
            If matplotlib is not installed.
        """
        panels, title = _member_panels(self, keys, flags=flags)
        if figure is None:
            figure = _pyplot().figure()
        return draw_figure(panels, figure, title)

    def preview(self: _Set, *keys: Any, flags: bool = True, size: int = 128) -> Preview:
        """
        Draw the first image of each member small and quickly.

        Parameters
        ----------
        *keys : int, str or tuple
            Keys of those to draw; the first 24 by default.
        flags : bool
            Mark the flags of `bad_flags`, a colour for each kind.
        size : int
            Of each image no more than about so many pixels are taken along an axis;
            no others are read from a plain file.

        Returns
        -------
        Preview
            The picture: a notebook shows it, and ``save('name.png')`` writes it.

        Raises
        ------
        ShapeError
            If there is nothing to draw.
        ParameterError
            If the size is no number of pixels.
        MissingPackageError
            If matplotlib is not installed.
        """
        _check_size(size)
        panels, title = _member_panels(self, keys, flags=flags, size=size)
        return Preview(picture(panels, title))

    def _repr_html_(self: _Set) -> str:
        rows = [
            (key_text(key), str(self[key]) or "(unnamed)", *_described(self[key]))
            for key, _ in zip(self, range(_LINES), strict=False)
        ]
        if len(self) > _LINES:
            rows.append(("...", f"and {len(self) - _LINES} more", "", ""))
        rows += [(key_text(k), why, "", "") for k, why in self.missing.items()]
        title = f"<p><b>{html.escape(repr(self))}</b></p>"
        return title + _table(rows, ("key", "file", "extensions", "idents"))


class ListViews:
    """How a DataFileList is shown."""

    def _repr_html_(self: _List) -> str:
        heads = ("", "file", "extensions", "idents")
        rows = [
            (str(n), str(df) or "(unnamed)", *_described(df))
            for n, df in zip(range(_LINES), self, strict=False)
        ]
        if len(self) > _LINES:
            rows.append(("...", f"and {len(self) - _LINES} more", "", ""))
        title = f"<p><b>DataFileList of {len(self)} files</b></p>"
        return title + _table(rows, heads)


def _info_rows(df: _File) -> list[tuple[str, ...]]:
    """Describe each part of a file in the columns of `_HEADS`."""
    try:
        rows = [(str(ndd.ident), *_row(ndd)[1:]) for ndd in df]
    except FormatError:
        return [("", "", "no FITS", "", "", "")]
    rows += [(name, "", "table", "", "", "") for name in df.tables]
    for name, extra in df.extras.items():
        shape = " x ".join(map(str, extra.shape))
        rows.append((name, shape, str(extra.dtype), "", "", ""))
    return rows


def _in_columns(title: str, rows: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    ]
    return "\n".join([title, *(f"  {line}".rstrip() for line in lines)])


def _described(item: Any) -> tuple[str, str]:
    """Say how many images a file has and their idents; of a set, its members."""
    if isinstance(item, Mapping):
        return f"set of {len(item)}", keys_text(item)
    return str(len(item)), _shortened(item.idents)


def _check_size(size: Any) -> None:
    if not isinstance(size, int | np.integer) or size < 1:
        msg = f"size is a number of pixels, at least 1, not {size!r}"
        raise ParameterError(msg)


def _member_panels(
    files: _Set, keys: Sequence[Any], *, flags: bool, size: int | None = None
) -> tuple[list[Panel], str]:
    """Choose what is drawn of a set: the first image of each member that has one."""
    chosen = list(keys or files)
    shown = chosen if keys else chosen[:_PANELS]
    panels = []
    for key in shown:
        member = files[key]
        if len(member):
            panel = panel_of(member[0], flags=flags, size=size)
            title = f"{key_text(key)} {panel.title}".strip()
            panels.append(dataclasses.replace(panel, title=title))
    if not panels:
        msg = f"{files!r} has no images to draw"
        raise ShapeError(msg)
    more = f" ({len(shown)} of {len(chosen)})" if len(shown) < len(chosen) else ""
    return panels, f"{files}{more}"


def _panels(
    df: _File, idents: Sequence[int | str], *, flags: bool, size: int | None = None
) -> list[Panel]:
    if not len(df):
        msg = f"{df!r} has no images to draw"
        raise ShapeError(msg)
    chosen = list(df)
    if idents:
        known = df.idents
        # Idents, also where they are numbers; df[str] says what is wrong.
        chosen = [df[known.index(i)] if i in known else df[str(i)] for i in idents]
    panels = []
    for ndd in chosen:
        panels.append(panel_of(ndd, flags=flags, size=size))
        table = ndd.tables.get(_LINES_OF_ARC)
        if table is not None and len(table) and set(table.colnames) >= _OF_LINES:
            panels.append(_arc_panel(table, ndd.ident))
    return panels


def _arc_panel(table: Any, ident: Any) -> Panel:
    """Choose what is drawn of the lines of an arc: each as a Gaussian of its width."""
    pixel, fwhm, peak = (
        np.asarray(table[name], np.float64) for name in ("pixel", "fwhm", "peak")
    )
    used = np.asarray(table["used"], np.bool_)
    x = np.arange(max(np.ceil(np.max(pixel + 5 * fwhm)), 2.0))
    offset = (x - pixel[:, None]) / fwhm[:, None]
    drawn = np.sum(peak[:, None] * np.exp(-4 * np.log(2) * offset**2), axis=0)
    at = np.clip(np.rint(pixel), 0, x.size - 1).astype(np.int_)
    other = np.zeros(x.size, np.bool_)
    other[at[~used]] = True
    wavelength = np.asarray(table["wavelength"], np.float64)
    return Panel(
        values=np.sqrt(np.maximum(drawn, 0)),
        title=f"{'' if ident is None else f'[{ident}] '}lines, by their table",
        unit="square root of counts",
        x_label="column, wavelengths rise",
        marks={"not used": other} if other.any() else {},
        labels={
            int(n): f"{w:.1f}" for n, w in zip(at[used], wavelength[used], strict=True)
        },
    )


def panel_of(ndd: Any, *, flags: bool = True, size: int | None = None) -> Panel:
    """Choose what is drawn of an NDLater: of a cube the middle plane."""
    title = "" if ndd.ident is None else f"[{ndd.ident}]"
    unit = "" if ndd.unit is None else str(ndd.unit)
    plane = tuple(n // 2 for n in ndd.shape[:-2])
    if plane and 0 not in ndd.shape:
        title += f" plane {', '.join(map(str, plane))}"
        ndd = ndd[plane]
    step = 1
    # A spectrum is drawn whole: every so many pixels would miss its lines.
    if size is not None and len(ndd.shape) > 1:
        step = max(1, -(-max(ndd.shape) // size))
        if step > 1:
            ndd = ndd[tuple(slice(None, None, step) for _ in ndd.shape)]
    if ndd.size == 0 or len(ndd.shape) > 2:
        return Panel(values=np.empty((0, 0)), title=title, unit=unit)
    error = None
    if ndd.ndim == 1 and ndd.has("uncertainty"):
        error = root_of(ndd.variance)
    return Panel(
        values=ndd.data,
        title=f"{title} [{unit}]" if unit and ndd.ndim == 2 else title,
        unit=unit,
        error=error,
        marks=_marks(ndd) if flags and ndd.has("flags") else {},
        step=step,
        **_axis_of(ndd),
    )


def _axis_of(ndd: Any) -> dict[str, Any]:
    """Give the coordinates of a spectrum, and what they are."""
    if ndd.ndim != 1 or (wcs := ndd.wcs) is None:
        return {}
    low = wcs.low_level_wcs
    if low.pixel_n_dim != 1 or low.world_n_dim != 1:
        return {}
    values = np.asarray(low.pixel_to_world_values(np.arange(ndd.size)), np.float64)
    kind = str(low.world_axis_physical_types[0] or "")
    word, unit = spectral_type(wcs)
    if unit == "m" and kind.startswith("em.wl"):
        values, unit = values * 1e10, "Angstrom"
    name = {"AWAV": "wavelength in air", "WAVE": "wavelength"}.get(word, word.lower())
    return {"x": values, "x_label": f"{name} [{unit}]" if unit else name}


def _marks(ndd: Any) -> dict[str, Any]:
    """Sort the pixels that are masked by ndmapper's own flags, worst first."""
    left = ndd.mask.copy()
    found = {}
    for flag in Flag:
        own = sum(b.value for b in ndd.flag_table.bits if b.own == flag.name)
        where = ndd.flagged(own & ndd.bad_flags) & left
        found[str(flag.name).lower().replace("_", " ")] = where
        left &= ~where
    found["other"] = left
    return found


def _row(ndd: Any) -> tuple[str, ...]:
    parts = [
        str(ndd.content.arrays[p].dtype) if ndd.has(p) else "-"
        for p in ("uncertainty", "flags")
    ]
    ident = "" if ndd.ident is None else str(ndd.ident)
    unit = "-" if ndd.unit is None else str(ndd.unit)
    return (ident, " x ".join(map(str, ndd.shape)), str(ndd.dtype), unit, *parts)


def _table(rows: Iterable[Sequence[str]], heads: Sequence[str] = _HEADS) -> str:
    # All of it may come from a header, and none of it is HTML.
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _thumbnails(ndds: Iterable[Any]) -> str:
    """Draw the images that are in memory; the others stay unread."""
    made = []
    for ndd in ndds:
        part, flags = ndd.content.arrays["data"], ndd.content.arrays.get("flags")
        if not part.is_loaded or len(part.shape) != 2 or 0 in part.shape:
            continue
        is_known = flags is not None and flags.is_loaded and ndd.content.knows_bad_flags
        png = thumbnail(part.read_only(), ndd.mask if is_known else None)
        text = base64.b64encode(png).decode()
        title = html.escape("" if ndd.ident is None else str(ndd.ident), quote=True)
        made.append(f'<img src="data:image/png;base64,{text}" title="{title}">')
    return f"<div>{' '.join(made)}</div>" if made else ""


def _shortened(idents: Sequence[Any]) -> str:
    texts = [str(i) for i in idents]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:6], "...", texts[-1]])


def _pyplot() -> Any:
    try:
        from matplotlib import pyplot as plt
    except ImportError as err:
        raise missing(err) from err
    return plt
