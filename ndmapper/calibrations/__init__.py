"""
Which frames calibrate which: the document, the matching, the association.

document, schema, merge, edits, entries
    The JSON document of associations, kept in the order and words of its user.
survey, scan, frames, header_cache
    Frames in folders, their descriptors and types, remembered until they change.
matching, matches, pool, regions, mismatch
    Which frames can calibrate which, by the rules of an instrument, and why not.
associate, labels, names, places, folders
    From the document to files, and processed calibrations by name.
processed, copies, bad_products
    What is no raw frame, what is the same frame twice, and what bad frames went into.
provenance, tree, walk, listing
    Where an association comes from, and how all of it is shown.
"""

from ndmapper.calibrations.associate import associate_cals
from ndmapper.calibrations.document import init_cal_dict, save_cal_dict
from ndmapper.calibrations.edits import lock_cals, mark_bad, unmark_bad
from ndmapper.calibrations.entries import (
    add_cal_entry,
    cal_entries,
    clean_cal_entries_if_unused,
)
from ndmapper.calibrations.survey import survey

__all__ = [
    "add_cal_entry",
    "associate_cals",
    "cal_entries",
    "clean_cal_entries_if_unused",
    "init_cal_dict",
    "lock_cals",
    "mark_bad",
    "save_cal_dict",
    "survey",
    "unmark_bad",
]
