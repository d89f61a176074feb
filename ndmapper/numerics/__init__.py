"""
Arithmetic of CCD frames: arrays in, arrays out, nothing else of ndmapper.

arith, formulas, fused
    Operations on values, variances and flags: in blocks, their rules, compiled loops.
combine, clipping, combined_variance
    Combining aligned frames, clipping outliers, and the variance of what is left.
noise, statistics
    The noise of pixels, gain and read noise from pairs; robust statistics.
overscan, flat, slit, cosmicray
    The level of an overscan; normalising flats; edges of a slit; cosmic rays.
background, detection, sources, moments, aperture, psf
    Smooth backgrounds; what stands out of the noise; sources, their shapes, fluxes.
robust
    Linear fits with outliers.
sections, overlaps
    Sections written as text; arrays that share memory.
"""
