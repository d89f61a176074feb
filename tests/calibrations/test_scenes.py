"""
Matching on an archive of 10000 headers of GMOS and MUSE with known right answers.

What is right, and what misses each rule by how much, is written down when the frames
are made, independently of the rules.
"""

import pytest

from ndmapper.calibrations.frame_index import FrameIndex
from ndmapper.calibrations.frames import Frame
from ndmapper.calibrations.matching import Match, match_frames
from ndmapper.calibrations.scan import find_frames
from ndmapper.config import config
from ndmapper.instruments import load
from ndmapper.testing import SimulatedArchive, write_scenes

SCENES = 70

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> SimulatedArchive:
    return write_scenes(tmp_path_factory.mktemp("archive"), SCENES)


@pytest.fixture(scope="module")
def frames(archive: SimulatedArchive) -> list[Frame]:
    with config.using(outdir=archive.folder.parent):
        return find_frames(archive.folder)


@pytest.fixture(scope="module")
def matches(
    archive: SimulatedArchive, frames: list[Frame]
) -> dict[tuple[str, str], Match]:
    pool = FrameIndex(frames)
    by_name = {frame.name: frame for frame in frames}
    return {
        (target, cal_type): match_frames(by_name[target], cal_type, pool)
        for target, cal_type in archive.answers
    }


def test_archive_has_ten_thousand_files(
    archive: SimulatedArchive, frames: list[Frame]
) -> None:
    assert archive.count == len(frames)
    assert archive.count >= 10_000


def test_every_frame_of_the_archive_has_a_class(frames: list[Frame]) -> None:
    assert [frame.why for frame in frames if frame.frame_class is None] == []


def test_every_match_in_the_archive_is_right(
    archive: SimulatedArchive, matches: dict[tuple[str, str], Match]
) -> None:
    wrong = {
        question: matches[question].why
        for question, expected in archive.answers.items()
        if matches[question].files != expected
    }
    assert wrong == {}
    assert {match.quality for match in matches.values()} == {0}


def test_every_near_miss_is_explained(
    archive: SimulatedArchive,
    matches: dict[tuple[str, str], Match],
    frames: list[Frame],
) -> None:
    wrong = []
    by_name = {frame.name: frame for frame in frames}
    for (target, cal_type, name), expected in archive.misses.items():
        verdict = matches[target, cal_type].verdict(by_name[name])
        if verdict.status not in ("lost", "failed") or expected not in verdict.why:
            wrong.append((target, expected, verdict))
    assert len(archive.misses) > 40 * SCENES
    assert wrong == []


def test_every_candidate_that_is_not_used_has_a_reason(
    matches: dict[tuple[str, str], Match],
) -> None:
    # One of each type is enough: there are hundreds of candidates for each.
    for match in {cal_type: match for (_, cal_type), match in matches.items()}.values():
        assert all(v.why for v in match.verdicts if v.status != "used")
        assert {v.name for v in match.verdicts if v.status == "used"} == set(
            match.files
        )


@pytest.mark.parametrize("cal_type", ["geometry", "astrometry"])
@pytest.mark.parametrize(
    ("date", "mode", "run"),
    [
        ("2017-09-20T03:00:00", "WFM-NOAO-N", "wfm_gto19"),  # within a run
        ("2018-08-15T03:00:00", "WFM-AO-N", "wfm_gto26"),  # in two: the shorter
        ("2018-11-01T03:00:00", "NFM-AO-N", "nfm_gto29"),  # in the long one alone
        ("2015-07-01T03:00:00", "WFM-NOAO-N", "wfm_gto06"),  # 38 d after, 47 before
        ("2015-07-10T03:00:00", "WFM-NOAO-N", "wfm_gto07"),
        ("2025-01-01T03:00:00", "NFM-AO-N", "nfm_gto34"),  # after all of them
    ],
)
def test_static_calibrations_of_muse_go_by_date(
    frames: list[Frame], cal_type: str, date: str, mode: str, run: str
) -> None:
    muse = load("muse")
    headers = {"DATE-OBS": date, "ESO INS MODE": mode, "INSTRUME": "MUSE"}
    target = Frame(name="x.fits", instrument=muse, frame_class="object", why="",
                   values=muse.describe(headers))  # fmt: skip
    statics = [f for f in frames if f.is_processed]
    match = match_frames(target, cal_type, statics)
    (name,) = match.files
    assert name.endswith(f"_{run}.fits")
    assert match.product is not None
