"""Write a script that makes products again, from their records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from ndmapper.data.name_pattern import parse_pattern, without_key
from ndmapper.io.filetypes import is_plain, record_name
from ndmapper.report.calls import Call, find_calls
from ndmapper.report.definitions import Definitions
from ndmapper.report.lineage import Lineage, Row, UsedFile, references_of
from ndmapper.report.python_text import Code, call_text, comment
from ndmapper.steps.instrument_block import block_of, describe_block
from ndmapper.steps.record.entry import output_name
from ndmapper.steps.record.freshness import table_changes

__all__ = ["Script", "write_script"]


@dataclass
class Script:
    """A generated script."""

    # Source of the script.
    text: str
    # Modules it needs: content by path in the folder of the raw files.
    raws: dict[str, str]
    # Products that it cannot make, and why.
    problems: list[str] = field(default_factory=list)


def write_script(records: Mapping[str, Sequence[Row]]) -> Script:
    """Write a script that makes products again from the raw files."""
    lineage = Lineage.of(records.values())
    product = Path(next(iter(records), "unnamed"))
    return _Writer(lineage, product).write(list(records))


class _Writer:
    """Writer of one script."""

    def __init__(self, lineage: Lineage, product: Path) -> None:
        self.lineage = lineage
        self.product = product
        self.calls = find_calls(lineage)
        self.definitions = Definitions(lineage.rows)
        self.raw, self.out, self.item = self.definitions.free("RAW", "OUT", "name")
        self.places: dict[Any, str] = {}
        self.raws: dict[str, str] = {}
        self.problems: list[str] = []
        self._name_files()

    def _name_files(self) -> None:
        """Assign a path to every file, different for files of the same name."""
        taken: set[str] = set()

        def place(name: str) -> str:
            # A record is untrusted: only the name is used, no folder.
            name = record_name(name)
            name = "unnamed" if name in ("", "..") else name
            found, count = name, 1
            while found in taken:
                count += 1
                found = f"{count}/{name}"
            taken.add(found)
            return found

        for content, name in self.lineage.raws:
            self.places[content, name] = place(name)
        for row in self.lineage.rows:
            self.places[id(row)] = place(row["product"])

    def file(self, use: UsedFile) -> Code:
        """Write the path of a file."""
        maker = self.lineage.maker(use)
        if maker is not None:
            return Code(f"{self.out} / {self.places[id(maker)]!r}")
        place = self.places[use.identity]
        if not use.in_memory:
            self.raws[place] = use.identity[0]
        return Code(f"{self.raw} / {place!r}")

    def write(self, names: Sequence[str]) -> Script:
        """Write the script."""
        body = [block for call in self.calls for block in self._call(call)]
        return Script(
            "\n".join([*self._head(names), *body]).rstrip("\n") + "\n",
            self.raws,
            self.problems,
        )

    def _head(self, names: Sequence[str]) -> list[str]:
        listed = comment(", ".join(Path(name).name for name in names))
        needed = f"{len(self.raws)} raw file{'s' if len(self.raws) != 1 else ''}"
        lines = [
            f"# Makes {listed} again, from {needed}:",
            "#     python SCRIPT [FOLDER OF THE RAW FILES]",
            f"# Written by 'ndmapper script' from {_versions(self.lineage.rows)}.",
            *(
                f"# It imports {comment(name)}, a file of your own: put that beside it."
                for name in _own_files(self.lineage.rows)
            ),
            *(f"# IT STOPS: {comment(problem)}" for problem in self.problems),
            "",
            *self.definitions.imports,
            "",
            f"{self.raw} = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else '.')",
            f"{self.out} = pathlib.Path(config['outdir'])",
            "config['reprocess'] = 'auto'",
            "",
        ]
        if self.raws:
            raws = sorted(self.raws.items())
            lines += [
                "# The files that were used, by their content.",
                f"for {self.item}, content in {{",
                *(f"    {place!r}: {content!r}," for place, content in raws),
                "}.items():",
                f"    if digest({self.raw} / {self.item}) != content:",
                f"        sys.exit(f'{{{self.raw} / {self.item}}} is not the file '",
                "                 'that was used: its content differs')",
                "",
            ]
        return lines

    def _call(self, call: Call) -> list[str]:
        row = call.first
        lines = ["", *self._settings(row)]
        problems = [*self._problems(call)]
        try:
            before, text = (self._tool if row.get("task") else self._step)(call)
        except _CannotBeWrittenError as err:
            before, text, problems = [], "", [*problems, str(err)]
        lines += before
        for problem in problems:
            self.problems.append(problem)
            lines += [
                *self.definitions.ours("sys"),
                f"# This cannot be made again: {comment(problem)}.",
                f"sys.exit({problem!r})",
            ]
        return [*lines, *([text] if text else [])]

    def _settings(self, row: Row) -> list[str]:
        changed = self.definitions.settings(row.get("config") or {})
        lines = self.definitions.ours("config") if changed else []
        return [*lines, *(f"config[{n!r}] = {v!r}" for n, v in changed.items())]

    def _problems(self, call: Call) -> Iterable[str]:
        for unit in call.units:
            for use in references_of(unit.first):
                if use.in_memory:
                    yield (
                        f"{unit.first['product']} was made of {use.name} as it was in "
                        f"memory, changed and not saved ({unit.first['step']})"
                    )
        row = call.first
        script = row.get("script") or {}
        for name, why in (script.get("missing") or {}).items():
            yield f"{row['step']} of {row['product']} uses {name}, but {why}"

    def _step(self, call: Call) -> tuple[list[str], str]:
        """Write the call of a Python step."""
        row = call.first
        if row["step"] == "edited":
            what = ", ".join(map(str, row["parameters"].get("edited", ())))
            msg = (
                f"{row['product']} was edited in Python ({what}); to go on, put the "
                f"edited file to {self.places[id(row)]} in the folder of products, and "
                "delete this line"
            )
            raise _CannotBeWrittenError(msg)
        name, lines, problem = self.definitions.step(row)
        if problem:
            raise _CannotBeWrittenError(problem)
        script = row.get("script") or {}
        first: Any = self._inputs(call)
        if len(first) == 1 and script.get("each") != "list":
            first = first[0]
        words: dict[str, Any] = {
            # Of a unit that is split off, those that belong to its key.
            role: self._files(
                role, value, as_sets=not row.get("unit"), keys=_given(row, role)
            )
            for role, value in row["calibrations"].items()
        }
        exact = script.get("parameters") or {}
        for parameter, value in row["parameters"].items():
            if row.get("unit") and parameter in _of_key(script.get("by")):
                continue  # which the step gives itself
            if parameter in row["references"]:
                given = self._named_files(row, parameter, value)
                if (kind := exact.get(parameter)) in ("DataFile", "PlainFile"):
                    lines = [*self.definitions.ours(kind), *lines]
                    given = Code(f"{kind}({given})")
                words[parameter] = given
            elif parameter in exact:
                words[parameter] = Code(exact[parameter])
            else:
                words[parameter] = value
        if (table := block_of(row) or {}).get("amplifiers"):
            # As a literal, so that it holds even if the table here differs; the script
            # reports differences when it runs.
            words["instrument"] = table
            lines = [*lines, *self._table_lines(row, table)]
        words["out_names"] = self._out_names(call)
        text = call_text(name, [first], words)
        if "FileSet(" in text:
            lines = [*self.definitions.ours("FileSet"), *lines]
        return lines, text

    def _table_lines(self, row: Row, table: Mapping[str, Any]) -> list[str]:
        """Write what an instrument table gave, and a check against the one here."""
        here = table_changes(row, self.product)
        return [
            f"# From {comment(describe_block(table))}",
            *(f"# THE TABLE HERE DIFFERS: {comment(text)}" for text in here),
        ]

    def _named_files(self, row: Row, parameter: str, value: Any) -> Any:
        """Write the files of a parameter; None unless it is only files."""
        files = row["references"][parameter]
        if isinstance(files, list) and (
            not isinstance(value, list) or len(value) != len(files)
        ):
            msg = (
                f"{row['step']} of {row['product']}: of {parameter}={value!r} "
                "only a part are files; write it here instead of this line"
            )
            raise _CannotBeWrittenError(msg)
        return self._files(parameter, files, as_sets=True)

    def _files(
        self,
        role: str,
        value: Any,
        *,
        as_sets: bool = False,
        keys: Sequence[Sequence[Any]] = (),
    ) -> Any:
        """Write the files of a calibration or parameter."""
        if isinstance(value, list) and not as_sets:
            return [self._files(role, reference) for reference in value]
        if isinstance(value, list):
            items = self._items(role, value, keys)
            is_one_set = len(items) == 1 and (value[0] or {}).get("set") is not None
            return items[0] if is_one_set else items
        return None if value is None else self.file(UsedFile(role, value))

    def _items(
        self, role: str, references: Sequence[Any], keys: Sequence[Sequence[Any]] = ()
    ) -> list[Any]:
        """Write files, and the members of each set as one, by keys that were given."""
        items: list[Any] = []
        given = iter(keys)
        for name, group in groupby(references, lambda ref: (ref or {}).get("set")):
            files = [None if r is None else UsedFile(role, r) for r in group]
            if name is None:
                items += [None if use is None else self.file(use) for use in files]
            else:
                members = list(filter(None, files))
                while members:  # of sets of one name, one after the other
                    own = next(given, ())
                    several = members[: len(own) or None]
                    items.append(self._set(str(name), several, own))
                    members = members[len(several) :]
        return items

    def _set(self, name: str, files: Sequence[UsedFile], given: Sequence[Any]) -> Code:
        """Write a set whose keys were given, or are those in the names of its files."""
        pattern = parse_pattern(name)
        if pattern is not None and not without_key(name):  # it has none
            by = pattern.fields[0] if len(pattern.fields) == 1 else pattern.fields
            texts = [str(self.file(use)) for use in files]
            if given:
                texts = [
                    f"{tuple(key) if isinstance(key, list) else key!r}: {text}"
                    for key, text in zip(given, texts, strict=True)
                ]
            listed = ", ".join(texts)
            listed = f"{{{listed}}}" if given else f"[{listed}]"
            return Code(f"FileSet({listed}, by={by!r})")
        if pattern is None and len(files) == 1:
            msg = f"{files[0].name} was used as a set of its parts; write by which key"
            raise _CannotBeWrittenError(msg)
        keys: list[Any] = [pattern and pattern.match(use.name) for use in files]
        if None in keys or len(set(keys)) < len(keys):
            keys = [*range(1, len(files) + 1)]  # files that had other names
        members = ", ".join(
            f"{key!r}: {self.file(use)}" for key, use in zip(keys, files, strict=True)
        )
        return Code(f"FileSet({{{members}}}, filename={name!r})")

    def _inputs(self, call: Call) -> list[Any]:
        """Write the inputs of all units of a call."""
        if call.first.get("unit"):
            return self._inputs_by_key(call)
        listed = (
            self._items("input", unit.first["inputs"], _given(unit.first))
            for unit in call.units
        )
        return [item for items in listed for item in items]

    def _inputs_by_key(self, call: Call) -> list[Any]:
        """Write each input of units that are split as a set of what was of a key."""
        fields = tuple(map(str, call.first["unit"]))
        by = fields[0] if len(fields) == 1 else fields
        columns: dict[int, list[str]] = {}
        for unit in call.units:
            key = tuple(unit.first["unit"].values())
            text = repr(key if len(key) > 1 else key[0])
            for position, reference in enumerate(unit.first["inputs"]):
                file = self.file(UsedFile("input", reference))
                columns.setdefault(position, []).append(f"{text}: {file}")
        return [
            Code(f"FileSet({{{', '.join(members)}}}, by={by!r})")
            for members in columns.values()
        ]

    def _out_names(self, call: Call) -> Any:
        names: dict[str | None, list[Any]] = {}
        for unit in call.units:
            for output, row in unit.rows.items():
                name, pattern = output_name(output), row.get("set")
                if pattern is None:
                    names.setdefault(output, []).append(self._product(row))
                elif (text := Path(pattern).name) not in names.setdefault(name, []):
                    names[name].append(text)
        short = {n: v[0] if len(v) == 1 else v for n, v in names.items()}
        return short[None] if set(short) == {None} else short

    def _product(self, row: Row) -> Any:
        place = self.places[id(row)]
        return Code(f"{self.out} / {place!r}") if "/" in place else place

    def _tool(self, call: Call) -> tuple[list[str], str]:
        """Write the call of an external tool."""
        row = call.first
        task = row["task"]
        inputs: dict[str, list[Any]] = {}
        options = dict(task.get("words") or {})
        params = dict(task.get("parameters") or {})
        if frames := options.pop("frames", None):
            # The inputs come from a SOF file that the user edited.
            options.pop("create_sof", None)
            used = zip(frames, row["references"]["sof"], strict=True)
            roles = [(frame.split()[-1], reference) for frame, reference in used]
        else:
            roles = [(ref.get("role") or "input", ref) for ref in row["inputs"]]
        for role, reference in roles:
            file = self.file(UsedFile(role, reference))
            inputs.setdefault(role, []).append(self._part(row, reference, file))
        outputs: dict[str, list[tuple[int, Any]]] = {}
        for output, made in call.units[0].rows.items():
            tag, _, number = str(output).partition("#")
            if (name := output_name(output)) != output:  # named by what it says
                outputs[str(name)] = [(1, Path(str(made.get("set"))).name)]
                continue
            entry = int(number) if number.isdecimal() else 1, self._product(made)
            outputs.setdefault(tag, []).append(entry)
        before = self.definitions.ours("run_task")
        tags = row.get("tags")
        if tags is None:  # records of older versions do not have roles
            named = row["references"].items()
            tags = {n: v for n, v in named if not (frames and n == "sof")}
        for parameter, value in tags.items():
            params[parameter] = self._files(parameter, value)
            # Commands take any file by path.
            if parameter not in task["parameters"] and row["engine"] != "command":
                kind = _kind(value)
                before = [*self.definitions.ours(kind), *before]
                params[parameter] = _opened(params[parameter], kind)
        what = task["name"]
        if row["engine"] != "iraf":
            what = f"{row['engine']}:{what}"
        words: dict[str, Any] = {
            "inputs": inputs,
            "outputs": {
                tag: [name for _, name in sorted(named, key=lambda pair: pair[0])]
                for tag, named in outputs.items()
            },
        }
        if options:
            words["options"] = options
        words["params"] = params
        text = call_text("run_task", [what], words)
        if "FileSet(" in text:
            before = [*self.definitions.ours("FileSet"), *before]
        return before, text

    def _part(self, row: Row, reference: Row, file: Code) -> Code:
        """Write the part of a file that a unit was given, if no parameter says it."""
        unit, parameters = row.get("unit") or {}, row["task"]["parameters"]
        told = all(key in parameters.values() for key in unit.values())
        if not unit or told or reference.get("set") is not None:
            return file
        if list(unit) == ["ident"]:
            return Code(f"FileSet({file}, by='ident')[{unit['ident']!r}]")
        words = ", ".join(f"{name} {key}" for name, key in unit.items())
        msg = f"of {reference['name']} only {words} was used; write it here by itself"
        raise _CannotBeWrittenError(msg)


def _kind(value: Any) -> str:
    """Say what the files of a parameter are, which are alike."""
    first = value[0] if isinstance(value, list) else value
    return "PlainFile" if first and is_plain(first["name"]) else "DataFile"


def _opened(files: Any, kind: str) -> Any:
    """Write files that must be opened as what they are."""
    if isinstance(files, list):
        return [_opened(file, kind) for file in files]
    return Code(f"{kind}({files})")


def _of_key(by: Any) -> set[str]:
    """Name the parameters that a step which is split gives the key."""
    return set(by.values()) if isinstance(by, Mapping) else {str(by)}


class _CannotBeWrittenError(Exception):
    """A call that cannot be written as source."""


def _given(row: Row, role: str | None = None) -> Sequence[Sequence[Any]]:
    """List the keys that were given for each set of a calibration, or of the inputs."""
    keys = row.get("keys") or {}
    if role is None:
        role = next((name for name in keys if name not in row["calibrations"]), None)
    found: Sequence[Sequence[Any]] = keys.get(role, ())
    return found


def _own_files(rows: Sequence[Row]) -> list[str]:
    """Return the modules that belong to no package."""
    names = ((row.get("script") or {}).get("files") or () for row in rows)
    return sorted({str(name) for listed in names for name in listed})


def _versions(rows: Sequence[Row]) -> str:
    """Return the versions with which products were made."""
    found: dict[str, None] = {}
    for row in rows:
        tool = row["tool"]
        if tool.get("version"):
            found[f"{tool['name']} {tool['version']}"] = None
        for name, version in (row["run"].get("versions") or {}).items():
            found[f"{name} {version}"] = None
    return comment(", ".join(found) or "a record without versions")
