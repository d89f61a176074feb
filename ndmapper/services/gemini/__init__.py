"""
The archive of the Gemini Observatory.

service
    What ndmapper asks of an archive, answered by Gemini's.
find, replies
    Searches and associations, and how their replies are read.
tar
    Files that come together in a tar file.
"""
