"""Draft the TOML of an instrument from headers, to be revised by hand."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["draft_instrument"]

Cards = Mapping[str, Any]

# Descriptors, and the keywords that are commonly used for each, the best first.
_COMMON: Mapping[str, tuple[str, ...]] = {
    "object": ("OBJECT", "OBJNAME", "TARGNAME", "TITLE"),
    "exptime": ("EXPTIME", "EXPOSURE", "ITIME", "EXP_TIME", "ELAPTIME"),
    "filter": ("FILTER", "FILTNAME", "FILTERS", "FILTER1", "FILTNAM",
               "ESO INS FILT1 NAME"),
    "grating": ("GRATING", "GRATNAME", "DISPERSR", "DISPNAME", "GRISM", "GRISM_N",
                "GRISMNAM", "ESO INS GRIS1 NAME"),
    "slit": ("SLIT", "SLITNAME", "SLIT_N", "MASKNAME", "SLMSKNAM", "DECKER", "DECKNAME",
             "APERTURE", "ESO INS SLIT NAME"),
    "binning": ("CCDSUM", "BINNING", "DETBIN", "CCDBIN"),
    "read_mode": ("READOUTM", "READ-SPD", "SPEED", "READMODE", "RDMODE", "AMPMODE",
                  "ESO DET READ CURNAME"),
    "gain_setting": ("GAINSET", "GAINMODE", "GAIN", "EGAIN"),
    "temperature": ("CCD-TEMP", "SET-TEMP", "CCDTEMP", "DETTEMP", "TEMPDET"),
}  # fmt: skip
_NUMBERS = {"exptime", "temperature"}
_KINDS = ("IMAGETYP", "OBSTYPE", "IMTYPE", "FRAME", "OBSMODE", "EXPTYPE", "KOAIMTYP",
          "ESO DPR TYPE", "OBJECT")  # fmt: skip
_APPLIES = ("INSTRUME", "DETECTOR", "CAMERA", "VERSION", "TELESCOP")
_TIMES = ("TIME-OBS", "UT", "UTSTART", "UTC", "UT-OBS", "UTC-OBS", "MJD-OBS", "JD")

# What frames are called, as a part of what the header says in any case.
_WORDS: Mapping[str, tuple[str, ...]] = {
    "bias": ("bias", "zero"),
    "dark": ("dark",),
    "twilight": ("twi", "skyflat", "sky flat", "flat,sky"),
    "flat": ("flat", "dome", "lamp,flat"),
    "arc": ("arc", "comp", "wave", "cuar", "thar"),
    "standard": ("std", "standard"),
    "object": ("object", "science", "light", "target", "sci"),
}
# What has to be equal, by type of calibration, of the descriptors that there are.
_MATCH: Mapping[str, tuple[str, ...]] = {
    "bias": ("shape", "binning", "read_mode", "gain_setting"),
    "dark": ("shape", "binning", "read_mode", "gain_setting"),
    "flat": ("shape", "binning", "filter", "grating", "slit"),
    "twilight": ("shape", "binning", "filter", "grating", "slit"),
    "arc": ("shape", "binning", "filter", "grating"),
    "standard": ("filter", "grating"),
}
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "object": ("bias", "dark", "flat", "twilight", "arc", "standard"),
    "standard": ("bias", "dark", "flat", "arc"),
    "arc": ("bias",),
    "twilight": ("bias", "dark"),
    "flat": ("bias", "dark"),
    "dark": ("bias",),
}


_PARTS: Mapping[str, tuple[str, ...]] = {
    "name": ("AMPNAME",),
    "data": ("DATASEC", "TRIMSEC"),
    "overscan": ("BIASSEC",),
    "gain": ("GAIN", "EGAIN"),
    "read_noise": ("RDNOISE", "RON"),
    "saturation": ("SATURATE",),
}


def draft_instrument(name: str, headers: Sequence[tuple[Cards, Cards | None]]) -> str:
    """Draft the TOML of an instrument from the headers of some of its files."""
    return "\n".join(_Draft(name, headers).lines()) + "\n"


class _Draft:
    """What is found in the headers, section by section."""

    def __init__(
        self, name: str, headers: Sequence[tuple[Cards, Cards | None]]
    ) -> None:
        self.name = name
        self.headers = headers
        self.kind, self.kinds = self.find_kind()
        self.descriptors = self.find_descriptors()
        self.classes = self.find_classes()

    def values(self, key: str) -> list[Any]:
        """Return the value of a keyword in every file; None where it is missing."""
        found = []
        for primary, extension in self.headers:
            value = primary.get(key)
            if value is None and extension is not None:
                value = extension.get(key)
            found.append(value if isinstance(value, str | int | float) else None)
        return found

    def share(self, key: str) -> float:
        """Return the fraction of the files that have a keyword."""
        values = self.values(key)
        return sum(v not in (None, "") for v in values) / len(values) if values else 0.0

    def first(self, keys: Iterable[str], least: float = 0.5) -> str | None:
        return next((key for key in keys if self.share(key) > least), None)

    def find_kind(self) -> tuple[str | None, Counter[str]]:
        """Find the keyword that best tells the kind of a frame, and its values."""
        best: tuple[int, str | None, Counter[str]] = (0, None, Counter())
        for key in _KINDS:
            counts = Counter(str(v).strip() for v in self.values(key) if v is not None)
            known = {kind for text in counts if (kind := _kind_of(text)) is not None}
            # A keyword with a handful of words is better than the free text of others.
            score = 10 * len(known) - min(len(counts), 40) // 4
            if known and score > best[0]:
                best = (score, key, counts)
        return best[1], best[2]

    def find_descriptors(self) -> dict[str, str]:
        found = {}
        for name, keys in _COMMON.items():
            key = self.first(keys)
            if key is None:
                continue
            used = [k for k in keys if self.share(k)] if name == "exptime" else [key]
            listed = ", ".join(_quoted(k) for k in used)
            kind = ', type = "float"' if name in _NUMBERS else ""
            in_extension = key not in self.headers[0][0] if self.headers else False
            where = ", ext = true" if in_extension else ""
            found[name] = f"{{ keys = [{listed}]{kind}{where} }}"
        if "binning" not in found and self.share("XBINNING") > 0.5:
            found["binning"] = (
                '{ fn = "joined", keys = ["XBINNING", "YBINNING"], drop = [] }'
            )
        date = self.first(("DATE-OBS", "DATE-BEG", "MJD-OBS", "JD", "DATE"))
        if date is not None:
            texts = [str(v) for v in self.values(date) if v is not None]
            whole = all("T" in t for t in texts) or "JD" in date
            more = [] if whole else [k for k in _TIMES if self.share(k) > 0.5]
            listed = ", ".join(_quoted(k) for k in (date, *more))
            found["time"] = f'{{ fn = "timestamp", keys = [{listed}] }}'
        found["shape"] = '{ fn = "shape", ext = true }'
        if self.kind is not None and self.kind != "OBJECT":
            found["kind"] = _quoted(self.kind)
        return found

    def find_classes(self) -> dict[str, list[str]]:
        """Sort the values of the keyword by what they mean."""
        found: dict[str, list[str]] = {}
        for text in self.kinds:
            kind = _kind_of(text)
            if kind is not None:
                found.setdefault(kind, []).append(text)
        return {kind: found[kind] for kind in _WORDS if kind in found}

    def lines(self) -> list[str]:
        count = len(self.headers)
        shown = [n for n in ("object", "kind", *_COMMON) if n in self.descriptors]
        lines = [
            f"# A draft, made from {count} headers. Go over what is marked with CHECK.",
            "schema = 1",
            f"description = {_quoted(self.name)}",
            f"survey = [{', '.join(_quoted(n) for n in dict.fromkeys(shown))}]",
            "",
            *self.applies(),
            "",
            "[descriptors]",
            *(f"{name} = {spec}" for name, spec in self.descriptors.items()),
            "",
            *self.class_lines(),
            *self.rule_lines(),
        ]
        return [*lines, *self.amplifier_lines()]

    def applies(self) -> list[str]:
        """Find the keyword that identifies files of this instrument."""
        for key in _APPLIES:
            texts = sorted({str(v).strip() for v in self.values(key) if v})
            if self.share(key) == 1.0 and 0 < len(texts) <= 4:
                listed = ", ".join(_quoted(t) for t in texts)
                return ["[applies]", f"{key} = [{listed}]"]
        return [
            "# CHECK: no keyword has one value in all files; which tells them apart?",
            "[applies]",
            'INSTRUME = "CHECK"',
        ]

    def class_lines(self) -> list[str]:
        if self.kind is None:
            return [
                "# CHECK: no keyword says what a frame is. Add classes, such as:",
                "# [[class]]",
                '# name = "bias"',
                '# where = { object = "*bias*", exptime = { max = 0.0 } }',
                "",
            ]
        descriptor = "object" if self.kind == "OBJECT" else "kind"
        lines = []
        for kind, texts in self.classes.items():
            n = sum(self.kinds[text] for text in texts)
            listed = ", ".join(_quoted(_plain(text)) for text in sorted(texts))
            lines += [
                f"# {n} of {len(self.headers)} frames",
                "[[class]]",
                f"name = {_quoted(kind)}",
                f"where = {{ {descriptor} = [{listed}] }}",
                "",
            ]
        others = [text for text in self.kinds if _kind_of(text) is None]
        words = _all_words()
        if others and descriptor == "object":
            lines += (
                [
                    "# CHECK: the names of targets; what else is none of the above?",
                    "[[class]]",
                    'name = "object"',
                    f"where = {{ object = {{ present = true, not = [{words}] }} }}",
                    "",
                ]
                if "object" not in self.classes
                else []
            )
        elif others:
            listed = ", ".join(f"{t!r} ({self.kinds[t]})" for t in others)
            lines += [f"# CHECK: what are these? {_one_line(listed)}", ""]
        return lines

    def rule_lines(self) -> list[str]:
        has_object = "object" in self.classes or self.kind == "OBJECT"
        kinds = [*self.classes, *(["object"] if has_object else [])]
        lines = ["[dependencies]"]
        for kind in dict.fromkeys(kinds):
            needs = [n for n in _NEEDS.get(kind, ()) if n in self.classes]
            name = "target" if kind == "object" else kind
            if needs:
                listed = ", ".join(_quoted(n) for n in needs)
                lines.append(f"{name} = [{listed}]")
        lines += ["", "# CHECK: what must be equal, and within how many days."]
        for kind in self.classes:
            if kind not in _MATCH:
                continue
            match = [n for n in _MATCH[kind] if n in self.descriptors]
            listed = ", ".join(_quoted(n) for n in match)
            lines += ["[[rule]]", f"type = {_quoted(kind)}", f"match = [{listed}]"]
            if kind == "dark":
                more = "exptime = { max = 0.005, relative = true }"
                more += (
                    ", temperature = 1.0" if "temperature" in self.descriptors else ""
                )
                lines.append(f"tolerance = {{ {more} }}")
            if "time" in self.descriptors:
                lines.append(
                    f"window = {'30.0' if kind in ('bias', 'dark') else '7.0'}"
                )
            if kind == "bias":
                lines.append("min = 3")
            lines.append("")
        return lines

    def amplifier_lines(self) -> list[str]:
        found = {part: self.first(keys) for part, keys in _PARTS.items()}
        if not found["data"]:
            return [
                "# CHECK: no DATASEC. Describe amplifiers with [[amplifier]]: name,",
                '# data = "[1:1024,1:512]", overscan, gain, read_noise, saturation.',
            ]
        keys = [f"{part} = {_quoted(key)}" for part, key in found.items() if key]
        return ["[amplifier_keys]", *keys]


def _kind_of(text: str) -> str | None:
    lowered = text.casefold()
    return next((k for k, words in _WORDS.items() if _has(lowered, words)), None)


def _has(text: str, words: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(word)}", text) for word in words)


def _all_words() -> str:
    words = (w for kind, ws in _WORDS.items() if kind != "object" for w in ws)
    return ", ".join(_quoted(f"*{word}*") for word in words)


def _plain(text: str) -> str:
    """Write a value as a pattern that only it matches."""
    return re.sub(r"([*?[])", r"[\1]", text)


def _one_line(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f]", " ", text)


def _quoted(text: str) -> str:
    body = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + re.sub(r"[\x00-\x1f\x7f]", " ", body) + '"'
