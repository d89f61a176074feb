"""Scan a folder of 10000 frames, scan it again, and match all of them."""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ndmapper.calibrations.frame_index import FrameIndex
from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.matching import match_frames
from ndmapper.calibrations.scan import find_frames
from ndmapper.config import config
from ndmapper.log import log_to_terminal
from ndmapper.services import look_up_cals
from ndmapper.testing import write_scenes


def read_header_blocks(folder: Path) -> int:
    """Read the header blocks of every file, and find where each ends: the floor."""
    count = 0
    for path in folder.iterdir():
        with path.open("rb") as stream:
            while header := stream.read(2880):
                while b"END" + b" " * 77 not in header[-2880:] and (
                    block := stream.read(2880)
                ):
                    header += block
                cards = {
                    header[i : i + 8].rstrip(): header[i + 10 : i + 30]
                    for i in range(0, len(header), 80)
                }
                # Simulated headers have no data, as NAXIS says.
                count += int(cards[b"NAXIS"]) == 0
    return count


def list_and_stat(folder: Path) -> int:
    """List a folder and ask for size and time of every file."""
    with os.scandir(folder) as entries:
        return len([entry.stat().st_mtime_ns for entry in entries])


def match_all(frames: list[Frame]) -> int:
    """Match every frame with all that its kind needs."""
    pool = FrameIndex(frames)
    count = 0
    for frame in frames:
        if frame.instrument is not None:
            for cal_type in frame.instrument.dependencies.get(frame.frame_class, ()):
                count += bool(match_frames(frame, cal_type, pool).files)
    return count


def best(
    work: Callable[[], object],
    repeat: int,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Give the least time of several [s]; of one process that of the processor."""
    times = []
    for _ in range(repeat):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def forget() -> None:
    """Remove what is remembered of folders."""
    for path in (Path(config["outdir"]) / ".ndmapper").glob("frames-*"):
        path.unlink()


def main() -> None:
    """Print times, and their ratios to the least that has to be done."""
    log_to_terminal(level=40)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 70
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "raw"
        folder.mkdir()
        config["outdir"] = place
        archive = write_scenes(folder, count)
        print(f"{archive.count} files")

        def first(workers: int | str) -> list[Frame]:
            forget()
            return find_frames(folder, workers=workers)

        floor = best(lambda: read_header_blocks(folder), 2)
        print(f"floor: reading the header blocks      {floor:8.2f} s")
        seconds = best(lambda: first(1), 2)
        print(f"first scan, one process               {seconds:8.2f} s "
              f"{seconds / floor:6.2f}")  # fmt: skip
        wall = time.perf_counter
        floor = best(lambda: read_header_blocks(folder), 2, wall)
        seconds = best(lambda: first("all"), 3, wall)
        print(f"first scan, all processors (wall)     {seconds:8.2f} s "
              f"{seconds / floor:6.2f}")  # fmt: skip
        listing = best(lambda: list_and_stat(folder), 9)
        second = best(lambda: find_frames(folder), 9)
        print(f"floor: listing and stat               {listing:8.3f} s")
        print(f"second scan                           {second:8.3f} s "
              f"{second / listing:6.2f}")  # fmt: skip
        frames = find_frames(folder)
        matching = best(lambda: match_all(frames), 2)
        print(f"matching all of them                  {matching:8.2f} s, allowed "
              f"{5 * second + 5:.2f} s")  # fmt: skip
        for name, pattern in (("GMOS", "[NS]*"), ("MUSE", "MUSE*")):
            known = {target for target, _ in archive.answers}
            targets = [p for p in sorted(folder.glob(pattern)) if p.name in known]
            cache = Path(place) / f"{name}.json"

            def look_up(targets: list[Path] = targets, cache: Path = cache) -> None:
                look_up_cals(targets, cache=cache)

            for title in ("looking up", "again"):
                seconds = best(look_up, 1)
                print(f"{title:<10} {len(targets)} targets of {name} and theirs  "
                      f"{seconds:8.2f} s")  # fmt: skip


if __name__ == "__main__":
    main()
