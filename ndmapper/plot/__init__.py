"""Pictures of arrays and NDData; matplotlib is imported when one is drawn."""

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
