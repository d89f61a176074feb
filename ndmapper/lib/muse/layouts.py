"""Where products of a reduction of MUSE go: folders by step, as templates of paths."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from ndmapper.errors import ParameterError, did_you_mean

__all__ = ["FIELDS", "KINDS", "LAYOUTS", "check_layout", "expand", "plain_name"]

KINDS = (
    "bias", "dark", "flat", "wavecal", "lsf", "twilight", "standard", "sky", "scibasic",
    "scibasic_standard", "scibasic_sky", "scipost", "align", "combine",
)  # fmt: skip
"""What has a folder of its own: products of steps, and pixel tables by their class."""

FIELDS = ("ob", "exposure", "pointing")
"""What stands in braces in a template: names of the block, exposure and pointing."""

_OF_ONE = ("scibasic", "scipost")
"""Steps that work on one exposure of the object, so that its name can be in a path."""

_SCIENCE = "{ob}/calibrations/SCIENCE"

LAYOUTS: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "ndmapper": MappingProxyType(
        dict.fromkeys(("scipost", "align", "combine"), "{ob}")
    ),
    "musereduce": MappingProxyType({
        "bias": _SCIENCE, "flat": _SCIENCE, "wavecal": _SCIENCE, "lsf": _SCIENCE,
        "dark": "{ob}/calibrations/DARK", "twilight": "{ob}/calibrations/TWILIGHT",
        "standard": "{ob}/std", "scibasic_standard": "{ob}/std",
        "sky": "{ob}/sky", "scibasic_sky": "{ob}/sky",
        "scibasic": "{ob}/{exposure}", "scipost": "{ob}/{exposure}",
        "align": "{ob}/{pointing}", "combine": "{ob}/{pointing}",
    }),
    "pymusepipe": MappingProxyType({
        "bias": "Master/Bias", "dark": "Master/Dark", "flat": "Master/Flat",
        "wavecal": "Master/Wave", "lsf": "Master/Lsf", "twilight": "Master/Twilight",
        "standard": "Master/Std", "scibasic_standard": "Std", "scibasic_sky": "Sky",
        "sky": "Sky", "scibasic": "Object", "scipost": "Object",
        "align": "../Alignment/{ob}", "combine": "Cubes",
    }),
})  # fmt: skip
"""Folders within that of all products, by kind; a kind that is not named has none."""


def check_layout(layout: str | Mapping[str, str]) -> Mapping[str, str]:
    """
    Give the folders of a layout.

    Parameters
    ----------
    layout : str or mapping
        One of `LAYOUTS`, or templates by kind, which replace those of ``'ndmapper'``.

    Returns
    -------
    mapping of str to str
        Templates by kind.

    Raises
    ------
    ParameterError
        If the layout, a kind, or a word in braces is not known.
    """
    if isinstance(layout, str):
        if layout not in LAYOUTS:
            msg = (
                f"there is no layout {layout!r}{did_you_mean(layout, LAYOUTS)}; there "
                f"are: {', '.join(LAYOUTS)}"
            )
            raise ParameterError(msg)
        return LAYOUTS[layout]
    for kind, template in layout.items():
        if kind not in KINDS:
            msg = f"nothing of a reduction is {kind!r}{did_you_mean(kind, KINDS)}"
            raise ParameterError(msg + f"; folders are of: {', '.join(KINDS)}")
        allowed: tuple[str, ...] = FIELDS if kind in _OF_ONE else ("ob", "pointing")
        if kind not in (*_OF_ONE, "align", "combine"):
            allowed = ("ob",)
        for word in re.findall(r"\{([^{}]*)\}", template):
            if word not in allowed:
                msg = (
                    f"the folder {template!r} of {kind} has {{{word}}}; what it may "
                    f"have is: {', '.join(f'{{{name}}}' for name in allowed)}"
                )
                raise ParameterError(msg)
    return {**LAYOUTS["ndmapper"], **layout}


def expand(template: str, **names: str) -> str:
    """
    Fill a template.

    Parameters
    ----------
    template : str
        A path with words in braces.
    **names : str
        What they stand for, made plain by `plain_name`.

    Returns
    -------
    str
        The path.
    """
    for word, name in names.items():
        template = template.replace(f"{{{word}}}", plain_name(name))
    return template


def plain_name(name: str) -> str:
    """
    Make a name one that a file can have.

    Parameters
    ----------
    name : str
        A name, such as that of an observation block.

    Returns
    -------
    str
        The same with ``_`` for characters that a name of a file should not have.
    """
    plain = "".join(c if c.isalnum() or c in "-+." else "_" for c in name.strip("."))
    return plain or "_"
