"""
What instrument tables tell a step: looked up for the plan, used in the run.

A function names a parameter of the type `InstrumentTable`, and is handed `TableFacts`
for it. What a table gave (not what header cards say, for they are part of the inputs)
goes into the record and the key of the product.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from ndmapper.data import DataFile, NDLater
from ndmapper.data.plainfile import PlainFile
from ndmapper.data.planned import header_source
from ndmapper.errors import InstrumentError, ParameterError
from ndmapper.instruments import (
    Amplifier,
    Instrument,
    has_fixed_amplifiers,
    has_own_tables,
    load,
    load_flags,
    origin_of,
    recognise,
)
from ndmapper.instruments.amplifiers import PARTS
from ndmapper.instruments.functions import Header
from ndmapper.steps.declare.parameters import FromTable, OfInstrument, Parameter
from ndmapper.steps.instrument_block import (
    Block,
    amplifiers_in,
    block_differences,
    block_of,
    given_by_table,
)

__all__ = [
    "InstrumentTable",
    "TableFacts",
    "check_table",
    "flags_block",
    "parameters_of_instrument",
    "plan_facts",
    "table_facts",
]

log = logging.getLogger(__name__)


class _Header:
    """The header of an image, completed by NAXIS1 and NAXIS2."""

    def __init__(self, ndd: NDLater) -> None:
        self.header = ndd.header_values
        self.axes = {f"NAXIS{n}": size for n, size in enumerate(ndd.shape[::-1], 1)}

    def get(self, key: str, /) -> Any:
        """Give the value of a card."""
        return self.axes[key] if key in self.axes else self.header.get(key)


@dataclass(frozen=True, kw_only=True)
class TableFacts:
    """
    What is known of the amplifiers of the images of a file.

    Parameters
    ----------
    instrument : Instrument or None
        The instrument whose table counts; None where each header tells.
    filename : str
        The file.
    planned : mapping
        Extension to its shape and its amplifiers, as they were when the step was
        planned; only where a table gave anything.
    block : mapping
        What goes into the record; empty where the table gave nothing.
    """

    instrument: Instrument | None = None
    filename: str = ""
    planned: Mapping[Any, tuple[tuple[int, ...], tuple[Amplifier, ...]]] = field(
        default_factory=dict
    )
    block: Block = field(default_factory=dict)

    def of(self, ndd: NDLater) -> tuple[Amplifier, ...]:
        """
        Give the amplifiers of an image.

        Parameters
        ----------
        ndd : NDLater
            An extension of the file, or of what was made of it in memory.

        Returns
        -------
        tuple of Amplifier
            Empty where they are not known.

        Raises
        ------
        InstrumentError
            If an earlier step in memory changed the image, so that the table says
            something else of it than what was planned and recorded.
        """
        shape, known = self.planned.get(ndd.ident, (None, ()))
        if shape == ndd.shape:
            return known
        instrument = self.instrument or _instrument_of(ndd)
        found = _find(instrument, ndd, self.filename)
        if shape is not None and given_by_table(found) != given_by_table(known):
            msg = (
                f"{Path(instrument.source).name} describes amplifiers of an image of "
                f"shape {shape}, but an earlier step of the chain made one of shape "
                f"{ndd.shape}; save what that step makes, or trim first"
            )
            raise InstrumentError(msg)
        return found

    def why_none(self, ndd: NDLater) -> str:
        """
        Say why nothing is known of an image.

        Parameters
        ----------
        ndd : NDLater
            The image.

        Returns
        -------
        str
            In words.
        """
        instrument = self.instrument or _instrument_of(ndd)
        why = instrument.why_no_amplifier(_primary(ndd), _Header(ndd), self.filename)
        return f"instrument {instrument.name}: {why}"


InstrumentTable = Annotated[
    str | os.PathLike[str] | Mapping[str, Any] | TableFacts | None, FromTable()
]
"""
The parameter of a step that takes what an instrument table says of amplifiers.

