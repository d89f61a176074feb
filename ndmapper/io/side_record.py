"""Records that lie beside their products, as JSON files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.documents import load_json
from ndmapper.errors import RecordError
from ndmapper.io.record_text import canonical, check_entries
from ndmapper.io.sidedata import make_side_folder, read_side_data
from ndmapper.io.temporary import staging_name

__all__ = [
    "cleaned_path",
    "pending_path",
    "read_cleaned",
    "read_side",
    "side_path",
    "write_side",
]


def side_path(product: Path) -> Path:
    """
    Name the side record of a product.

    Parameters
    ----------
    product : Path
        The product.

    Returns
    -------
    Path
        A JSON file in ``.ndmapper/records/`` beside the product.
    """
    return product.parent / ".ndmapper" / "records" / f"{product.name}.json"


def pending_path(product: Path) -> Path:
    """
    Name the side record of a product that is about to be published.

    Parameters
    ----------
    product : Path
        The product.

    Returns
    -------
    Path
        Its place until product and side record both are there.
    """
    side = side_path(product)
    return side.with_name(f"{side.name}.pending")


def read_side(product: Path) -> list[dict[str, Any]]:
    """
    Read the side record of a product.

    Parameters
    ----------
    product : Path
        The product.

    Returns
    -------
    list of dict
        The entries, oldest first; empty where there is no side record.

    Raises
    ------
    RecordError
        If the side record is damaged.
    """
    return _read(side_path(product))


def write_side(product: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Write the side record of a product.

    Parameters
    ----------
    product : Path
        The product.
    rows : sequence of mapping
        The entries; where there are none, a side record that is there is removed.
    """
    path = side_path(product)
    if not rows:
        path.unlink(missing_ok=True)
        return
    make_side_folder(path)
    temp = staging_name(path)
    try:
        lines = ",\n".join(canonical(row) for row in rows)
        temp.write_text(f"[{lines}]\n", encoding="utf-8")
        temp.replace(path)
    finally:
        temp.unlink(missing_ok=True)


def cleaned_path(product: Path) -> Path:
    """
    Name what is left of a product that was removed as it can be made again.

    Parameters
    ----------
    product : Path
        The product.

    Returns
    -------
    Path
        A JSON file in ``.ndmapper/cleaned/`` beside the place of the product.
    """
    return product.parent / ".ndmapper" / "cleaned" / f"{product.name}.json"


def read_cleaned(product: Path) -> list[dict[str, Any]]:
    """
    Read the record that was left of a product.

    Parameters
    ----------
    product : Path
        The product, which is not there.

    Returns
    -------
    list of dict
        The entries, oldest first; empty if it was not removed by ``ndmapper clean``.

    Raises
    ------
    RecordError
        If the record is damaged.
    """
    return _read(cleaned_path(product))


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = load_json(read_side_data(path), finite=True)
        schema = max([0, *(row["schema"] for row in rows)])
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError, TypeError, KeyError) as err:
        msg = (
            f"the side record {path} cannot be read ({err}); delete it if it is damaged"
        )
        raise RecordError(msg) from err
    try:
        return check_entries(rows, schema)
    except RecordError as err:
        msg = f"the side record {path}: {err}"
        raise RecordError(msg) from err
