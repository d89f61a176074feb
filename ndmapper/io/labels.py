"""The names of extensions: what a user may say, and the presets."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from ndmapper.errors import ConfigError, FormatError, did_you_mean
from ndmapper.instruments import load, names
from ndmapper.io.roles import UncertaintyKind

__all__ = [
    "CCDDATA_LABELS",
    "DEFAULT_LABELS",
    "PRIMARY",
    "SEPARATORS",
    "STD_LABELS",
    "USUAL_NAMES",
    "Ident",
    "Labels",
    "make_labels",
]

PRIMARY = "PRIMARY"
"""The name that labels give the image in the primary HDU."""

SEPARATORS = "._- "
"""What may stand between the name of a group and that of a part, by maker."""

Ident = int | str
"""What names a group in a file: EXTVER, or a name."""


@dataclass(frozen=True)
class Labels:
    """
    The names of extensions.

    Parameters
    ----------
    data, uncertainty, flags : str
        EXTNAME of each, in upper case; data may be PRIMARY, for the image in the
        primary HDU.
    uncertainty_is : {'variance', 'std', 'ivar'}
        What the uncertainty extension holds; 'ivar' is the inverse of the variance.
    separator : str
        What stands between the name of a group and these in EXTNAME.
    """

    data: str = "SCI"
    uncertainty: str = "VAR"
    flags: str = "DQ"
    uncertainty_is: UncertaintyKind = "variance"
    separator: str = "."

    @cached_property
    def names(self) -> dict[str, str]:
        """Name by part, of extensions: data that leave the primary HDU are SCI."""
        return {
            "data": "SCI" if self.in_primary else self.data,
            "uncertainty": self.uncertainty,
            "flags": self.flags,
        }

    @property
    def in_primary(self) -> bool:
        """Whether the data are in the primary HDU, also beside other extensions."""
        return self.data == PRIMARY

    @property
    def are_ccddata(self) -> bool:
        """Whether uncertainty and mask are what astropy's CCDData writes."""
        return (self.uncertainty, self.flags) == ("UNCERT", "MASK")

    def split(self, name: str) -> tuple[str, str] | None:
        """
        Find which part of which group an extension is.

        Parameters
        ----------
        name : str
            Its EXTNAME, in any case.

        Returns
        -------
        tuple of str or None
            What stands before the dot, or another separator (empty where the group
            has no name of its own), and the part: ``("CHAN07", "data")`` for
            ``"CHAN07.DATA"``. None for an extension of another name.
        """
        upper = name.upper()
        if (part := self._parts.get(upper)) is not None:
            return "", part
        if not upper.endswith(self._ends):
            return None
        for part, label in self.names.items():
            end = len(name) - len(label)
            if end > 0 and upper.endswith(label) and name[end - 1] in SEPARATORS:
                return name[: end - 1], part
        return None

    @cached_property
    def _parts(self) -> dict[str, str]:
        """Part by name; of parts of one name the first counts."""
        return {label: part for part, label in reversed(self.names.items())}

    @cached_property
    def _ends(self) -> tuple[str, ...]:
        return tuple(self.names.values())

    def join(self, ident: Ident | None, part: str) -> tuple[str, int | None]:
        """
        Name an extension.

        Parameters
        ----------
        ident : int or str
            Name of its group.
        part : str
            Which part of the group it is.

        Returns
        -------
        name : str
            EXTNAME.
        version : int or None
            EXTVER; None for a group that has a name, which is part of EXTNAME then.

        Raises
        ------
        FormatError
            If nothing can be named so.
        """
        label = self.names[part]
        if isinstance(ident, str) and ident.strip():
            return f"{ident}{self.separator}{label}", None
        if isinstance(ident, int | np.integer) and not isinstance(ident, bool):
            return label, int(ident)
        msg = (
            f"the ident {ident!r} cannot be saved: it must be an integer, which "
            "becomes EXTVER, or a name; set it, or call renumber()"
        )
        raise FormatError(msg)


USUAL_NAMES: dict[UncertaintyKind, str] = {
    "variance": "VAR",
    "std": "ERR",
    "ivar": "IVAR",
}
"""What a new uncertainty is called where a file has no name for it."""

DEFAULT_LABELS = Labels()
"""What a new file gets where nobody says anything."""

STD_LABELS = Labels(uncertainty="ERR", uncertainty_is="std")
"""Those of HST and JWST."""

CCDDATA_LABELS = Labels(uncertainty="UNCERT", flags="MASK", uncertainty_is="std")
"""Those of astropy's CCDData; which kind the uncertainty is, its header tells."""

_PRESETS = {
    "default": DEFAULT_LABELS,
    "sci": DEFAULT_LABELS,
    "gemini": DEFAULT_LABELS,
    "dragons": DEFAULT_LABELS,
    "hst": STD_LABELS,
    "jwst": STD_LABELS,
    "ccddata": CCDDATA_LABELS,
}
"""Of observatories and of astropy; the others are in the TOML of an instrument."""


def make_labels(labels: Any) -> Labels:
    """
    Make labels of what a user may give.

    Parameters
    ----------
    labels : str or mapping or Labels or None
        Name of a preset, which is that of an observatory or an instrument; or the
        path of an instrument's TOML; or a mapping with the keys data (which may be
        PRIMARY), uncertainty, flags and uncertainty_is; or None for the default.

    Returns
    -------
    Labels
        The labels.

    Raises
    ------
    ConfigError
        If there is no such preset, or the labels are malformed.
    """
    if labels is None:
        return DEFAULT_LABELS
    if isinstance(labels, Labels):
        return labels
    if isinstance(labels, str):
        return _preset(labels)
    if not isinstance(labels, Mapping):
        msg = f"labels are the name of a preset, or a mapping, not {labels!r}"
        raise ConfigError(msg)
    known = {"data", "uncertainty", "flags", "uncertainty_is"}
    for key in labels:
        if key not in known:
            msg = f"labels have no part {key!r}{did_you_mean(key, known)}"
            raise ConfigError(msg)
        if labels[key] is not None and not isinstance(labels[key], str):
            msg = f"labels[{key!r}] must be a text, not {labels[key]!r}"
            raise ConfigError(msg)
    values = {
        key: str(value) if key == "uncertainty_is" else str(value).strip().upper()
        for key, value in labels.items()
        if value
    }
    made = Labels(**cast(Any, values))
    if made.uncertainty_is not in ("variance", "std", "ivar"):
        msg = (
            "labels['uncertainty_is'] must be 'variance', 'std' or 'ivar', not "
            f"{made.uncertainty_is!r}"
        )
        raise ConfigError(msg)
    if len(set(made.names.values())) < 3:
        msg = f"labels give two parts one name: {made.names}"
        raise ConfigError(msg)
    return made


def _preset(name: str) -> Labels:
    if (known := _PRESETS.get(name.strip().lower())) is not None:
        return known
    if name not in names() and not name.endswith(".toml"):
        choice = did_you_mean(name, [*_PRESETS, *names()])
        msg = f"there is no preset of labels {name!r}{choice}"
        raise ConfigError(msg)
    return make_labels(load(name).labels)
