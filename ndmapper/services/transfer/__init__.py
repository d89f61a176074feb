"""
Moving bytes, from any archive.

http, redirects, backoff
    Requests: where they may lead, with which credentials, and when to try again.
fetching, transfer, partial, unpack, checksum
    Downloads: resumed, decompressed, compared, and renamed into place.
manifest, replay
    What was downloaded from where, and archives played back without a network.
"""
