"""Start of the command: processor time of verbs, each against its floor."""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits

ROUNDS = 15
MAIN = "import sys; from ndmapper.cli import main; sys.exit(main())"
PASS = ["pass"]
ASTROPY = ["import astropy.io.fits"]


def seconds(words: list[str], folder: Path) -> float:
    """Measure the processor time, of user and system, of one Python process."""

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    before = used()
    subprocess.run(
        [sys.executable, "-c", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return used() - before


def main() -> None:
    """Measure all in turns, and print the least of each above its floor."""
    verbs: dict[str, tuple[list[str], list[str], float]] = {
        "--help": ([MAIN, "--help"], PASS, 0.15),
        "config": ([MAIN, "config"], PASS, 0.15),
        "completion bash": ([MAIN, "completion", "bash"], PASS, 0.15),
        "completion zsh": ([MAIN, "completion", "zsh"], PASS, 0.15),
        "info FILE": ([MAIN, "info", "a.fits"], ASTROPY, 0.2),
        "steps": ([MAIN, "steps"], ASTROPY, 0.3),
    }
    floors = {"python -c pass": PASS, "import astropy.io.fits": ASTROPY}
    works = floors | {verb: words for verb, (words, _, _) in verbs.items()}
    least = dict.fromkeys(works, float("inf"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = fits.ImageHDU(np.zeros((8, 8), "f4"), name="SCI", ver=1)
        fits.HDUList([fits.PrimaryHDU(), image]).writeto(folder / "a.fits")
        for _ in range(ROUNDS):
            for what, words in works.items():
                least[what] = min(least[what], seconds(words, folder))
    for what in floors:
        print(f"{what:<24} {least[what]:7.3f} s")
    for verb, (_, floor, target) in verbs.items():
        above = least[verb] - next(least[n] for n, w in floors.items() if w is floor)
        print(
            f"{verb:<24} {least[verb]:7.3f} s, {above:7.3f} s above its floor "
            f"(target: {target})"
        )


main()
