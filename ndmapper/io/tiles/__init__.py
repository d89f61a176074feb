"""
Images compressed in tiles (FITS standard 4.0, section 10).

read
    Handles of such images, of which only the tiles that are needed are decoded.
codecs
    Decode one tile.
write
    Compress an image, or copy what is compressed.
"""
