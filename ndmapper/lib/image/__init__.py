"""
Images of the sky.

grid
    The common grid of images, and where its pixels lie in each of them.
stacking
    Stacking images on a common grid, with variance, flags and covariance.
"""

from ndmapper.lib.image.stacking import noise_factor, stack_images

__all__ = ["noise_factor", "stack_images"]
