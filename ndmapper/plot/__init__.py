"""
Pictures of arrays and NDData; matplotlib is imported when one is drawn.

panels, images, thumbnail
    Figures of several panels, images of files, and small pictures.
samp
    Sending an image to a display such as DS9.
"""

from ndmapper.plot.images import before_after, save_images
from ndmapper.plot.panels import Panel, draw_figure, draw_panel, picture
from ndmapper.plot.thumbnail import thumbnail

__all__ = [
    "Panel",
    "before_after",
    "draw_figure",
    "draw_panel",
    "picture",
    "save_images",
    "thumbnail",
]