A call gives the name of an instrument, or the path of its TOML; the function is handed
`TableFacts`, which `ndmapper.lib.ccd.readouts` takes.
"""


def check_table(value: Any, step: str) -> Any:
    """
    Check the instrument or table that a call gives.

    Raises
    ------
    ParameterError
        If it is neither a name, a path, nor what a record holds.
    """
    if value is None or isinstance(value, (str, os.PathLike, Mapping, TableFacts)):
        return value
    msg = (
        f"{step}: instrument = {value!r} must be the name of an instrument or the path "
        "of its TOML"
    )
    raise ParameterError(msg)


def plan_facts(files: Sequence[DataFile], given: Any) -> TableFacts:
    """Look up the amplifiers of files, from their headers alone."""
    found = [_of_file(df, given) for df in files]
    if len(found) == 1:
        return found[0]
    blocks = [facts.block for facts in found if facts.block]
    if not blocks:
        return replace(found[0], filename="", planned={})
    images = [list(i) for block in blocks for i in amplifiers_in(block)]
    unique = [i for n, i in enumerate(images) if i not in images[:n]]
    block = {**blocks[0], "amplifiers": unique}
    return replace(found[0], filename="", planned={}, block=block)


def parameters_of_instrument(
    parameters: Mapping[str, Parameter],
    values: Mapping[str, Any],
    step: str,
    df: DataFile | None,
    given: Any = None,
) -> dict[str, Any]:
    """Give the parameters that a call left to its instrument table, or the file's."""
    wanted = [
        n
        for n, p in parameters.items()
        if p.of_instrument and (values[n] is None or p.of_instrument.completes)
    ]
    source = None if not wanted or df is None else _source(df)
    if wanted and isinstance(given, str | os.PathLike):
        instrument: Instrument | None = load(given)
    else:
        instrument = None if source is None else recognise(source.header_values)
    if instrument is None:
        return {}
    headers = _headers_of(source)
    stated = instrument.parameters_of(step, *headers)
    for name in wanted:
        if parameters[name].of_instrument == OfInstrument("spectrograph"):
            stated[name] = instrument.spectrograph_of(*headers) | (values[name] or {})
    where = f"{instrument.source}, steps.{step}"
    return {n: parameters[n].check(stated[n], where) for n in wanted if n in stated}


def _headers_of(source: DataFile | None) -> tuple[Header, Header | None, str]:
    """Give the headers that conditions on a file are asked of, and its name."""
    if source is None:
        return {}, None, ""
    extension = source[0].header_values if len(source) else None
    return source.header_values, extension, str(source)


def table_facts(ndd: NDLater, given: Any = None) -> TableFacts:
    """
    Give what is known of the amplifiers of an image, also outside of a step.

    Parameters
    ----------
    ndd : NDLater
        The image.
    given : str, path, TableFacts or None
        What a step was handed; or the name of an instrument, or the path of its TOML.

    Returns
    -------
    TableFacts
        The facts.
    """
    if isinstance(given, TableFacts):
        return given
    if isinstance(given, Mapping):
        return _recorded(TableFacts(instrument=_instrument_of(ndd)), [ndd], given)
    return TableFacts(instrument=None if given is None else _named(given, ndd))


def flags_block(df: DataFile) -> Block:
    """Describe for the record what a table of the user says of flag bits."""
    if not has_own_tables() or (source := _source(df)) is None:
        return {}
    instrument = recognise(source.header_values)
    if instrument is None or instrument.flags is None:
        return {}
    if origin_of(instrument) == "packaged":
        return {}
    found: dict[str, Any] = {"convention": Path(instrument.flags).name}
    if instrument.flags.endswith(".toml"):
        table = load_flags(instrument.flags)
        found["bits"] = {b.name: [b.bit, b.own] for b in table.bits}
        found["from_own"] = dict(table.from_own)
    return {**_place(instrument), "flags": found}


def _of_file(df: DataFile, given: Any) -> TableFacts:
    source = _source(df)
    if source is None or _is_taken(df.record):
        return TableFacts(filename=str(df))
    name = str(source)
    primary = source.header_values
    if given is None and not (has_own_tables() or has_fixed_amplifiers(primary)):
        return TableFacts(filename=name)  # the headers say it all, when it runs
    if isinstance(given, Mapping):
        instrument = recognise(primary) or load("ccd")
        facts = TableFacts(instrument=instrument, filename=name)
        flags = {n: v for n, v in given.items() if n in ("table", "flags")}
        for text in block_differences(flags, flags_block(df)):
            log.warning("%s: %s here, which counts", name, text)
        return _recorded(facts, list(source), given)
    instrument = load(given) if given is not None else recognise(primary) or load("ccd")
    facts = TableFacts(instrument=instrument, filename=name)
    origin = origin_of(instrument)
    if origin == "packaged" and not instrument.fixed_amplifiers:
        return facts  # which says where to look, and nothing else
    planned = {}
    images: list[Any] = []
    every: list[Amplifier] = []
    for ndd in source:
        if _is_stamped(ndd) or ndd.ndim < 2:
            continue
        try:
            found = _find(instrument, ndd, name)
        except InstrumentError:
            continue  # perhaps the step does not need it; else it says so
        planned[ndd.ident] = (ndd.shape, found)
        if any(given_by_table(found)):
            images.append([ndd.ident, given_by_table(found)])
        every += found
    block: dict[str, Any] = {}
    if images:
        block["amplifiers"] = images
    if origin != "packaged" and (keywords := _keywords(every)):
        block["keywords"] = keywords
    return replace(
        facts, planned=planned, block={**_place(instrument), **block} if block else {}
    )


