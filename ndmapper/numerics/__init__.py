"""
Arithmetic of CCD frames: arrays in, arrays out, nothing else of ndmapper.

arith, formulas, fused
    Operations on values, variances and flags: in blocks, their rules, compiled loops.
combine, stack, stack_loops
    Combining aligned frames, a few rows at a time; the pixels of those by NumPy or by
    compiled loops.
clipping, pooled_noise, combined_variance, shared_noise
    Which values are rejected, by which noise, and the variance of what is left; noise
    that frames share.
noise, statistics
    The noise of pixels, gain and read noise from pairs; robust statistics.
overscan, flat, slit, lamp_response
    The level of an overscan; normalising flats; edges of a slit; responses.
cosmicray, spectrum_model
    Cosmic rays; what the light of a spectrum explains.
saturation, linearity, bad_pixels
    Trails of saturated stars; curves of non-linearity; bad pixels and columns of flats.
background, detection, sources, moments, aperture, psf
    Smooth backgrounds; what stands out of the noise; sources, their shapes, fluxes.
robust, correlated_noise
    Linear fits with outliers; variances of sums of pixels that share noise.
sharpness, neighbours, interpolate, line_interpolation
    Pixels sharper than a star; medians of what is around; pixels from those around, or
    on straight lines between two.
arc_lines, arc_match, identification
    Lines of an arc; which lines of a list they are; a solution that is sure.
dispersion, air
    The wavelength as a function of the pixel; wavelengths in air and in vacuum.
resample, matching
    Images on another grid, with covariance; the same stars in two lists.
sections, overlaps
    Sections written as text; arrays that share memory.
"""
