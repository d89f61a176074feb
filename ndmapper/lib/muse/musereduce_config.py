"""Configurations of MUSEreduce (config.json), read as configurations of ndmapper."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from ndmapper.errors import FileAccessError, FormatError, ParameterError, did_you_mean
from ndmapper.lib.muse import recipes
from ndmapper.lib.muse.settings import MuseConfig, read_toml

__all__ = ["read_config", "read_musereduce"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Key:
    """A key: its default, the types of its value, and the values that it may have."""

    default: Any
    kinds: tuple[type, ...]
    choices: tuple[Any, ...] = ()


def _flag(default: bool) -> _Key:
    return _Key(default, (bool,))


_WORDS = _Key("none", (str,))
_COMMON = {"execute": _flag(True), "esorex_kwargs": _WORDS, "create_sof": _flag(True)}
_CALIBRATIONS = ("bias", "dark", "flat", "wavecal", "lsf", "twilight")
_MODES = ("WFM-NOAO", "WFM-AO", "NFM-AO")

_KEYS: Mapping[str, Mapping[str, _Key]] = {
    "global": {
        "pipeline_path": _Key("", (str,)),
        "static_calib_path": _Key("", (str,)),
        "rootpath": _Key("", (str,)),
        "n_CPU": _Key(-1, (int,)),
        "mode": _Key(None, (str,), _MODES),
        "withrvcorr": _flag(True),
        "auto_sort_data": _flag(True),
        "auto_create_OB_folders": _flag(True),
        "using_specific_exposure_time": _Key(False, (int, float, bool)),
        "using_ESO_calibration": _flag(True),
        "renew_statics": _flag(False),
        "dither_multiple_OBs": _flag(False),
        "OB_list": _Key([], (list,)),
        "OB": _Key("", (str,)),
        "exp_list": _Key([], (list,)),
    },
    "cleanup": {
        "execute": _flag(False), "include_std": _flag(False),
        "include_combined": _flag(False), "include_calibrations": _flag(False),
    },
    "calibration": {
        "execute": _flag(True), "create_sof": _flag(True), "dark": _flag(False),
        **{f"esorex_kwargs_{name}": _WORDS for name in _CALIBRATIONS},
    },
    "sci_basic": _COMMON | {
        "execute_std": _flag(True), "execute_sci": _flag(True),
        "sky_reject": _Key("15.,15.,1", (str,)),
        "skylines": _Key("5577.339,6300.304", (str,)),
    },
    "std_flux": _COMMON,
    "sky": _COMMON | {
        "modified": _flag(False),
        "sky_field": _Key("auto", (str,), ("auto", "object")),
        "fraction": _Key(0.05, (int, float)),
        "ignore": _Key(0.05, (int, float)),
        "method": _Key(
            "model", (str,), ("model", "subtract-model", "simple", "none")
        ),
    },
    "sci_post": _COMMON | {
        "autocalib": _Key("none", (str,), ("none", "deepfield", "user")),
        "subtract_sky": _flag(True), "raman": _flag(False),
    },
    "dither_collect": {"execute": _flag(True)},
    "exp_align": _COMMON | {"srcmin": _Key(5, (int,)), "srcmax": _Key(80, (int,))},
    "exp_combine": _COMMON | {
        "weight": _Key("exptime", (str,), ("exptime", "fwhm", "none", "header")),
    },
}  # fmt: skip
"""Keys by section, in the spelling of version 2."""

_ALIASES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("global", "using_ESO_Calibration"): ("global", "using_ESO_calibration"),
    ("calibration", "using_ESO_calibration"): ("global", "using_ESO_calibration"),
    ("calibration", "using_ESO_Calibration"): ("global", "using_ESO_calibration"),
    ("global", "auto_create_OB_list"): ("global", "auto_create_OB_folders"),
    ("calibration", "renew_statics"): ("global", "renew_statics"),
    ("dither_collect", "user_list"): ("global", "exp_list"),
    ("sci_basic", "skyreject"): ("sci_basic", "sky_reject"),
    ("sky", "skyfield"): ("sky", "sky_field"),
    ("sky", "skymethod"): ("sky", "method"),
    ("sci_post", "skymethod"): ("sky", "method"),
    ("sci_post", "skysubtraction"): ("sci_post", "subtract_sky"),
    ("exp_align", "scrmin"): ("exp_align", "srcmin"),
    ("exp_align", "scrmax"): ("exp_align", "srcmax"),
}
"""Other spellings, and places in other versions."""

_OWN_WORDS: Mapping[str, Mapping[str, str]] = {
    "scipost": {"save": "saved", "filter": "images"},
    "exp_combine": {"save": "saved", "filter": "images"},
}
"""Parameters of steps whose name is not that of the recipe's."""

