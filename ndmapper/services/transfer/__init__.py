"""
HTTP requests and downloads, for all archives.

http, response, redirects, backoff
    Requests and responses, allowed redirects, credentials, retries.
fetching, transfer, partial, unpack, checksum
    Downloads: resumed, decompressed, verified, renamed into place.
manifest, replay, progressbar
    Notes of downloaded files, recorded responses, progress.
"""
