"""Coordinates of spectra that header cards cannot hold, saved as tables of files."""

from collections.abc import Sequence

import numpy as np
from astropy.table import Table

from ndmapper.data.ndlater import NDLater
from ndmapper.data.spectral_axis import (
    TABLE_COLUMN,
    TABLE_NAME,
    spectral_table,
    table_cards,
)
from ndmapper.data.tables import TableStore
from ndmapper.data.wcs import put_wcs
from ndmapper.io.wcstables import references

__all__ = ["save_as_table"]


def save_as_table(ndd: NDLater, images: Sequence[NDLater], tables: TableStore) -> bool:
    """
    Add coordinates that are only in memory to the tables of a file of `images`.

    Whether it was possible: for one axis of pixels and one of the world.
    """
    held = ndd.content.coordinates
    if held is None or not held.in_memory:
        return False
    if (found := spectral_table(held.wcs, ndd.shape)) is None:
        return False
    values, word, unit = found
    others = {one.name for x in images if x is not ndd for one in references(x.meta)}
    own = [one.name for one in references(ndd.meta) if one.name not in others]
    name = next((n for n in own if n in tables), None) or _free(tables)
    tables[name] = Table({TABLE_COLUMN: values[np.newaxis]})
    put_wcs(ndd.meta, table_cards(word, unit, name))
    return True


def _free(tables: TableStore) -> str:
    name, number = TABLE_NAME, 1
    while name in tables:
        number += 1
        name = f"{TABLE_NAME}_{number}"
    return name