def _recorded(facts: TableFacts, images: Sequence[NDLater], block: Block) -> TableFacts:
    """Use the facts of a record, and warn where the tables here differ from it."""
    assert facts.instrument is not None
    given = dict(amplifiers_in(block))
    every: list[Amplifier] = []
    planned = {}
    for ndd in images:
        listed = given.get(ndd.ident)
        if listed is None or _is_stamped(ndd):
            continue
        local = _find(facts.instrument, ndd, facts.filename)
        every += local
        here = {a.name: a for a in local}
        made = []
        for values in listed:
            base = here.get(values["name"])
            cards = {} if base is None else {p: getattr(base, p) for p in base.cards}
            known = {p: v for p, v in values.items() if p in PARTS}
            made.append(Amplifier(**{"data": "", **cards, **known}))
        planned[ndd.ident] = (ndd.shape, tuple(made))
        now = {
            **_place(facts.instrument),
            "amplifiers": [[ndd.ident, given_by_table(local)]],
        }
        was = {"table": block.get("table"), "amplifiers": [[ndd.ident, listed]]}
        for text in block_differences(was, now):
            log.warning("%s: %s here; what was recorded counts", facts.filename, text)
    kept = {n: v for n, v in block.items() if n != "flags"}
    if "keywords" in kept:
        # These say where to look in a header, which is done here.
        keywords = _keywords(every)
        was = {n: kept.get(n) for n in ("table", "keywords")}
        for text in block_differences(was, {**was, "keywords": keywords}):
            log.warning("%s: %s here, which counts", facts.filename, text)
        kept["keywords"] = keywords
    return replace(facts, planned=planned, block=kept)


def _keywords(amplifiers: Sequence[Amplifier]) -> dict[str, str]:
    """List the keywords that gave each part; several amplifiers have several."""
    found: dict[str, dict[str, None]] = {}
    for amplifier in amplifiers:
        for part, keyword in amplifier.cards.items():
            found.setdefault(part, {})[keyword] = None
    return {part: ", ".join(keywords) for part, keywords in found.items()}


def _source(df: DataFile) -> DataFile | None:
    """Find the file whose headers a planned product will have."""
    return None if isinstance(df, PlainFile) else header_source(df)


def _is_taken(record: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an earlier step in the history of a file used the table already."""
    rows = {row["key"]: row for row in record}
    row = record[-1] if record else None
    while row is not None:
        block = block_of(row)
        # What it says of flags alone, every step does.
        if block is not None and (not block or {"amplifiers", "keywords"} & set(block)):
            return True
        key = next((ref.get("key") for ref in row["inputs"]), None)
        row = rows.pop(str(key), None)
    return False


def _is_stamped(ndd: NDLater) -> bool:
    return ndd.header_values.get("AMPSEC1") is not None


def _primary(ndd: NDLater) -> Any:
    return ndd.primary_values or ndd.header_values


def _instrument_of(ndd: NDLater) -> Instrument:
    # For a camera without a table the usual keywords may be enough.
    return recognise(_primary(ndd)) or load("ccd")


def _named(given: Any, ndd: NDLater) -> Instrument:
    return load(given)


def _find(instrument: Instrument, ndd: NDLater, name: str) -> tuple[Amplifier, ...]:
    primary = _primary(ndd)
    found = instrument.amplifiers(primary, _Header(ndd), Path(name).name)
    conflict = instrument.conflict(primary)
    if conflict is not None:
        remark = f"{Path(instrument.source).name} is used, though {conflict}"
        found = tuple(replace(a, remarks=(remark, *a.remarks)) for a in found)
    camera = primary.get("INSTRUME")
    if instrument.fallback and camera is not None:
        why = f" (no instrument table claims INSTRUME = {camera!r})"
        found = tuple(
            replace(a, unknown={p: f"{text}{why}" for p, text in a.unknown.items()})
            for a in found
        )
    return found


def _place(instrument: Instrument) -> dict[str, str]:
    name = Path(instrument.source).name
    return {"table": name, "origin": origin_of(instrument)}
