"""MUSE scenes: exposures with matching and nearly matching calibrations."""

import datetime
from typing import Any

from ndmapper.testing.headers import SimulatedArchive, header_bytes, moment

__all__ = ["MuseScene", "write_statics"]

_MODES = ("WFM-NOAO-N", "WFM-AO-N", "NFM-AO-N")
_START = datetime.date(2014, 10, 1)
# Separation at which scenes do not share nights.
_SPACING = 40
_RAW_EXTENSIONS = tuple(header_bytes({"EXTNAME": f"CHAN{n:02d}"}) for n in range(1, 5))


class MuseScene:
    """One MUSE exposure and its calibrations."""

    def __init__(self, archive: SimulatedArchive, number: int) -> None:
        self.archive = archive
        # The night that begins in the evening before.
        self.day = _START + datetime.timedelta(days=_SPACING * number)
        self.mode = _MODES[number % 3]

    def add(self, kind: str, hours: float, **changes: Any) -> str:
        """Write one frame."""
        time = moment(self.day, hours)
        while (
            name := f"MUSE.{time.isoformat(timespec='milliseconds').replace(':', '_')}"
        ) and (self.archive.folder / f"{name}.fits").exists():
            time += datetime.timedelta(milliseconds=1)
        category, _, dpr_type = kind.partition(":")
        mode = str(changes.get("mode", self.mode))
        lamp = changes.get("lamp")
        start = moment(self.day, float(changes.get("set", hours)))
        cards: dict[str, Any] = {
            "INSTRUME": "MUSE", "DATE-OBS": time.isoformat(timespec="milliseconds"),
            "MJD-OBS": (time - datetime.datetime(1858, 11, 17)).total_seconds() / 86400,
            "EXPTIME": 0.0 if dpr_type == "BIAS" else 30.0, "OBJECT": dpr_type,
            "ESO DPR CATG": category, "ESO DPR TYPE": dpr_type, "ESO DPR TECH": "IFU",
            "ESO TPL START": start.isoformat(timespec="seconds"),
            "ESO INS MODE": mode,
            "ESO INS OPTI1 NAME": "Blue" if mode.endswith("N") else "Clear",
            "ESO INS OPTI2 NAME": mode[:3],
            "ESO INS TEMP7 VAL": float(changes.get("temperature", 12.0)),
            "ESO DET READ CURID": int(changes.get("read", 1)),
            "ESO INS SHUT3 ST": lamp == "Ne", "ESO INS SHUT4 ST": lamp == "Xe",
            "ESO INS SHUT5 ST": lamp == "HgCd",
        }  # fmt: skip
        return self.archive.write(f"{name}.fits", [cards, *_RAW_EXTENSIONS])

    def build(self) -> str:
        """Write the target, its calibrations, and near misses."""
        target = self.add("SCIENCE:OBJECT", 3.0)
        other = next(m for m in _MODES if m[:3] != self.mode[:3])
        self._sets(target, "bias", "CALIB:BIAS", {"read": 2}, "read_mode")
        self._sets(target, "flat", "CALIB:FLAT,LAMP", {"mode": other}, "mode")
        self._arcs(target, other)
        self._illums(target, other)
        self._twilights(target, other)
        self._standards(target, other)
        return target

    def _note(self, target: str, cal_type: str, *names: str) -> None:
        self.archive.answers[target, cal_type] = tuple(sorted(names))

    def _miss(self, target: str, cal_type: str, name: str, text: str) -> None:
        self.archive.misses[target, cal_type, name] = text

    def _sets(
        self,
        target: str,
        cal_type: str,
        kind: str,
        change: dict[str, Any],
        text: str,
    ) -> None:
        """Write sets of one template: the right one is of the following morning."""
        # A template takes 11 frames, one or two minutes each.
        good = [self.add(kind, 11 + i / 50, set=11.0) for i in range(11)]
        self._note(target, cal_type, *good)
        for i in range(2):
            few = self.add(kind, 7 + i / 50, set=7.0)
            self._miss(target, cal_type, few, "its set has 2 of at least 3")
        for i in range(3):
            wrong = self.add(kind, 9 + i / 50, set=9.0, **change)
            self._miss(target, cal_type, wrong, text)
        # An afternoon belongs to the previous night.
        for i in range(4):
            before = self.add(kind, -4 + i / 50, set=-4.0)
            lost = "fits only with quality 1"
            self._miss(target, cal_type, before, lost)
        for i in range(3):
            far = self.add(kind, -24 * 6 + i / 50, set=-24.0 * 6)
            self._miss(target, cal_type, far, "fits only with quality 2")
        gone = self.add(kind, -24 * 8, set=-24.0 * 8)
        self._miss(target, cal_type, gone, "more than 7 d")

    def _arcs(self, target: str, other: str) -> None:
        lamps = ("Ne", "Xe", "HgCd")
        good = [
            self.add("CALIB:WAVE", 12 + i / 50, set=12.0, lamp=lamps[i % 3])
            for i in range(15)
        ]
        self._note(target, "arc", *good)
        for i in range(6):
            two = self.add("CALIB:WAVE", 8 + i / 50, set=8.0, lamp=lamps[i % 2])
            self._miss(target, "arc", two, "its set has no lamp HgCd")
        wrong = self.add("CALIB:WAVE", 9, set=9.0, lamp="Ne", mode=other)
        self._miss(target, "arc", wrong, "field")

    def _illums(self, target: str, other: str) -> None:
        def illum(hours: float, **changes: Any) -> str:
            return self.add("CALIB:FLAT,LAMP,ILLUM", hours, **changes)

        # The nearest in temperature, not in time.
        self._note(target, "illum", illum(4.9, temperature=12.1))
        near = "temperature 0.8 and not 0.1"
        self._miss(target, "illum", illum(3.1, temperature=12.8), near)
        self._miss(target, "illum", illum(2.9, temperature=13.01), "temperature")
        self._miss(target, "illum", illum(3.05, mode=other), "field")
        self._miss(target, "illum", illum(5.01), "fits only with quality 1")
        self._miss(target, "illum", illum(15.1), "more than 0.5 d")

    def _twilights(self, target: str, other: str) -> None:
        def sky(hours: float, set_: float, **changes: Any) -> str:
            return self.add("CALIB:FLAT,SKY", hours, set=set_, **changes)

        self._note(target, "twilight", *(sky(23 + i / 50, 23) for i in range(3)))
        for i in range(3):
            wrong = sky(10 + i / 50, 10, mode=other)
            self._miss(target, "twilight", wrong, "field")
            lost = sky(-24 * 4 + i / 50, -24 * 4)
            self._miss(target, "twilight", lost, "fits only with quality 1")
        self._miss(target, "twilight", sky(-24 * 14, -24 * 14), "more than 14 d")

    def _standards(self, target: str, other: str) -> None:
        self._note(target, "standard", self.add("CALIB:STD", 1.0))
        lost = self.add("CALIB:STD", 6.0)
        self._miss(target, "standard", lost, "dt 0.125 d and not 0.0833 d")
        before = self.add("CALIB:STD", -22.0)
        self._miss(target, "standard", before, "fits only with quality 2")
        wrong = self.add("CALIB:STD", 3.5, mode=other)
        self._miss(target, "standard", wrong, "mode")


def write_statics(archive: SimulatedArchive, runs: tuple[str, ...]) -> None:
    """Write geometry and astrometry tables."""
    for run in runs:
        for field in ("wfm", "nfm"):
            for start, product in (
                ("geometry_table", "GEOMETRY_TABLE"),
                ("astrometry_wcs", "ASTROMETRY_WCS"),
            ):
                cards: dict[str, Any] = {
                    "INSTRUME": "MUSE", "ESO PRO CATG": product,
                    "ESO INS OPTI2 NAME": field.upper(),
                }  # fmt: skip
                archive.write(f"{start}_{field}_{run}.fits", [cards])
