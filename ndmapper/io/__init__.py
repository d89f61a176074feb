"""
FITS files as bytes: where HDUs lie, what they mean, and how they are written.

source, lzw, filemap
    The bytes of a file, decompressed, and its identity; where its HDUs lie.
cards, headers, quickheader, tile_header, units
    Headers byte for byte: cards, lazy parsing, search for a few values; units.
arrays, converted, tiles, tables
    Lazy arrays: plain, converted on reading, compressed in tiles; tables.
roles, labels, layout, wcstables
    Which HDU is the data of which group, its errors, its flags or its coordinates.
hdu, write, checksum, temporary, filetypes, spool
    HDUs to be written, their headers, atomic replacement of files; arrays set aside.
record, provenance, digest, sidedata
    How a product was made, and what identifies its content.
"""
