"""
Tables in FITS files: between HDUs and astropy Tables.

convert
    Read an HDU as a Table, and encode a Table as an HDU.
update
    Write a table that was read: unchanged cells stay as they are stored.
fields
    The columns of a stored table: where each lies in a row, and its form.
heap
    Columns of varying length, behind the rows.
header
    The header of a table that is written anew.
"""
