"""Draft the TOML of an instrument from headers, to be revised by hand."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ndmapper.instruments.draft_spectrograph import (
    BINNING_PAIRS,
    GRATINGS,
    SLITS,
    draft_spectrograph,
)
from ndmapper.instruments.header_sample import (
    Cards,
    HeaderSample,
    find_amplifier_keys,
    find_lamps,
)
from ndmapper.instruments.toml_text import block, counted, listed, plain, quoted

__all__ = ["draft_instrument"]

# Descriptors, and the keywords that are commonly used for each, the best first.
_COMMON: Mapping[str, tuple[str, ...]] = {
    "object": ("OBJECT", "OBJNAME", "TARGNAME", "TARGET", "TITLE"),
    "exptime": ("EXPTIME", "EXPOSURE", "ITIME", "EXP_TIME", "ELAPTIME"),
    "filter": ("FILTER", "FILTNAME", "FILTERS", "FILTER1", "FILTNAM",
               "PASSBAND", "ESO INS FILT1 NAME"),
    "grating": GRATINGS,
    "slit": SLITS,
    "binning": ("CCDSUM", "BINNING", "DETBIN", "CCDBIN"),
    "read_mode": ("READOUTM", "READ-SPD", "SPEED", "READMODE", "RDMODE", "AMPMODE",
                  "ESO DET READ CURNAME"),
    "gain_setting": ("GAINSET", "GAINMODE", "GAIN", "EGAIN"),
    "temperature": ("CCD-TEMP", "SET-TEMP", "CCDTEMP", "DETTEMP", "TEMPDET"),
}  # fmt: skip
_NUMBERS = {"exptime", "temperature"}
_FEW = 0.2
"""A value of INSTRUME that fewer of the files have is that of another camera."""
_KINDS = ("IMAGETYP", "OBSTYPE", "IMTYPE", "FRAME", "OBSMODE", "EXPTYPE", "KOAIMTYP",
          "ESO DPR TYPE", "OBJECT")  # fmt: skip
_APPLIES = ("INSTRUME", "DETECTOR", "CAMERA", "VERSION", "TELESCOP")
# What else may name an instrument, or have a section, a gain or a noise.
_NAMES = re.compile(r"INST|CAM|DET")
_SECTION = re.compile(r"\[\d+:\d+,\d+:\d+\]")
_NOISE = re.compile(r"GAIN|^GN|E.?PER|RO?N|NOIS")
_WHOLE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.*")
_MOST_KINDS = 12
"""A keyword with more values does not say what a frame is, but what is in it."""
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
_CONTINUA = (
    "hal",
    "quartz",
    "qth",
    "qh",
    "flat",
    "deut",
    "incan",
    "cont",
    "tung",
    "white",
)
"""Words in the names of lamps with a continuous spectrum."""
_NEEDS: Mapping[str, tuple[str, ...]] = {
    "object": ("bias", "dark", "flat", "twilight", "arc", "standard"),
    "standard": ("bias", "dark", "flat", "arc"),
    "arc": ("bias",),
    "twilight": ("bias", "dark"),
    "flat": ("bias", "dark"),
    "dark": ("bias",),
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
        self.sample = HeaderSample(headers)
        self.lamps = find_lamps(self.sample)
        self.kind, self.kinds = self.find_kind()
        self.descriptors = self.find_descriptors()
        self.classes = self.find_classes()
        self.by_lamps = self.find_classes_by_lamps()
        self.spectrograph = draft_spectrograph(
            self.sample, self.descriptors, self.lamps_of_arcs()
        )

    def find_kind(self) -> tuple[str | None, Counter[str]]:
        """Find the keyword that best tells the kind of a frame, and its values."""
        best: tuple[int, str | None, Counter[str]] = (0, None, Counter())
        for key in _KINDS:
            counts = self.sample.counts(key)
            known = {kind for text in counts if (kind := _kind_of(text)) is not None}
            # A keyword with a handful of words is better than the free text of others.
            score = 10 * len(known) - min(len(counts), 40) // 4
            if known and score > best[0]:
                best = (score, key, counts)
        if best[1] is None:
            return self.find_unusual_kind()
        return best[1], best[2]

    def find_unusual_kind(self) -> tuple[str | None, Counter[str]]:
        """Find any keyword whose few values are two kinds of frames or more."""
        found: tuple[int, str | None, Counter[str]] = (1, None, Counter())
        for key in self.sample.keywords():
            counts = self.sample.counts(key)
            known = {kind for text in counts if (kind := _kind_of(text)) is not None}
            if len(known) > found[0] and len(counts) <= _MOST_KINDS:
                found = (len(known), key, counts)
        return found[1:]

    def find_descriptors(self) -> dict[str, str]:
        found = {}
        sample = self.sample
        for name, keys in _COMMON.items():
            usual = sample.usual(keys)
            if not usual:
                continue
            used = usual[:1]
            if name == "exptime":
                used = [k for k in keys if sample.share(k)]
            kind = ', type = "float"' if name in _NUMBERS else ""
            where = ", ext = true" if sample.is_in_extension(usual[0]) else ""
            found[name] = f"{{ keys = {listed(used)}{kind}{where} }}"
        for pair in () if "binning" in found else BINNING_PAIRS:
            if len(sample.usual(pair)) == len(pair):
                found["binning"] = (
                    f'{{ fn = "joined", keys = {listed(pair)}, drop = [] }}'
                )
                break
        for date in (
            sample.usual(("DATE-OBS", "DATE-BEG", "MJD-OBS", "JD"))
            or self.sample.usual(self.like(_WHOLE_TIME))
            or sample.usual(("DATE",))
        )[:1]:
            whole = all("T" in text for text in sample.counts(date)) or "JD" in date
            keys = (date, *([] if whole else sample.usual(_TIMES)))
            found["time"] = f'{{ fn = "timestamp", keys = {listed(keys)} }}'
        found["shape"] = '{ fn = "shape", ext = true }'
        if self.kind is not None and self.kind != "OBJECT":
            found["kind"] = quoted(self.kind)
        return found

    def find_classes(self) -> dict[str, list[str]]:
        """Sort the values of the keyword by what they mean."""
        found: dict[str, list[str]] = {}
        for text in self.kinds:
            kind = _kind_of(text)
            if kind is not None:
                found.setdefault(kind, []).append(text)
        return {kind: found[kind] for kind in _WORDS if kind in found}

    def kind_of_each(self) -> list[str | None]:
        """Say of each file what its keyword tells; None for nothing."""
        if self.kind is None:
            return [None] * len(self.sample)
        values = self.sample.values(self.kind)
        return [None if v is None else _kind_of(str(v)) for v in values]

    def find_classes_by_lamps(self) -> dict[str, list[str]]:
        """List the lamps of arcs, and of flats, that only the lamps tell."""
        if self.lamps is None or "arc" in self.classes:
            return {}
        found: dict[str, set[str]] = {}
        for kind, shown in zip(self.kind_of_each(), self.lamps.shown, strict=True):
            if shown and kind in (None, "object", "standard"):
                name = "flat" if _has(shown.casefold(), _CONTINUA) else "arc"
                found.setdefault(name, set()).add(shown)
        return {kind: sorted(found[kind]) for kind in ("flat", "arc") if kind in found}

    def lamps_of_arcs(self) -> list[str]:
        """List the lamps that are on in any arc."""
        if self.lamps is None:
            return []
        kinds = zip(self.kind_of_each(), self.lamps.shown, strict=True)
        told = {shown for kind, shown in kinds if kind == "arc" and shown}
        return sorted(told | set(self.by_lamps.get("arc", ())))

    def all_classes(self) -> list[str]:
        """List the classes of frames, whatever tells them."""
        return [k for k in _WORDS if k in self.classes or k in self.by_lamps]

    def like(self, pattern: re.Pattern[str]) -> list[str]:
        """List the keywords all of whose values match, but when a file was written."""
        return [
            key
            for key in self.sample.keywords()
            if key != "DATE"
            and (counts := self.sample.counts(key))
            and all(pattern.fullmatch(text.replace(" ", "")) for text in counts)
        ]

    def lines(self) -> list[str]:
        shown = [n for n in ("object", "kind", *_COMMON) if n in self.descriptors]
        shown += [] if self.lamps is None else ["lamps"]
        return [
            f"# A draft, made from {len(self.sample)} headers. "
            "Go over what is marked with CHECK.",
            "schema = 1",
            f"description = {quoted(self.name)}",
            f"survey = {listed(dict.fromkeys(shown))}",
            "",
            *self.applies(),
            "",
            "[descriptors]",
            *(f"{name} = {spec}" for name, spec in self.descriptors.items()),
            "",
            *self.lamp_lines(),
            *self.class_lines(),
            *self.rule_lines(),
            *self.spectrograph,
            *self.flat_lines(),
            *self.amplifier_lines(),
        ]

    def applies(self) -> list[str]:
        """Find the keyword of the primary header that identifies most of the files."""
        n = len(self.sample)
        for key in _APPLIES:
            counts = self.sample.counts(key, primary_only=True)
            kept = sorted(text for text, count in counts.items() if count >= _FEW * n)
            if sum(counts[text] for text in kept) <= n / 2:
                continue
            others = counted({t: c for t, c in counts.items() if t not in kept})
            lines = []
            if others:
                lines.append(f"# CHECK: left out are files with {key} = {others}.")
            if missing := n - counts.total():
                lines.append(
                    f"# {key} is missing in {missing} of {n} files, which are not "
                    "recognised."
                )
            return [*lines, "[applies]", f"{key} = {listed(kept)}"]
        for key in filter(_NAMES.search, self.sample.keywords()):
            counts = self.sample.counts(key, primary_only=True)
            if len(counts) == 1 and counts.total() == n and _is_name(*counts):
                return [
                    f"# CHECK: is it {key} that tells?",
                    "[applies]",
                    f"{key} = {listed(counts)}",
                ]
        lines = ["# CHECK: no keyword has one value in most files; which tells?"]
        for key in self.sample.usual(_APPLIES):
            shown = counted(self.sample.counts(key))
            where = ""
            if self.sample.is_in_extension(key):
                where = " in the extension, where it is not looked for,"
            lines.append(f"# {key}{where} is {shown}.")
        return [*lines, "[applies]", 'INSTRUME = "CHECK"']

    def lamp_lines(self) -> list[str]:
        """Describe which lamps are on."""
        lamps = self.lamps
        if lamps is None:
            return []
        start = ["# CHECK: which lamps are on.", "[descriptors.lamps]"]
        if not lamps.names:
            off = ", ".join(f'[{quoted(word)}, ""]' for word in lamps.off)
            where = ["ext = true"] if self.sample.is_in_extension(lamps.keys[0]) else []
            return [
                *start,
                f"keys = {listed(lamps.keys)}",
                f"map = [{off}]",
                *where,
                "",
            ]
        return [
            *start,
            'fn = "switched_on"',
            f"on = {listed(lamps.on)}",
            f"keys = {block(lamps.keys)}",
            f"names = {block(lamps.names)}",
            "",
        ]

    def lamps_of(self, kind: str, texts: Sequence[str] = ()) -> str:
        """Ask for no lamp where frames of the sky have none on, but others have."""
        if self.lamps is None or kind not in ("object", "standard"):
            return ""
        values = self.sample.values(str(self.kind))
        lit = [
            on
            for on, value in zip(self.lamps.lit, values, strict=True)
            if value is not None
            and (str(value) in texts if texts else _kind_of(str(value)) is None)
        ]
        tells = any(self.lamps.lit) and (bool(self.by_lamps) or not any(lit))
        return ", lamps = { present = false }" if tells else ""

    def class_lines(self) -> list[str]:
        if self.kind is None:
            return [
                "# CHECK: no keyword says what a frame is. Add classes, such as:",
                "# [[class]]",
                '# name = "bias"',
                '# where = { object = "*bias*", exptime = { max = 0.0 } }',
                "",
                *self.lamp_class_lines(),
            ]
        descriptor = "object" if self.kind == "OBJECT" else "kind"
        lines = []
        if self.kind not in _KINDS:
            lines += [f"# CHECK: is it {self.kind} that says what a frame is?", ""]
        of_sky = [kind for kind in self.classes if kind in ("standard", "object")]
        for kind in self.classes:
            if kind not in of_sky:
                lines += self.lines_of_class(kind, descriptor)
        lines += self.lamp_class_lines()
        for kind in of_sky:
            lines += self.lines_of_class(kind, descriptor)
        others = [text for text in self.kinds if _kind_of(text) is None]
        words = _all_words()
        if others and descriptor == "object":
            lines += (
                [
                    "# CHECK: the names of targets; what else is none of the above?",
                    "[[class]]",
                    'name = "object"',
                    f"where = {{ object = {{ present = true, not = [{words}] }}"
                    f"{self.lamps_of('object')} }}",
                    "",
                ]
                if "object" not in self.classes
                else []
            )
        elif others:
            shown = counted({text: self.kinds[text] for text in others})
            lines += [f"# CHECK: what are these? {shown}", ""]
        return lines

    def lines_of_class(self, kind: str, descriptor: str) -> list[str]:
        texts = self.classes[kind]
        n = sum(self.kinds[text] for text in texts)
        patterns = listed(plain(text) for text in sorted(texts))
        return [
            f"# {n} of {len(self.sample)} frames",
            "[[class]]",
            f"name = {quoted(kind)}",
            f"where = {{ {descriptor} = {patterns}{self.lamps_of(kind, texts)} }}",
            "",
        ]

    def lamp_class_lines(self) -> list[str]:
        """Describe the classes that only lamps tell, once."""
        lines = []
        for kind, shown in self.by_lamps.items():
            lines += [
                f"# CHECK: told by lamps alone; which of them are for a {kind}?",
                "[[class]]",
                f"name = {quoted(kind)}",
                f"where = {{ lamps = {listed(map(plain, shown))} }}",
                "",
            ]
        return lines

    def flat_lines(self) -> list[str]:
        if not self.spectrograph:
            return []
        return ["[steps.make_flat]", 'normalise = "spectral"', ""]

    def rule_lines(self) -> list[str]:
        has_object = "object" in self.classes or self.kind == "OBJECT"
        kinds = [*self.all_classes(), *(["object"] if has_object else [])]
        lines = ["[dependencies]"]
        for kind in dict.fromkeys(kinds):
            needs = [n for n in _NEEDS.get(kind, ()) if n in kinds]
            name = "target" if kind == "object" else kind
            if needs:
                lines.append(f"{name} = {listed(needs)}")
        lines += ["", "# CHECK: what must be equal, and within how many days."]
        for kind in self.all_classes():
            if kind not in _MATCH:
                continue
            match = [n for n in _MATCH[kind] if n in self.descriptors]
            lines += ["[[rule]]", f"type = {quoted(kind)}"]
            lines.append(f"match = {listed(match)}")
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
        names, found = find_amplifier_keys(self.sample)
        lines = []
        if "data" not in found:
            lines += [
                "# CHECK: no DATASEC: the whole image is taken for one amplifier. If",
                "# there are more, describe them with [[amplifier]]: name,",
                '# data = "[1:1024,1:512]", overscan, gain, read_noise, saturation.',
                *self.unusual_sections(),
            ]
            found = {"data": ["DATASEC"], **found}
        for key in found.get("gain", ())[:1]:
            if self.looks_like_setting(key):
                shown = counted(self.sample.counts(key))
                lines.append(
                    f"# CHECK: {key} is {shown}: electron/adu, or a setting of the "
                    "camera?"
                )
        lines.append("[amplifier_keys]")
        if names:
            lines.append(f"amplifiers = {listed(names)}")
        return [*lines, *(f"{part} = {listed(keys)}" for part, keys in found.items())]

    def unusual_sections(self) -> list[str]:
        """List keywords that may be of amplifiers, with a value of each."""
        sections = self.like(_SECTION)
        if not sections:
            return []
        numbers = (key for key in self.sample.keywords() if _NOISE.search(key))
        shown = [f"{key} = {next(iter(self.sample.counts(key)))}"
                 for key in (*sections, *numbers)]  # fmt: skip
        return [
            "# CHECK: which of these are data, overscan, gain and read noise? Several",
            '# amplifiers in one header: amplifiers = ["A", "B"], data = "DSEC_{}".',
            *(f"#   {line}" for line in shown),
        ]

    def looks_like_setting(self, key: str) -> bool:
        """Whether the values of a gain are whole numbers, or too high for a gain."""
        values = [v for v in self.sample.values(key) if isinstance(v, int | float)]
        return bool(values) and all(v == int(v) or v > 30 for v in values)


def _is_name(text: str) -> bool:
    """Whether a value is a name, and no number or section."""
    return bool(re.match(r"[A-Za-z]{2}", text))


def _kind_of(text: str) -> str | None:
    lowered = text.casefold()
    return next((k for k, words in _WORDS.items() if _has(lowered, words)), None)


def _has(text: str, words: Iterable[str]) -> bool:
    return any(re.search(rf"(?<![a-z]){re.escape(word)}", text) for word in words)


def _all_words() -> str:
    words = (w for kind, ws in _WORDS.items() if kind != "object" for w in ws)
    return ", ".join(quoted(f"*{word}*") for word in words)
