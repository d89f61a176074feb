"""Preview of a recipe: as text, and as a shell script."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path

from ndmapper.engines.base import Job, Preview
from ndmapper.engines.esorex.recipes import ZEROS
from ndmapper.engines.esorex.sof import Frame, frames_of, link_frames, sof_text
from ndmapper.engines.process import thread_limit
from ndmapper.engines.staging import InputLinks
from ndmapper.errors import MissingToolError

__all__ = ["preview"]


def preview(job: Job, argv: Sequence[str], missing: MissingToolError | None) -> Preview:
    """Return the set of frames and the command line of a job."""
    frames = link_frames(job, InputLinks(Path("in")), really=False)
    sof = sof_text(frames)
    if missing is not None:
        given = "".join(
            f"  {name} = {value!r}\n" for name, value in job.parameters.items()
        )
        text = f"frames.sof:\n{sof}recipe: {job.task.name}\n{given}({missing})"
        return Preview(text=text)
    text = f"frames.sof:\n{sof}command:\n{shlex.join(argv)}"
    return Preview(text=text, script=_script(job, argv, frames), language="sh")


def _script(job: Job, argv: Sequence[str], frames: Sequence[Frame]) -> str:
    """
    Return a shell script that runs a recipe in its own folder.

    Product names are not known in advance: products are found by category.
    """
    quoted = " ".join(shlex.quote(str(frame)) for frame in frames)
    lines = [
        "(set -eu",
        "here=$PWD",
        "work=$(mktemp -d)",
        'mkdir "$work/home" "$work/in"',
        ': > "$work/empty.rc"',
        f"printf '%s\\n' {quoted} > \"$work/frames.sof\"",
        *_links(job, frames),
        'cd "$work"',
        f'env -i PATH="$PATH" HOME="$work/home" {_environment()} '
        + shlex.join(argv).replace("products.json", "products.sof"),
        'cd "$here"',
    ]
    for output, target in job.targets.items():
        tag, _, number = (output or "").partition("#")
        match = f'$2 == "{tag}"' if tag else "1"
        lines.append(
            f"product=$(awk {shlex.quote(f'{match} {{print $1}}')} "
            f"\"$work/products.sof\" | sort -V | sed -n '{number or 1}p')"
        )
        name = shlex.quote(str(Path(job.settings["outdir"], target).absolute()))
        lines.append(f'mv -- "$work/$product" {name}')
    return "\n".join([*lines, 'rm -r "$work")', ""])


def _environment() -> str:
    settings = ZEROS | thread_limit()
    return " ".join(f"{name}={value}" for name, value in settings.items())


def _links(job: Job, frames: Sequence[Frame]) -> list[str]:
    if not job.task.words["create_sof"]:
        return []
    return [
        f'ln -s {shlex.quote(os.path.abspath(df))} "$work/{frame.path}"'  # noqa: PTH100
        for frame, (_, df) in zip(frames, frames_of(job), strict=True)
        if not frame.path.startswith("/") and df.filename
    ]
