"""
Steps: for any CCD, and for instruments.

ccd
    From raw frames to flat-fielded ones: bias, overscan, gain, noise, flats, crosstalk,
    non-linearity, saturation, and defects of the detector.
overscan_methods
    How the overscan is fitted, by name; the fits are in `ndmapper.numerics.overscan`.
combine, cosmetics, calibrator
    Combining frames, cosmic rays and bad pixels, and a whole chain in one object.
image
    Mosaics, alignment, stacking, background, sources and photometry of images.
alike, frame_factors
    Whether the frames of a stack were taken alike; their scales, offsets and weights.
calibration_history, shared_masters
    Which masters a frame was calibrated by; the noise that frames share by them.
detector_tiles
    Where extensions lie on a mosaic of them, and laying them there.
times
    The middle of an exposure, and where the telescope is, by headers.
flagging, figures
    Flags of the pixels of a step's result; quality numbers and figures.
spectrograph, spec
    How spectra lie on an image; steps for any long-slit spectrograph.
muse
    The calibration files of MUSE, and folders of them.
simulate
    Frames of cameras and instruments that do not exist, for tests and demos.
"""
