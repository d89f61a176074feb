"""
The reduction of a simulated night of MUSE by esorex alone.

Sets of frames are written by hand, each recipe runs in a folder, and nothing is checked
or recorded: what a framework is measured against, in pixels and in processor time.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from ndmapper.engines.esorex.recipes import ZEROS

BAND = ("--lambdamin=7260", "--lambdamax=7365")

Files = Mapping[str, Sequence[Path]]


class Bare:
    """
    The recipes, with a folder in which they work.

    Parameters
    ----------
    night : mapping of str to sequence of Path
        The files by tag, as `simulate_muse_night` returns them.
    folder : Path
        Where products go, in a folder for each call.
    together : bool
        Whether a recipe works on all IFUs in one call, or is called for each.
    options : sequence of str
        Options of esorex.
    """

    def __init__(
        self, night: Files, folder: Path, *, together: bool, options: Sequence[str] = ()
    ) -> None:
        self.night, self.folder, self.together, self.options = (
            night,
            folder,
            together,
            options,
        )
        self.ifus = [int(path.stem[-2:]) for path in night["WAVECAL_TABLE"]]
        self.calls = 0

    def run(
        self, recipe: str, where: str, frames: Files, *parameters: str, tags: str = ""
    ) -> dict[str, list[Path]]:
        """Run a recipe once; the products that are wanted are returned by tag."""
        folder = self.folder / where
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "in.sof").write_text(
            "".join(
                f"{path} {tag}\n" for tag, paths in frames.items() for path in paths
            )
        )
        line = ["esorex", *self.options, recipe, *parameters, "in.sof"]
        environment = {**os.environ, **ZEROS}
        subprocess.run(
            line, cwd=folder, env=environment, check=True, capture_output=True
        )
        self.calls += 1
        return {
            tag: sorted(p for p in folder.glob(f"{tag}*.fits")) for tag in tags.split()
        }

    def each(
        self, recipe: str, where: str, frames: Files, *parameters: str, tags: str
    ) -> dict[str, list[Path]]:
        """Run a recipe for all IFUs: once, or for one after the other."""
        for number in [-1] if self.together else self.ifus:
            nifu = f"--nifu={number}"
            made = self.run(recipe, where, frames, nifu, *parameters, tags=tags)
        return made

    def pick(self, *tags: str) -> dict[str, list[Path]]:
        """Return files of the night."""
        return {tag: list(self.night[tag]) for tag in tags}

    def masters(self) -> dict[str, list[Path]]:
        """Make the master calibrations, up to the twilight cube."""
        bias = self.each("muse_bias", "bias", self.pick("BIAS"), tags="MASTER_BIAS")
        flat = self.each(
            "muse_flat", "flat", self.pick("FLAT") | bias, "--order=1", "--nsum=8",
            tags="MASTER_FLAT TRACE_TABLE",
        )  # fmt: skip
        basic = bias | flat | self.pick("WAVECAL_TABLE", "GEOMETRY_TABLE", "ILLUM")
        sky = self.pick("SKYFLAT") | basic
        return basic | self.run(
            "muse_twilight", "twilight", sky, *BAND, tags="TWILIGHT_CUBE"
        )

    def tables(self, raw: Path, tag: str, masters: Files) -> dict[str, list[Path]]:
        """Reduce an exposure to a pixel table for each IFU."""
        return self.each(
            "muse_scibasic", raw.stem, {tag: [raw], **masters}, "--skylines=none",
            "--saveimage=false", tags=f"PIXTABLE_{tag}",
        )  # fmt: skip

    def reduce(self, fraction: float = 0.7) -> dict[str, list[Path]]:
        """Reduce the night; pixel tables, the cube and its image are returned."""
        masters = self.masters()
        std = self.tables(self.night["STD"][0], "STD", masters)
        response = self.run(
            "muse_standard", "standard",
            std | self.pick("EXTINCT_TABLE", "STD_FLUX_TABLE"), *BAND,
            tags="STD_RESPONSE STD_TELLURIC",
        )  # fmt: skip
        flux = response | self.pick("EXTINCT_TABLE", "LSF_PROFILE")
        sky = self.run(
            "muse_create_sky", "sky",
            self.tables(self.night["SKY"][0], "SKY", masters) | flux
            | self.pick("SKY_LINES"), f"--fraction={fraction}",
            tags="SKY_LINES SKY_CONTINUUM",
        )  # fmt: skip
        filters = self.pick("FILTER_LIST")
        exposures: dict[str, list[Path]] = {}
        for raw in self.night["OBJECT"]:
            tables = self.tables(raw, "OBJECT", masters)
            made = tables | self.run(
                "muse_scipost", f"{raw.stem}_post", tables | flux | sky | filters,
                "--skymethod=subtract-model", "--save=cube,individual",
                "--filter=white", *BAND, tags="IMAGE_FOV PIXTABLE_REDUCED",
            )  # fmt: skip
            for tag, paths in made.items():
                exposures.setdefault(tag, []).extend(paths)
        offsets = self.run(
            "muse_exp_align", "align", {"IMAGE_FOV": exposures["IMAGE_FOV"]},
            "--srcmin=3", tags="OFFSET_LIST",
        )  # fmt: skip
        reduced = {"PIXTABLE_REDUCED": exposures["PIXTABLE_REDUCED"]}
        combined = self.run(
            "muse_exp_combine", "combine", reduced | offsets | filters,
            "--filter=white", "--save=cube", tags="DATACUBE_FINAL IMAGE_FOV",
        )  # fmt: skip
        return {"PIXTABLE_OBJECT": exposures["PIXTABLE_OBJECT"], **offsets, **combined}
