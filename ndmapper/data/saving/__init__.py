"""
Saving: from a content in memory to a file that is complete, or as it was.

plan, arrangement
    Which HDUs a file gets, in their order; which of them go where one was.
hdus, names
    The form, header and unit of one HDU; its EXTNAME and EXTVER.
computed
    Arrays that are computed while they are written.
unsaved
    The record of a product that is only in memory.
save
    Write, publish under the final name, and connect what is in memory to the new file.
"""
