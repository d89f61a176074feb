"""
The archive of ESO.

service
    What ndmapper asks of an archive, answered by ESO's.
find, tap
    Searches, by queries in ADQL.
tree
    Calibrations, by the CalSelector's associations.
login
    Tokens for files that are not public yet.
"""
