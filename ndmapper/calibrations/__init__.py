"""
Which frames calibrate which: the document, matching and association.

document, schema, json_text, merge
    The calibration document: reading, validating, merging and saving JSON.
entries, edits, doubts, labels, listing, tree
    Its entries: added, edited by the user, checked, labelled, listed, drawn.
provenance, lookup_result, dependencies
    Results of look-ups, where an association comes from, recursive look-ups.
frames, scan, header_cache, survey, draft
    Frames of a folder: classified, cached, listed, corrected by the user.
processed, copies, sets
    Processed frames among raw ones, duplicate exposures, and calibrations in several
    files.
matching, mismatch, frame_index
    Frames that match by the rules of an instrument, and why others do not.
associate, given, further
    Calibrations of files: those that a script gives, and the trace of a flat.
products, patterns, names, folders
    From labels, which may hold a key, to files on disk.
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
