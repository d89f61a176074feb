"""Products of a recipe: found by category, and checked against the inputs."""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from ndmapper.data import DataFile, PlainFile
from ndmapper.data.plainfile import open_file
from ndmapper.documents import load_json
from ndmapper.engines.base import Output
from ndmapper.engines.esorex.sof import Frame
from ndmapper.errors import FormatError, MissingFileError
from ndmapper.io.quickheader import HeaderValues, QuickHeader

__all__ = ["ProductError", "Products", "find_products"]

# Longer names are truncated in the header card.
_WHOLE_NAME = 30
_FILTERS = "FILTER_LIST"
_CARD = 80
_RECIPE = re.compile(r"HIERARCH ESO PRO REC(\d{1,9}) ")


class ProductError(Exception):
    """A product is missing or wrong; the message is the end of a sentence."""


class Products:
    """Products of one run."""

    def __init__(self, files: Sequence[tuple[str, DataFile]]) -> None:
        self.files = list(files)
        self.warnings: list[str] = []

    def by_output(
        self, outputs: Sequence[Output], several: Collection[Output] = ()
    ) -> dict[Output, DataFile]:
        """Return the file of every output, or all files of one that gives several."""
        found = {name: self._find(name) for name in outputs if name not in several}
        for name in several:
            files = [df for tag, df in self.files if name in (tag, None)]
            found |= {f"{name or ''}#{n}": df for n, df in enumerate(files, 1)}
        asked = {(name or "").partition("#")[0] for name in outputs}
        taken = {id(df) for df in found.values()}
        left = [tag for tag, df in self.files if tag in asked and id(df) not in taken]
        self.warnings += [
            f"it also made {count} more {tag} that no output asks for"
            for tag, count in Counter(left).items()
        ]
        return found

    def _find(self, output: Output) -> DataFile:
        made = Counter(tag for tag, _ in self.files)
        words = ", ".join(f"{n} {tag}" if n > 1 else tag for tag, n in made.items())
        tag, _, number = (output or "").partition("#")
        files = [df for category, df in self.files if tag in (category, "")]
        if not files:
            msg = f"made no {tag or 'product'}, but {words or 'nothing'}"
            raise ProductError(msg)
        if number:
            if not number.isdecimal() or not 0 < int(number) <= len(files):
                msg = f"made {len(files)} {tag}, and the output {output} is not there"
                raise ProductError(msg)
            return files[int(number) - 1]
        if len(files) > 1:
            what = tag or words
            one = f"{tag or next(iter(made))}#1"
            msg = (
                f"made {len(files)} products ({what}) where one was expected; name "
                f"them {one!r}, ... as outputs, or have the recipe merge them"
            )
            raise ProductError(msg)
        return files[0]

    def check_inputs(
        self, frames: Sequence[Frame], parameters: Sequence[str] = ()
    ) -> None:
        """
        Compare the inputs that the products list with those given.

        Raises ProductError if the recipe ignored raw frames.
        """
        listed: Counter[tuple[str, str]] = Counter()
        raw_tags: set[str] = set()
        for _, df in self.files:
            if isinstance(df, PlainFile):
                continue  # which lists nothing
            raws, cals = (_listed(df.header_values, kind) for kind in ("RAW", "CAL"))
            listed |= Counter(raws + cals)
            raw_tags |= {tag for tag, _ in raws}
            self._check_number(df, raws)
        if not raw_tags:
            return  # the recipe writes no lists
        for tag in dict.fromkeys(frame.tag for frame in frames):
            given = Counter(Path(f.path).name for f in frames if f.tag == tag)
            found = Counter({name: n for (t, name), n in listed.items() if t == tag})
            missing = list((given - _matched(given, found)).elements())
            if not missing:
                continue
            if tag in raw_tags:
                msg = (
                    f"used only {given.total() - len(missing)} of {given.total()} "
                    f"{tag} frames: {', '.join(missing[:5])} "
                    f"{'is' if len(missing) == 1 else 'are'} not in the list of the "
                    "products (a damaged file?)"
                )
                raise ProductError(msg)
            if tag == _FILTERS and "--filter=white" in parameters:
                continue  # built into the MUSE recipes
            if len(missing) == given.total():
                self.warnings.append(
                    f"its products do not list the {tag} that was given: it may not "
                    "have been used"
                )

    def _check_number(self, df: DataFile, raws: Sequence[tuple[str, str]]) -> None:
        combined = df.header_values.get("ESO PRO DATANCOM")
        if isinstance(combined, int) and 0 < combined < len(raws):
            self.warnings.append(
                f"{Path(df).name} lists {len(raws)} raw frames, and says that "
                f"{combined} were combined"
            )


def find_products(folder: Path, listing: Path) -> Products:
    """Open the products that esorex lists."""
    try:
        entries = load_json(listing.read_bytes())
        named = [(str(e["category"]), Path(str(e["name"])).name) for e in entries]
    except (OSError, ValueError, TypeError, KeyError) as err:
        msg = f"did not write a list of products ({type(err).__name__})"
        raise ProductError(msg) from err
    files = []
    for tag, name in sorted(named, key=lambda entry: _natural(entry[1])):
        path = folder / name
        if path.is_symlink() or not path.is_file():
            msg = f"did not write {name} ({tag}), which it lists as its product"
            raise ProductError(msg)
        try:
            files.append((tag, open_file(path)))
        except (FormatError, MissingFileError) as err:
            msg = f"wrote a damaged product {name} ({tag}): {err}"
            raise ProductError(msg) from err
    return Products(files)


def _natural(text: str) -> list[tuple[int, str]]:
    return [(int(n or 0), word) for n, word in re.findall(r"(\d+)|(\D+)", text)]


def _listed(meta: HeaderValues, kind: str) -> list[tuple[str, str]]:
    """Return tags and names of the frames of one kind that a header lists."""
    # Not parsed, which would take longer than all else that is done with a product.
    if isinstance(meta, QuickHeader):
        matches = _RECIPE.finditer(meta.raw.decode("latin-1"))
        numbers = [int(m[1]) for m in matches if m.start() % _CARD == 0]
    else:
        numbers = [int(m[1]) for key in meta if (m := _RECIPE.match(f"HIERARCH {key}"))]
    # Earlier lists in the header are those of the inputs.
    number = max(numbers, default=1)
    found: list[tuple[str, str]] = []
    start = f"ESO PRO REC{number} {kind}"
    while (name := meta.get(f"{start}{len(found) + 1} NAME")) is not None:
        tag = meta.get(f"{start}{len(found) + 1} CATG") or ""
        found.append((str(tag).strip(), str(name).strip()))
    return found


def _matched(given: Counter[str], listed: Counter[str]) -> Counter[str]:
    """Return the given names that are listed, possibly truncated."""
    matched = given & listed
    left = listed - matched
    for name in (given - matched).elements():
        for short in left.elements():
            if len(short) >= _WHOLE_NAME and name.startswith(short):
                matched[name] += 1
                left[short] -= 1
                break
    return matched
