"""
Saving: from what is in memory to a file that is complete, or as it was.

plan
    Which HDUs a file gets, in their order.
hdus
    Form, name and unit of one HDU.
computed
    Arrays that are computed while they are written.
unsaved
    The record of a product that is only in memory.
save
    Write, publish under the final name, and connect what is in memory to the new file.
"""
