"""Which frames calibrate which: the document, the matching, the association."""

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
