"""
The ESO archive.

service
    The service: look-ups, downloads, searches.
find, tap
    Searches by ADQL queries.
tree
    Association trees of the CalSelector.
login
    Tokens for proprietary files.
"""
