"""Arithmetic of CCD frames: arrays in, arrays out, nothing else of ndmapper."""
