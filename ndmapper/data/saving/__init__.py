"""
Saving: from a content in memory to a file that is complete, or as it was.

plan, arrangement
    Which HDUs a file gets, in their order; which go where one was, under which name.
hdus
    The form, header and unit of one HDU.
computed
    Arrays that are computed while they are written.
save
    Write, publish under the final name, and connect what is in memory to the new file;
    the record of a product that is only in memory.
"""
