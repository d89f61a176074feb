"""Pictures of arrays and NDData; matplotlib is imported when one is drawn."""

from ndmapper.plot.images import before_after, save_images

__all__ = ["before_after", "save_images"]
