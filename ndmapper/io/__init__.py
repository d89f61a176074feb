"""
FITS files as bytes: where everything lies, what it means, and how it is written.

source, filemap, formkeys
    The bytes of a file, opened or decompressed; where its HDUs lie, and their form.
cards, headers, quickheader, tile_header
    Headers byte for byte, parsed when somebody asks, or searched for a few values.
arrays, converted, tiles, tables
    Arrays that are read when they are needed, as stored or converted; tables.
roles, labels, layout, wcstables
    Which HDU is the data of which group, its errors, its flags or its coordinates.
hdu, structure, write, checksum, temporary, filetypes
    HDUs to be written, their headers, and files that are replaced atomically.
record, provenance, digest, sidedata
    How a product was made, and what identifies its content.
"""
