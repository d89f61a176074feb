"""What the user has decided of products: files of JSON beside them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ndmapper.documents import load_json
from ndmapper.errors import RecordError
from ndmapper.steps.record.differences import Difference

__all__ = ["decided_otherwise", "decisions_path", "read_decisions"]


def decisions_path(product: Path) -> Path:
    """
    Name the file that holds what was decided of a product.

    Parameters
    ----------
    product : Path
        The product.

    Returns
    -------
    Path
        A JSON file in ``.ndmapper/decisions/`` beside the product.
    """
    return product.parent / ".ndmapper" / "decisions" / f"{product.name}.json"


def read_decisions(path: Path) -> dict[str, Any]:
    """
    Read what was decided.

    Parameters
    ----------
    path : Path
        The file; it may be missing.

    Returns
    -------
    dict
        Decision to what was decided.

    Raises
    ------
    RecordError
        If the file is damaged.
    """
    try:
        return dict(load_json(path.read_bytes(), finite=True))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as err:
        msg = (
            f"the decisions in {path} cannot be read ({err}); mend the file, or delete "
            "it to go by the defaults"
        )
        raise RecordError(msg) from err


def decided_otherwise(product: Path, row: Mapping[str, Any]) -> list[Difference]:
    """
    Say what the user has decided otherwise since a product was made.

    Parameters
    ----------
    product : Path
        The product.
    row : mapping
        The last entry of its record.

    Returns
    -------
    list of Difference
        One for each decision that was changed in its file.
    """
    made = row.get("decisions")
    if not made:
        return []
    known = read_decisions(decisions_path(product))
    return [
        Difference(
            text := f"the decision {name} was {old!r}, now {known[name]!r}",
            f"{row['step']}: {text}",
        )
        for name, old in made.items()
        if name in known and known[name] != old
    ]
