"""Steps: for any CCD, and for instruments."""
