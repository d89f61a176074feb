"""File formats: mapping, reading sections, writing, digests and records."""
