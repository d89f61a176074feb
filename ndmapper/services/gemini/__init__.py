"""
The Gemini Observatory Archive.

service
    The service: look-ups, downloads, searches.
find, replies
    Searches, and the parsers of the archive's replies.
tar
    Many files downloaded in one tar file.
"""
