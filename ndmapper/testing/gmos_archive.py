"""GMOS scenes: targets with matching and nearly matching calibrations."""

import datetime
import functools
from typing import Any

from ndmapper.testing.headers import SimulatedArchive, header_bytes, moment

__all__ = ["GmosScene"]

_GRATINGS = ("B600+_G5323", "R400+_G5305", "R150+_G5306", "R831+_G5302")
_FILTERS = (
    "g_G0301", "r_G0303", "i_G0302", "z_G0304", "GG455_G0305", "OG515_G0306",
    "RG610_G0307", "open2-8",
)  # fmt: skip
_BINNINGS = ("1 1", "2 2", "2 1", "4 4")
_START = datetime.date(2004, 1, 10)
# Separation at which scenes of one configuration do not interfere.
_SPACING = 60


class GmosScene:
    """One GMOS target and its calibrations."""

    def __init__(self, archive: SimulatedArchive, number: int) -> None:
        self.archive = archive
        self.number = number
        self.north = number % 2 == 0
        self.day = _START + datetime.timedelta(days=_SPACING * number)
        # Night at both sites, one UT date.
        self.hours = 9.0 if self.north else 5.0
        self.mode = ("LS", "IFU", "imaging")[number % 3]
        self.count = 0
        self.slow, self.low = number // 4 % 2 == 0, number // 8 % 2 == 0
        self.binning = _BINNINGS[number % 4]
        self.wavelength = 500.0 if self.mode != "imaging" else 0.0
        masks = {"LS": ("1.0arcsec", 1), "IFU": ("IFU-2", -1), "imaging": ("None", 0)}
        self.mask, kind = masks[self.mode]
        filters = _FILTERS[number // 4 % 8]
        is_image = self.mode == "imaging"
        self.cards: dict[str, Any] = {
            "INSTRUME": "GMOS-N" if self.north else "GMOS-S",
            "OBSTYPE": "OBJECT", "OBSCLASS": "science", "OBJECT": f"target {number}",
            "FILTER1": "open1-6", "FILTER2": filters,
            "GRATING": "MIRROR" if is_image else _GRATINGS[number % 4],
            "GRWLEN": self.wavelength, "MASKNAME": self.mask, "MASKTYP": kind,
            "DETTYPE": "SDSU II e2v DD CCD42-90" if self.north else "S10892",
            "ELEVATIO": 60.0, "CRPA": 20.0, "RAWGEMQA": "USABLE", "EXPTIME": 60.0,
        }  # fmt: skip

    def add(self, days: float = 0.0, **changes: Any) -> str:
        """Write one frame."""
        self.count += 1
        time = moment(self.day, self.hours + 24 * days)
        binning = str(changes.pop("binning", self.binning))
        slow, low = changes.pop("slow", self.slow), changes.pop("low", self.low)
        rows = float(changes.pop("rows", 1.0))
        cards = {**self.cards, **changes}
        cards |= {
            "DATE-OBS": time.date().isoformat(),
            "TIME-OBS": time.time().isoformat(timespec="milliseconds"),
            "AMPINTEG": (11880 if slow else 7000)
            if cards["DETTYPE"] == "S10892"
            else (5000 if slow else 1000),
        }
        cards.setdefault("OBSID", f"G{'N' if self.north else 'S'}-{self.number}-1")
        site = "N" if cards["INSTRUME"] == "GMOS-N" else "S"
        name = f"{site}{self.day:%Y%m%d}S{self.count:04d}.fits"
        amplifiers = _amplifiers(site == "N", binning, 2.0 if low else 5.0, rows)
        return self.archive.write(name, [cards, *amplifiers])

    def build(self) -> str:
        """Write the target, its calibrations, and near misses."""
        target = self.add()
        self._biases(target)
        if self.mode == "imaging":
            self._twilight_flats(target)
        else:
            self._lamp_flats(target)
            self._arcs(target)
            self._standards(target)
            self._twilights(target)
        self._masks(target)
        return target

    def _note(self, target: str, cal_type: str, *names: str) -> None:
        self.archive.answers[target, cal_type] = tuple(sorted(names))

    def _miss(self, target: str, cal_type: str, name: str, text: str) -> None:
        self.archive.misses[target, cal_type, name] = text

    def _biases(self, target: str) -> None:
        def bias(days: float, set_: str = "1", **changes: Any) -> str:
            fixed = {"OBSTYPE": "BIAS", "OBSCLASS": "dayCal", "OBJECT": "Bias"}
            obsid = f"CAL-{self.number}-{set_}"
            return self.add(days, OBSID=obsid, EXPTIME=0.0, **fixed, **changes)

        # A few hours before the target, in the same night.
        good = [bias(-0.1 + i / 1000) for i in range(5)]
        self._note(target, "bias", *good)
        other = next(b for b in _BINNINGS if b != self.binning)
        cases: dict[str, dict[str, Any]] = {
            "binning": {"binning": other},
            "read_speed": {"slow": not self.slow},
            "gain_setting": {"low": not self.low},
            "amplifiers do not cover": {"rows": 0.5},
            "quality": {"RAWGEMQA": "BAD"},
        }
        for text, changes in cases.items():
            self._miss(target, "bias", bias(-0.1, **changes), text)
        for i in range(2):
            few = bias(-0.01 + i / 1000, "2")
            self._miss(target, "bias", few, "its set has 2 of at least 3")
        for i in range(4):
            lost = bias(-3.1 + i / 1000, "3")
            self._miss(target, "bias", lost, "of another set, dt 3.1")
        text = "fits only with quality 2"
        alone = "its set has 1 of at least 3"
        self._miss(target, "bias", bias(-89.99, "4"), alone)
        for i in range(3):
            self._miss(target, "bias", bias(-90.1 - i / 10, "4"), text)
        self._miss(target, "bias", bias(90.1, "5"), text)
        self._miss(target, "bias", bias(-181.0, "6"), "more than 180 d")

    def _flat(self, days: float, **changes: Any) -> str:
        cards = {"OBSTYPE": "FLAT", "OBSCLASS": "partnerCal", "OBJECT": "GCALflat"}
        return self.add(days, **{**cards, **changes})

    def _lamp_flats(self, target: str) -> None:
        self._note(target, "flat", self._flat(0.01), self._flat(-0.02))
        near = "beyond the 2 that are used, dt 0.03"
        self._miss(target, "flat", self._flat(0.03), near)
        # The same observation is preferred to a nearer time.
        stranger = self._flat(0.001, OBSID="other")
        self._miss(target, "flat", stranger, "set inf")
        other = next(g for g in _GRATINGS if g != self.cards["GRATING"])
        cases: dict[str, dict[str, Any]] = {
            "wavelength": {"GRWLEN": self.wavelength + 1.01},
            "mask": {"MASKNAME": "0.5arcsec"},
            "grating": {"GRATING": other},
            "filters": {"FILTER2": "CaT_G0309"},
            "read_speed": {"slow": not self.slow},
        }
        for text, changes in cases.items():
            self._miss(target, "flat", self._flat(0.005, **changes), text)
        # R150 and IFU have a limit in elevation, others only in the rotator angle;
        # cos(elevation) = 0.5 doubles the latter.
        limit = 30.0 if self.mode == "LS" else 7.5
        if self.cards["GRATING"] == "R150+_G5306":
            limit = 15.0
        turned = self._flat(0.005, CRPA=(20.0 - 2 * limit - 0.1) % 360)
        self._miss(target, "flat", turned, "fits only with quality 1")
        if limit < 30:
            moved = self._flat(0.005, ELEVATIO=60.0 + limit + 0.1)
            self._miss(target, "flat", moved, "fits only with quality 1")

    def _arcs(self, target: str) -> None:
        def arc(days: float, **changes: Any) -> str:
            cards = {"OBSTYPE": "ARC", "OBSCLASS": "progCal", "OBJECT": "CuAr"}
            return self.add(days, **{**cards, **changes})

        # Read speed and gain may differ.
        self._note(target, "arc", arc(-0.03, slow=not self.slow))
        self._miss(target, "arc", arc(0.04), "beyond the 1 that are used, dt 0.04")
        cases: dict[str, dict[str, Any]] = {
            "wavelength": {"GRWLEN": self.wavelength - 1.01},
            "filters": {"FILTER2": "CaT_G0309"},
            "mask": {"MASKNAME": "0.75arcsec"},
            "amplifiers do not cover": {"rows": 0.5},
        }
        for text, changes in cases.items():
            self._miss(target, "arc", arc(0.01, **changes), text)
        self._miss(target, "arc", arc(366.0), "more than 365 d")

    def _standards(self, target: str) -> None:
        def star(days: float, **changes: Any) -> str:
            cards = {"OBSCLASS": "partnerCal", "OBJECT": "LTT 3218"}
            mask = "IFU-R" if self.mode == "IFU" else "5.0arcsec"
            return self.add(days, **{**cards, "MASKNAME": mask, **changes})

        limits = {"B600": 10.0, "R400": 15.0, "R150": 40.0, "R831": 7.2}
        limit = limits[str(self.cards["GRATING"])[:4]]
        inside = star(20.0, binning="1 1", GRWLEN=self.wavelength + limit - 0.1)
        self._note(target, "standard", inside)
        beyond = star(1.0, GRWLEN=self.wavelength + limit + 0.1)
        self._miss(target, "standard", beyond, "wavelength")
        other = "5.0arcsec" if self.mode == "IFU" else "IFU-2"
        kind = 1 if self.mode == "IFU" else -1
        wrong = star(1.0, MASKNAME=other, MASKTYP=kind)
        self._miss(target, "standard", wrong, "mask")
        self._miss(target, "standard", star(-184.0), "more than 183 d")

    def _twilights(self, target: str) -> None:
        def sky(days: float, **changes: Any) -> str:
            cards = {"OBSCLASS": "dayCal", "OBJECT": "Twilight"}
            return self.add(days, **{**cards, **changes})

        x, y = self.binning.split()
        wider = f"{1 if x != '1' else 2} {y}"
        self._note(target, "twilight", sky(10.0, binning=wider))
        other = f"{x} {1 if y != '1' else 2}"
        self._miss(target, "twilight", sky(1.0, binning=other), "ybin")
        self._miss(target, "twilight", sky(1.0, MASKNAME="0.5arcsec"), "mask")
        self._miss(target, "twilight", sky(11.0), "beyond the 1 that are used")

    def _twilight_flats(self, target: str) -> None:
        def sky(days: float, **changes: Any) -> str:
            cards = {"OBSCLASS": "dayCal", "OBJECT": "Twilight"}
            return self.add(days, **{**cards, **changes})

        self._note(target, "flat", *(sky(5 + i / 100) for i in range(20)))
        self._miss(target, "flat", sky(-6.0), "beyond the 20 that are used")
        other = next(f for f in _FILTERS if f != self.cards["FILTER2"])
        cases: dict[str, dict[str, Any]] = {
            "filters": {"FILTER2": other},
            "gain_setting": {"low": not self.low},
        }
        for text, changes in cases.items():
            self._miss(target, "flat", sky(1.0, **changes), text)
        self._miss(target, "flat", sky(180.5), "more than 180 d")

    def _masks(self, target: str) -> None:
        def bpm(days: float, **changes: Any) -> str:
            cards = {"OBSTYPE": "BPM", "OBSCLASS": "dayCal", "OBJECT": "BPM"}
            return self.add(days, **{**cards, **changes})

        self._note(target, "bpm", bpm(-40.0))
        self._miss(target, "bpm", bpm(-41.0), "of another set, dt 41 d")
        self._miss(target, "bpm", bpm(0.5), "0.5 d after, more than 0 d")


@functools.lru_cache(maxsize=256)
def _amplifiers(
    north: bool, binning: str, gain: float, rows: float
) -> tuple[bytes, ...]:
    """Return the headers of the extensions: 6 amplifiers (e2v) or 12 (Hamamatsu)."""
    n, width = (6, 1024) if north else (12, 512)
    top = int((4608 if north else 4224) * rows)
    found = []
    for k in range(n):
        name = f"{'e2v' if north else 'BI5-36-4k-2'}, {k + 1}"
        cards: dict[str, Any] = {
            "CCDSUM": binning, "AMPNAME": name,
            # One amplifier is deviant, and must be outvoted.
            "GAIN": 7.0 - gain if k == 0 else gain, "RDNOISE": 3.5,
            "DETSEC": f"[{width * k + 1}:{width * (k + 1)},1:{top}]",
        }  # fmt: skip
        found.append(header_bytes(cards))
    return tuple(found)
