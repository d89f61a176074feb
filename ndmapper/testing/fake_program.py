"""
The fake program: it records its call, then does what it was told.

It runs as a script with the standard library only.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

_FITS = (".fits", ".fit", ".fits.gz", ".fits.fz")
_SIDE = 100
_HUGE = 8_000_000


def main(told: dict[str, Any], argv: list[str]) -> int:
    """Act as the program."""
    options = dict(a[2:].partition("=")[::2] for a in argv if a.startswith("--"))
    words = [a for a in argv if not a.startswith("--")]
    recipes = told["recipes"]
    if recipes is not None and "json" in options.get("create-config", ""):
        return _describe(recipes, options["create-config"], words[0])
    _note(told, argv, words[-1] if recipes is not None and words else None)
    fault = told["fault"]
    print(told["prints"], flush=True)
    if fault == "hang":
        while True:
            time.sleep(60)
    if fault == "huge output":
        for _ in range(_HUGE // 80):
            print("=" * 79)
    if fault == "bad UTF-8":
        sys.stdout.flush()
        sys.stdout.buffer.write(b"na\xefve \xff\xfe \x1b[31mred\x1b[0m\n")
    if fault == "exit":
        print("[ ERROR ] fake: told to fail", file=sys.stderr)
        return int(told["code"])
    if fault != "no product":
        half = fault in ("half a product", "signal", "crash")
        if recipes is None:
            _products_of_program(argv, half=half)
        else:
            _products_of_recipe(recipes[words[0]], options, words[-1], half=half)
    if fault in ("signal", "crash"):
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL if fault == "signal" else signal.SIGSEGV)
    return 0


def _note(told: dict[str, Any], argv: list[str], sof: str | None) -> None:
    note = {
        "argv": argv,
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "sof": Path(sof).read_text(encoding="utf-8") if sof else None,
    }
    line = json.dumps(note).encode() + b"\n"
    notes = os.open(told["notes"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(notes, line)  # in one write, since several may run at a time
    finally:
        os.close(notes)


def _products_of_program(argv: list[str], *, half: bool) -> None:
    """Write every FITS file that an argument names and that does not exist."""
    paths = [Path(a.rpartition("=")[2]) for a in argv if a.lower().endswith(_FITS)]
    sources = [path for path in paths if path.exists()]
    for path in paths:
        if path.exists():
            continue
        if sources:
            shutil.copyfile(sources[0], path)
        else:
            path.write_bytes(_fits([]))
        if half:
            os.truncate(path, path.stat().st_size // 2)


def _describe(recipes: dict[str, Any], target: str, name: str) -> int:
    if name not in recipes:
        print(f"[ ERROR ] esorex: Unable to find recipe '{name}'.", file=sys.stderr)
        return 13
    kinds = {bool: "bool", int: "int", float: "double", str: "string"}
    described = [
        {
            "name": f"fake.{name}.{key}",
            "display_name": key,
            "value": value,
            "valtype": kinds[type(value)],
            "partype": "value",
            "description": "",
            "recipe": name,
        }
        for key, value in recipes[name]["parameters"].items()
    ]
    Path(target).write_text(json.dumps(described), encoding="utf-8")
    return 0


def _products_of_recipe(
    recipe: dict[str, Any], options: dict[str, str], sof: str, *, half: bool
) -> None:
    lines = Path(sof).read_text(encoding="utf-8").splitlines()
    frames = [line.split() for line in lines]
    listing = []
    for tag, count in recipe["products"].items():
        for number in range(1, count + 1):
            name = f"{tag}.fits" if count == 1 else f"{tag}-{number:02d}.fits"
            content = _fits([("ESO PRO CATG", tag), *_listed(frames)])
            size = len(content) // 2 if half else len(content)
            Path(name).write_bytes(content[:size])
            listing.append({"name": name, "category": tag})
    Path(options["products-sof"]).write_text(json.dumps(listing), encoding="utf-8")


def _listed(frames: list[list[str]]) -> list[tuple[str, str]]:
    cards = []
    counts = {"RAW": 0, "CAL": 0}
    for path, tag, *_ in frames:
        kind = "CAL" if tag.startswith("MASTER_") else "RAW"
        counts[kind] += 1
        start = f"ESO PRO REC1 {kind}{counts[kind]}"
        cards += [(f"{start} NAME", Path(path).name), (f"{start} CATG", tag)]
    return cards


def _fits(cards: list[tuple[str, str]]) -> bytes:
    """Write a small image (FITS standard 4.0, sections 3.3 and 4)."""
    lines = [
        "SIMPLE  =                    T",
        "BITPIX  =                   16",
        "NAXIS   =                    2",
        f"NAXIS1  = {_SIDE:20d}",
        f"NAXIS2  = {_SIDE:20d}",
        *(f"HIERARCH {key} = '{value[:40]}'" for key, value in cards),
        "END",
    ]
    header = "".join(line.ljust(80) for line in lines).encode("ascii", "replace")
    parts = header.ljust(-(-len(header) // 2880) * 2880), bytes(2 * _SIDE * _SIDE)
    content = b"".join(parts)
    return content.ljust(-(-len(content) // 2880) * 2880, b"\0")


if __name__ == "__main__":
    with Path(sys.argv[1]).open(encoding="utf-8") as stream:
        sys.exit(main(json.load(stream), sys.argv[2:]))
