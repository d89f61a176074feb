"""Preview of a task: its calls as text, and as a CL script."""

from collections.abc import Mapping, Sequence
from typing import Any

from ndmapper.data import DataFile
from ndmapper.engines.base import Job, Preview
from ndmapper.engines.iraf.calls import base_output, files_of, texts_of
from ndmapper.engines.iraf.entries import given_entries, made_entries
from ndmapper.engines.iraf.parameters import Parameter
from ndmapper.engines.iraf.values import to_iraf
from ndmapper.errors import NdmapperError
from ndmapper.io.filetypes import is_plain

__all__ = ["preview"]


def preview(job: Job, known: Mapping[str, Parameter] | None) -> Preview:
    """Return the calls of a job."""
    task = str(job.task.name)
    *packages, short = task.split(".")
    files, texts = files_of(job), texts_of(job)
    entries = {id(entry) for entry in given_entries(job)}
    lines, script = [task], ["set use_new_imt = no", *packages, f"unlearn {short}"]
    for ident in _idents(job, files):
        values: dict[str, Any] = {}
        several: Sequence[DataFile]
        for name, several in files.items():
            values[name] = ",".join(f"{df}{_section(df, ident)}" for df in several)
        for name, several in texts.items():
            values[name] = ",".join(map(str, several))
        for name, value in job.parameters.items():
            if name not in values and id(value) not in entries:
                par = None if known is None else known.get(name)
                values[name] = to_iraf(task, name, value, par)
        made: dict[str, list[str]] = {}
        for output in job.outputs:
            if base_output(output) not in files and output not in made_entries(job):
                name = job.targets.get(output, str(output))
                section = "" if is_plain(name) else _output_section(files, ident)
                made.setdefault(base_output(output), []).append(name + section)
        values |= {name: ",".join(names) for name, names in made.items()}
        if ident is not None:
            lines.append(f"  extension {ident!r}")
        lines += [f"    {name} = {value!r}" for name, value in values.items()]
        lines += [f"    database entry {entry}" for entry in given_entries(job)]
        named = {_iraf_name(name, known): value for name, value in values.items()}
        script += [f"{n} = {_cl(v)}" for n, v in named.items() if "." in n]
        arguments = ", ".join(f"{n}={_cl(v)}" for n, v in named.items() if "." not in n)
        script.append(f'{short} ({arguments}, mode="h")')
    return Preview(text="\n".join(lines), script="\n".join(script), language="cl")


def _idents(job: Job, files: Mapping[str, list[DataFile]]) -> list[Any]:
    everything = [df for several in files.values() for df in several]
    if not job.task.words.get("MEF_ext", True) or not everything:
        return [None]
    try:
        return list(max(everything, key=len).idents) or [None]
    except NdmapperError:
        return [None]  # inputs that are not made yet


def _section(df: DataFile, ident: Any) -> str:
    """Return the image section of an extension; empty for a simple file."""
    if ident is None:
        return ""
    try:
        ndd = df[0] if len(df) == 1 else df[df.idents.index(ident)]
        if ndd.meta is df.meta:
            return ""
        name = str(ndd.meta.get("EXTNAME", "")).strip() or "SCI"
    except (NdmapperError, ValueError):
        return ""
    return f"[{name},{ndd.ident}]" if isinstance(ndd.ident, int) else f"[{name}]"


def _output_section(files: Mapping[str, list[DataFile]], ident: Any) -> str:
    everything = [df for several in files.values() for df in several]
    sections = [_section(df, ident) for df in everything]
    longest = max(sections, key=len, default="")
    return longest.replace("]", ",append]")


def _iraf_name(name: str, known: Mapping[str, Parameter] | None) -> str:
    par = None if known is None else known.get(name)
    return name if par is None else par.name


def _cl(value: Any) -> str:
    """Quote a value so that the CL takes it literally."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    text = str(value)
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