_STEP_OF = {
    "sci_basic": "scibasic", "std_flux": "standard", "sky": "create_sky",
    "sci_post": "scipost", "exp_align": "exp_align", "exp_combine": "exp_combine",
}  # fmt: skip
_PART_OF = {
    "sci_basic": ("scibasic",), "std_flux": ("standard",), "sky": ("sky",),
    "sci_post": ("scipost",), "exp_align": ("align",), "exp_combine": ("combine",),
    "calibration": _CALIBRATIONS,
}  # fmt: skip
"""Steps of recipes and parts of a reduction that a section is of."""


def read_config(path: str | os.PathLike[str]) -> MuseConfig:
    """
    Read a configuration: that of MUSEreduce (``.json``), or ours (TOML).

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    MuseConfig
        The configuration.

    Raises
    ------
    FileAccessError
        If the file cannot be read.
    FormatError
        If it is neither, or a key or value is wrong.
    """
    is_json = Path(path).suffix.lower() == ".json"
    return read_musereduce(path) if is_json else read_toml(path)


def read_musereduce(path: str | os.PathLike[str]) -> MuseConfig:
    """
    Read a configuration of MUSEreduce.

    Parameters
    ----------
    path : str or path
        Its JSON file. Keys may be those of versions 1 and 2, in each spelling that
        these have.

    Returns
    -------
    MuseConfig
        The configuration. Raw frames, and masters of ESO among them, are in
        ``rootpath/raw``, products go to ``rootpath/reduced``.

    Raises
    ------
    FileAccessError
        If the file cannot be read.
    FormatError
        If it is no JSON, or a key or value is wrong.
    """
    source = Path(path)
    values = _load(source)
    return _Reader(source, values).config()


def _load(source: Path) -> dict[str, dict[str, Any]]:
    """Read all sections, with the default of each key that is not there."""
    try:
        given = json.loads(source.read_text(encoding="utf-8-sig"))
    except OSError as err:
        msg = f"the configuration {source} cannot be read: {err.strerror}"
        raise FileAccessError(msg) from err
    except (ValueError, RecursionError) as err:
        msg = f"the configuration {source} is no JSON: {err}"
        raise FormatError(msg) from err
    if not isinstance(given, dict):
        msg = f'the configuration {source} has no sections, such as "global": {{...}}'
        raise FormatError(msg)
    values = {
        section: {name: key.default for name, key in keys.items()}
        for section, keys in _KEYS.items()
    }
    said: dict[tuple[str, str], tuple[str, Any]] = {}
    for section, keys in given.items():
        if section not in _KEYS or not isinstance(keys, dict):
            hint = did_you_mean(section, _KEYS)
            msg = f"{source} has {section!r}, which is no section{hint}"
            raise FormatError(msg)
        for name, value in keys.items():
            place = _ALIASES.get((section, name), (section, name))
            if place[1] not in _KEYS[place[0]]:
                known = [*_KEYS[section], *(n for s, n in _ALIASES if s == section)]
                msg = (
                    f"{source} has an unknown key {name!r} in {section!r}"
                    f"{did_you_mean(name, known)}"
                )
                raise FormatError(msg)
            checked = _checked(f"{source}: {section}.{name}", value, place)
            before = said.setdefault(place, (f"{section}.{name}", checked))
            if before[1] != checked:
                msg = (
                    f"{source}: {before[0]} is {before[1]!r}, but {section}.{name}, "
                    f"which means the same, is {checked!r}; leave one out"
                )
                raise FormatError(msg)
            values[place[0]][place[1]] = checked
    return values


