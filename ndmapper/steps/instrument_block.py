"""What the record tells of instrument tables: the block ``instrument`` of an entry."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ndmapper.instruments import Amplifier, load, names
from ndmapper.instruments.amplifiers import PARTS, is_section_of

__all__ = [
    "Block",
    "amplifiers_in",
    "block_differences",
    "block_of",
    "describe_block",
    "given_by_table",
    "named_changes",
    "tells_of_tables",
]

Block = Mapping[str, Any]
"""What of a table goes into a record: see `ndmapper.io.record`, ``instrument``."""

_WORDS = {"data": "data section", "overscan": "overscan section",
          "read_noise": "read noise", "saturation": "saturation level"}  # fmt: skip


def block_of(row: Mapping[str, Any]) -> Block | None:
    """Give the block of instrument tables of a record entry."""
    block = row.get("instrument")
    return block if isinstance(block, Mapping) else None


def tells_of_tables(row: Mapping[str, Any]) -> bool:
    """Whether the schema of a record entry has a block of instrument tables."""
    return "instrument" in row or row["schema"] > 1


def amplifiers_in(block: Block) -> Iterator[tuple[Any, list[Mapping[str, Any]]]]:
    """List the amplifiers of each extension, as far as they are well formed."""
    given = block.get("amplifiers")
    for item in given if isinstance(given, list | tuple) else ():
        if not isinstance(item, list | tuple) or len(item) != 2:
            continue
        ident, listed = item
        if isinstance(ident, str | int) and isinstance(listed, list | tuple):
            yield ident, [a for a in listed if isinstance(a, Mapping) and "name" in a]


def _values(block: Block) -> dict[tuple[Any, str, str], Any]:
    found = {
        (ident, str(amplifier["name"]), part): value
        for ident, amplifiers in amplifiers_in(block)
        for amplifier in amplifiers
        for part, value in amplifier.items()
        if part != "name"
    }
    words = {"convention": "convention", "bits": "meaning of bits"}
    for group, shown in (("keywords", "keyword of {}"), ("flags", "flags, {}")):
        values = block.get(group)
        for part, value in values.items() if isinstance(values, Mapping) else ():
            word = words.get(part, part) if group == "flags" else _WORDS.get(part, part)
            found["", "", shown.format(word)] = value
    return found


def _word(value: Any) -> str:
    return "not given" if value is None else str(value)


def given_by_table(amplifiers: Sequence[Amplifier]) -> list[dict[str, Any]]:
    """List what the table, not the header, gave for each amplifier."""
    listed = []
    for amplifier in amplifiers:
        parts = [p for p in PARTS[1:] if p not in amplifier.cards]
        values = {p: getattr(amplifier, p) for p in parts}
        known = {p: v for p, v in values.items() if v is not None}
        if known:
            listed.append({"name": amplifier.name, **known})
    return listed


def block_differences(old: Block, new: Block) -> list[str]:
    """List how what a table gave differs from what it gives now."""
    table = new.get("table") or old.get("table") or "the instrument table"
    before, after = _values(old), _values(new)
    many = len({ident for ident, _, _ in {**before, **after}}) > 1
    found = []
    for ident, name, part in {**before, **after}:
        was, now = (v.get((ident, name, part)) for v in (before, after))
        if was != now:
            where = f" of amplifier {name}" if name else ""
            where += f" of extension {ident}" if many and name else ""
            found.append(
                f"{_WORDS.get(part, part)}{where} was {_word(was)}, now {_word(now)}, "
                f"in {table}"
            )
    return found


def named_changes(block: Block) -> list[str]:
    """List what the table of that name gives otherwise, without looking at a frame."""
    name = Path(str(block.get("table", ""))).stem
    if not block.get("amplifiers"):
        return []
    if name not in names():
        return [f"there is no instrument table {block.get('table')} here"]
    fixed = [f.amplifier for f in load(name).fixed_amplifiers]
    found = []
    for ident, listed in amplifiers_in(block):
        for values in listed:
            same = [given_by_table([a])[0] for a in fixed if a.name == values["name"]]
            parts = [
                {
                    p: values[p] if is_section_of(v, values[p]) else v
                    for p, v in s.items()
                    if p in values
                }
                for s in same
            ]
            if values not in parts:
                now = {"amplifiers": [[ident, parts[:1]]], "table": f"{name}.toml"}
                was = {"amplifiers": [[ident, [values]]]}
                found += block_differences(was, now)
    return list(dict.fromkeys(found))


def describe_block(block: Block) -> str:
    """Summarise in a line what a table gave."""
    many = len({ident for ident, _, _ in _values(block)}) > 1
    said = [
        f"{_WORDS.get(part, part)}{f' of amplifier {name}' if name else ''}"
        f"{f' of extension {ident}' if many and name else ''} {_word(value)}"
        for (ident, name, part), value in _values(block).items()
    ]
    return f"{block.get('table')} ({block.get('origin')}): {', '.join(said)}"
