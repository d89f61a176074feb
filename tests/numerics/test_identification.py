"""Lines of arcs that are identified, or refused; never wrong."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from shared_arcs import gaussians, make_arc, noisy

import ndmapper.lib.spec
from ndmapper.numerics.air import vacuum_to_air
from ndmapper.numerics.arc_lines import find_lines
from ndmapper.numerics.arc_match import SearchRange, match_lines
from ndmapper.numerics.identification import (
    DoubtfulSolutionError,
    LineList,
    identify,
    solve_identified,
)

TABLES = Path(ndmapper.lib.spec.__file__).parent / "tables" / "lines"


def listed(*names):
    """Give the wavelengths of lists, in air."""
    found = []
    for name in names:
        table = Table.read(TABLES / f"{name}.ecsv")
        values = np.asarray(table["wavelength"])
        air = table.meta["medium"] == "air"
        found.append(values if air else vacuum_to_air(values))
    return np.unique(np.concatenate(found))


LAMPS = {
    "HeNeAr": listed("HeNeAr"),
    "Ar": listed("Ar", "Ne"),
    "HgCd": listed("He", "Hg", "Cd", "Zn", "Ne"),
    "CuAr": listed("CuAr"),
    "FeAr": listed("FeAr"),
    "ThAr": listed("ThAr"),
}

SETUPS = [
    ("HeNeAr", 2.0, 1024, 3.0, False),
    ("HeNeAr", 0.7, 2048, 4.5, True),
    ("HgCd", 1.1, 2048, 2.5, False),
    ("CuAr", 0.6, 2048, 3.0, True),
    ("FeAr", 0.5, 1024, 2.4, False),
    ("ThAr", 0.2, 2048, 3.0, True),
    ("Ar", 1.5, 4096, 3.5, False),
]


def search_of(arc, directions=(1, -1)):
    guess, step = arc.guess, arc.guessed_dispersion
    return SearchRange(
        centre=(guess - 210, guess + 210),
        dispersion=(step / 1.18, step * 1.18),
        directions=directions,
    )


def solve(arc, wavelengths):
    lines = find_lines(arc.data, arc.variance)
    return identify(lines, LineList(wavelengths), arc.length, search_of(arc))


@pytest.mark.parametrize("doubtful", [0.0, 0.3], ids=["whole", "spurious_and_missing"])
def test_arcs_are_identified_right_or_refused(doubtful):
    refused = 0
    for seed, (lamp, dispersion, length, fwhm, falls) in enumerate(SETUPS):
        arc = make_arc(
            seed, LAMPS[lamp], dispersion=dispersion, length=length, fwhm=fwhm,
            falls=falls, spurious=doubtful, missing=doubtful,
        )  # fmt: skip
        try:
            found = solve(arc, LAMPS[lamp])
        except DoubtfulSolutionError:
            refused += 1
            continue
        first, last = found.covered
        x = np.arange(np.ceil(first), last)
        off = (found.fit(x) - arc.truth[x.astype(int)]) / dispersion
        assert np.sqrt(np.mean(off**2)) < 0.1, (lamp, seed)
        assert np.sqrt(np.mean(found.error(x) ** 2)) < 0.1
    assert refused <= (1 if doubtful else 0)


@pytest.mark.parametrize(
    ("seed", "lamp", "dispersion"), [(7, "FeAr", 3.3), (8, "ThAr", 0.35)]
)
def test_lists_with_many_lines_that_are_not_resolved(seed, lamp, dispersion):
    """With .4 and .9 lines of the list in a FWHM, and 30 percent that are wrong."""
    arc = make_arc(
        seed, LAMPS[lamp], dispersion=dispersion, fwhm=3.0, spurious=0.3, missing=0.3
    )
    found = solve(arc, LAMPS[lamp])
    first, last = found.covered
    x = np.arange(np.ceil(first), last)
    off = (found.fit(x) - arc.truth[x.astype(int)]) / dispersion
    assert last - first > 0.3 * arc.length
    assert np.sqrt(np.mean(off**2)) < 0.1


def test_same_answer_again_whatever_the_random_state():
    arc = make_arc(1, LAMPS["HeNeAr"], dispersion=2.0, length=1024)
    answers = []
    for state in (1, 2):
        np.random.seed(state)  # noqa: NPY002
        answers.append(solve(arc, LAMPS["HeNeAr"]).fit.values.tobytes())
    assert answers[0] == answers[1]


@pytest.mark.parametrize(("lamp", "other"), [("HgCd", "FeAr"), ("FeAr", "HeNeAr")])
def test_wrong_lamp_is_refused(lamp, other):
    arc = make_arc(2, LAMPS[lamp], dispersion=0.9, length=2048, least=20)
    with pytest.raises(DoubtfulSolutionError):
        solve(arc, LAMPS[other])


def test_noise_is_refused():
    rng = np.random.default_rng(5)
    clean = gaussians(1024, rng.uniform(10, 1014, 30), rng.uniform(1e3, 2e4, 30), 3.0)
    lines = find_lines(*noisy(clean, rng))
    search = SearchRange(centre=(5400, 5600), dispersion=(0.9, 1.1))
    with pytest.raises(DoubtfulSolutionError, match="doubtful"):
        identify(lines, LineList(LAMPS["CuAr"]), 1024, search)


def test_few_lines_are_refused_whatever_their_rms():
    rng = np.random.default_rng(6)
    clean = gaussians(1024, [100, 300, 480, 700, 950], [9e3, 5e3, 7e3, 4e3, 8e3], 3.0)
    lines = find_lines(*noisy(clean, rng))
    search = SearchRange(centre=(5300, 5700), dispersion=(0.85, 1.15))
    with pytest.raises(DoubtfulSolutionError, match="5 good lines are too few: 6 are"):
        identify(lines, LineList(LAMPS["HgCd"]), 1024, search)


def test_truth_outside_of_the_range_is_refused():
    arc = make_arc(7, LAMPS["HeNeAr"], dispersion=1.5, length=2048, least=25)
    lines = find_lines(arc.data, arc.variance)
    centre = arc.truth[1024]
    search = SearchRange(
        centre=(centre + 400, centre + 800), dispersion=(1.3, 1.7), directions=(1,)
    )
    with pytest.raises(DoubtfulSolutionError):
        identify(lines, LineList(LAMPS["HeNeAr"]), arc.length, search)


def test_blends_of_the_list_are_left_out():
    wavelengths = np.array(
        [5000, 5100, 5101.5, 5200, 5300, 5420, 5500, 5640, 5700, 5810, 5930.0]
    )
    clean = gaussians(1024, wavelengths - 4950, np.full(11, 5e3), 3.0)
    lines = find_lines(*noisy(clean, np.random.default_rng(8)))
    known = np.delete(wavelengths, 2)
    assert len(lines) == 10
    found = solve_identified(lines, known, LineList(wavelengths), 1024)
    assert not found.used[1]
    assert found.why_not[1] in ("blend", "wide")
    assert found.why_not[0] == ""
    # The strengths of a list tell that the other one is too faint to matter.
    strengths = np.where(wavelengths == 5101.5, 1.0, 1000.0)
    found = solve_identified(lines, known, LineList(wavelengths, strengths), 1024)
    assert found.why_not[1] != "blend"


def test_nothing_near_is_no_match():
    pixel = np.array([100.0, 200, 300, 400, 500, 600])
    search = SearchRange(centre=(5000, 5100), dispersion=(1, 1.1))
    assert match_lines(pixel, pixel, np.arange(9000.0, 9100), 1024, search) is None