def _checked(where: str, value: Any, place: tuple[str, str]) -> Any:
    key = _KEYS[place[0]][place[1]]
    if not isinstance(value, key.kinds) or (
        isinstance(value, bool) and bool not in key.kinds
    ):
        expected = " or ".join(kind.__name__ for kind in key.kinds)
        msg = f"{where} is {value!r}; expected {expected}"
        raise FormatError(msg)
    if place == ("sky", "method") and isinstance(value, str):
        value = value.replace("_", "-")
    if key.choices and value not in key.choices:
        msg = f"{where} is {value!r}; expected one of {', '.join(key.choices)}"
        raise FormatError(msg)
    if isinstance(value, list) and not all(isinstance(item, str) for item in value):
        msg = f"{where} is {value!r}; expected a list of texts"
        raise FormatError(msg)
    return value


class _Reader:
    """What the sections mean for a reduction."""

    def __init__(self, source: Path, values: dict[str, dict[str, Any]]) -> None:
        self.source, self.values = source, values
        self.whole = values["global"]
        root = self.whole["rootpath"]
        if not root:
            msg = f"{source} does not say where the data are: global.rootpath"
            raise FormatError(msg)
        # 'manual' is where one is, which for a file is where it lies.
        given = "" if root == "manual" else root
        self.root = source.parent / given

    def config(self) -> MuseConfig:
        """Make the configuration."""
        whole, values = self.whole, self.values
        multiple = whole["dither_multiple_OBs"]
        if multiple and not whole["OB_list"]:
            msg = (
                f"{self.source}: global.dither_multiple_OBs needs the names of the "
                "observation blocks in global.OB_list"
            )
            raise FormatError(msg)
        obs = whole["OB_list"] if multiple else [whole["OB"]] if whole["OB"] else []
        exptime = whole["using_specific_exposure_time"]
        cpus = whole["n_CPU"]
        without = [] if values["calibration"]["dark"] else ["dark"]
        without += [] if values["sci_post"]["raman"] else ["raman"]
        raw = self.root / "raw"
        try:
            return MuseConfig(
                raw=raw,
                outdir=self.root / "reduced",
                static=self._static(),
                mode=whole["mode"],
                obs=tuple(obs),
                together=(whole["OB"] or "combined") if multiple else None,
                exptime=None if isinstance(exptime, bool) else float(exptime),
                without=tuple(without),
                skip=tuple(self._skip()),
                subtract_sky=whole["withrvcorr"]
                and values["sci_post"]["subtract_sky"]
                and values["sky"]["method"] != "none",
                sky_field=values["sky"]["sky_field"],
                modified_sky=values["sky"]["modified"],
                layout="musereduce",
                combine_by="pointing",
                combined=tuple(whole["exp_list"]),
                sofs=True,
                edited_sofs=tuple(self._edited()),
                prefer="masters" if whole["using_ESO_calibration"] else "raw",
                lists="write" if whole["auto_sort_data"] else "read",
                clean=tuple(self._clean()),
                workers="all" if cpus < 1 else cpus,
                steps=self._steps(),
            )
        except ParameterError as err:
            msg = f"{self.source}: {err}"
            raise FormatError(msg) from err

    def _static(self) -> Path | None:
        """Find the folder of static calibrations; None for the pipeline's own."""
        given = self.whole["static_calib_path"]
        if given:
            return _kit(self.source.parent / given)
        given = self.whole["pipeline_path"]
        return _kit(self.source.parent / given / "calib") if given else None

    def _skip(self) -> list[str]:
        skipped = [
            name
            for section, names in _PART_OF.items()
            if not self.values[section]["execute"]
            for name in names
        ]
        basic = self.values["sci_basic"]
        if not basic["execute_sci"]:
            skipped.append("scibasic")
        if not basic["execute_std"]:
            skipped.append("standard")
        return list(dict.fromkeys(skipped))

    def _edited(self) -> list[str]:
        return [
            name
            for section, names in _PART_OF.items()
            if not self.values[section]["create_sof"]
            for name in names
        ]

    def _clean(self) -> list[str]:
        cleanup = self.values["cleanup"]
        if not cleanup["execute"]:
            return []
        kinds = ("std", "combined", "calibrations")
        return ["exposures", *(k for k in kinds if cleanup[f"include_{k}"])]

    def _steps(self) -> dict[str, dict[str, Any]]:
        """Collect parameters of steps."""
        values = self.values
        sky, post = values["sky"], values["sci_post"]
        saved = ["cube", "skymodel", "individual"]
        saved += ["raman"] if post["raman"] else []
        saved += ["autocal"] if post["autocalib"] != "none" else []
        fractions = {"fraction": sky["fraction"], "ignore": sky["ignore"]}
        steps: dict[str, dict[str, Any]] = {
            "scibasic": {
                "skylines": values["sci_basic"]["skylines"],
                "skyreject": values["sci_basic"]["sky_reject"],
            },
            "create_sky": dict(fractions),
            "scipost": {
                "skymethod": sky["method"],
                # The model that scipost finds itself is of the same part of the field.
                **{f"skymodel_{name}": value for name, value in fractions.items()},
                "autocalib": post["autocalib"],
                "saved": ",".join(saved),
            },
            "exp_align": {
                "srcmin": values["exp_align"]["srcmin"],
                "srcmax": values["exp_align"]["srcmax"],
            },
            "exp_combine": {
                "weight": values["exp_combine"]["weight"], "crsigma": 5.0,
            },
        }  # fmt: skip
        if not self.whole["withrvcorr"]:
            steps["scipost"]["rvcorr"] = "none"
        if not post["subtract_sky"] or not self.whole["withrvcorr"]:
            del steps["scipost"]["skymethod"]
        if post["autocalib"] == "user":
            steps["scipost"]["autocal"] = str(self._autocal())
        words = {name: values["calibration"][f"esorex_kwargs_{name}"]
                 for name in _CALIBRATIONS}  # fmt: skip
        words |= {
            step: values[section]["esorex_kwargs"] for section, step in _STEP_OF.items()
        }
        for name, text in words.items():
            found = self._own_and_extra(name, text)
            if found:
                steps[name] = {**steps.get(name, {}), **found}
        return steps

    def _own_and_extra(self, step: str, text: str) -> dict[str, Any]:
        """Sort words of a command line into parameters of a step, and further ones."""
        own = signature(getattr(recipes, step).func).parameters
        found: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for name, value in recipes.extra_parameters(text).items():
            other = _OWN_WORDS.get(step, {}).get(name, name.replace("-", "_"))
            if name in ("merge", "nifu"):
                log.warning(
                    "%s: --%s of %s has no effect: each IFU is a file by itself",
                    self.source, name, step,
                )  # fmt: skip
            elif other not in own:
                extra[name] = value
            elif own[other].annotation in (str, "str"):
                found[other] = value if isinstance(value, str) else str(value)
            else:
                found[other] = value
        return found | ({"extra": extra} if extra else {})

    def _autocal(self) -> Path:
        """Find the factors that the user provides."""
        places = [self.root / "raw", self.root, self.root / "reduced"]
        for place in places:
            if (found := place / "AUTOCAL_FACTORS.fits").is_file():
                return found
        msg = (
            f"{self.source}: sci_post.autocalib is 'user', but there is no "
            f"AUTOCAL_FACTORS.fits in {', '.join(map(str, places))}"
        )
        raise FormatError(msg)


def _kit(folder: Path) -> Path:
    """Find the static calibrations in a folder, or in that of the newest kit in it."""
    kits = sorted(path for path in folder.glob("muse*") if path.is_dir())
    found = kits[-1] if kits else folder
    return found / "cal" if (found / "cal").is_dir() else found
