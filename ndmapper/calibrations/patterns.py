"""Names of products with a key in braces: the files that they stand for."""

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from ndmapper.data import DataFile, FileSet
from ndmapper.data.name_pattern import NamePattern, in_order, parse_pattern
from ndmapper.data.plainfile import open_file
from ndmapper.documents import can_be_name, is_file
from ndmapper.errors import ParameterError

__all__ = ["files_of", "is_there", "open_product", "set_among"]


def files_of(path: Path) -> list[Path]:
    """List the files that there are by a name: those of a pattern, or the one."""
    if not can_be_name(path):
        return []
    pattern = parse_pattern(path)
    if pattern is None:
        return [path] if is_file(path) else []
    return [Path(name) for _, name in pattern.files() if is_file(name)]


def is_there(path: Path) -> bool:
    """Whether there is a file of a name; of a pattern, at least one."""
    return bool(files_of(path))


def open_product(path: Path) -> DataFile | FileSet:
    """Open a file, or the set of a pattern."""
    return open_file(path) if parse_pattern(path) is None else FileSet(path)


def set_among(label: str, files: Mapping[str, Any]) -> FileSet | None:
    """Join the files whose names fit the pattern of a label; None without any."""
    try:
        pattern = NamePattern(PurePath(label).name)
    except ParameterError:
        return None
    members = {
        key: df
        for name, df in files.items()
        if isinstance(df, DataFile) and (key := pattern.match(name)) is not None
    }
    if not members:
        return None
    folder = Path(str(next(iter(members.values())))).parent
    return FileSet(in_order(members), by=pattern.fields, filename=folder / pattern.text)
