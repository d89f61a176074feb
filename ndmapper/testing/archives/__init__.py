"""
Archives on a local server, which respond as the real ones and fail on purpose.

server
    The HTTP server.
eso, gemini
    The interfaces of the archives.
scenarios, content
    Failures, and small files in the compressions that archives use.
"""

from ndmapper.testing.archives.server import LoopbackArchives

__all__ = ["LoopbackArchives"]
