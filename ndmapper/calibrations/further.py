"""Further products of what a calibration is made of: the trace of a flat."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ndmapper.calibrations.frame_index import FrameIndex
from ndmapper.calibrations.frames import PROCESSED
from ndmapper.calibrations.given import Calibration, GivenCals, first_file
from ndmapper.calibrations.matching import match_frames
from ndmapper.calibrations.names import frame_name, product_name
from ndmapper.calibrations.patterns import is_there, open_product
from ndmapper.calibrations.scan import find_frames
from ndmapper.calibrations.schema import CALIBRATIONS
from ndmapper.calibrations.sets import find_in_any_form
from ndmapper.data import PlainFile
from ndmapper.data.planned import header_source
from ndmapper.instruments import Instrument, recognise
from ndmapper.io.filetypes import split_ext

__all__ = ["FurtherProduct", "instrument_of"]


def instrument_of(file: Calibration) -> Instrument | None:
    """Recognise the instrument of a file; of one that is planned, by what it is of."""
    first = first_file(file)
    found = None if first is None else header_source(first)
    if found is None or isinstance(found, PlainFile):
        return None
    return recognise(found.header_values)


@dataclass(frozen=True, kw_only=True)
class FurtherProduct:
    """The product of one type that belongs to a calibration of another type."""

    # The label of the calibration, and its type.
    label: str
    from_type: str
    # The type of the product.
    cal_type: str
    instrument: Instrument

    @property
    def name(self) -> str:
        """
        The label of the product: ``x_trace.fits`` for that of ``x_flat.fits``.

        The name of the output is replaced as well (TRACE_TABLE for MASTER_FLAT); a
        label that has neither gets the type at its end.
        """
        tags = self.instrument.products[self.from_type]
        pairs = [(f"_{self.from_type}", f"_{self.cal_type}")]
        if self.from_type in tags:
            pairs.append((tags[self.from_type], tags[self.cal_type]))
        folder, slash, stem = product_name(self.label).rpartition("/")
        for old, new in pairs:
            before, found, after = stem.rpartition(old)
            if found and not after[:1].isalnum():
                return f"{folder}{slash}{before}{new}{after}"
        plain, ext = split_ext(stem)
        key = re.search(r"([-_.]?\{[^{}]*\})?$", plain)
        at = len(plain) if key is None else key.start()
        ending = "" if ext is None else f".{ext}"
        return f"{folder}{slash}{plain[:at]}_{self.cal_type}{plain[at:]}{ending}"

    def find(self, given: GivenCals, cal_dict: Mapping[str, Any]) -> Calibration | None:
        """
        Find it among calibrations that are given, or on disk; None if it is not there.

        It is given under the label of the calibration or under its own, or was made
        of the same raw frames; or it is a file of its label, or lies beside the
        calibration.
        """
        found = self._find_given(given, cal_dict)
        if found is not None:
            return found
        path = find_in_any_form(self.name, cal_dict)
        if path is not None:
            return open_product(path)
        main = given.find(self.label)
        places = [find_in_any_form(self.label, cal_dict)]
        places += [] if main is None else [Path(str(main))]
        for place in places:
            if place is not None and is_there(place):
                path = self._beside(place)
                if path is not None:
                    return open_product(path)
        return None

    def _find_given(
        self, given: GivenCals, cal_dict: Mapping[str, Any]
    ) -> Calibration | None:
        keyed = given.under(self.label)
        kinds = [self._type_of(cal, given) for cal in keyed]
        for wanted in (self.cal_type, None):
            if kinds.count(wanted) == 1:
                return keyed[kinds.index(wanted)]
        if (found := given.find(self.name)) is not None:
            return found
        main = given.find(self.label)
        files = cal_dict.get(CALIBRATIONS, {}).get(self.label, ())
        raws = {frame_name(name) for name in files}
        for cal in given:
            if self._type_of(cal, given) == self.cal_type:
                if raws and _made_of(cal) <= raws:
                    return cal
                if not raws and main is not None and _folder(cal) == _folder(main):
                    return cal
        return None

    def _type_of(self, cal: Calibration, given: GivenCals) -> str | None:
        """Return the type of a product, by record or header; None if not known."""
        output = given.output_of(cal)
        tags = self.instrument.products[self.from_type]
        found = [cal_type for cal_type, tag in tags.items() if tag == output]
        df = first_file(cal)
        if found or df is None or not df.is_made or isinstance(df, PlainFile):
            return found[0] if found else None
        values = self.instrument.describe(df.header_values)
        name = self.instrument.classify_values(values)[0] or ""
        return name.removeprefix(PROCESSED) if name.startswith(PROCESSED) else None

    def _beside(self, path: Path) -> Path | None:
        """Find the product that lies in the folder of the calibration and fits best."""
        frames = find_frames(path.parent, self.instrument)
        made = [frame for frame in frames if frame.is_processed]
        main = next((frame for frame in made if frame.name == path.name), None)
        if main is None:
            return None
        found = match_frames(main, self.cal_type, FrameIndex(made)).product
        return None if found is None else found.path


def _made_of(cal: Calibration) -> set[str]:
    """Return the names of the inputs of a product."""
    df = first_file(cal)
    record = [] if df is None else df.record
    inputs: Iterable[Mapping[str, Any]]
    inputs = record[-1].get("inputs") or () if record else ()
    names = {frame_name(str(one["name"])) for one in inputs if one.get("name")}
    return names or {""}


def _folder(cal: Calibration) -> Path:
    return Path(str(cal)).absolute().parent
