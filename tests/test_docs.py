"""The documentation covers every public name and every verb, and its code runs."""

import doctest
import enum
import importlib
import inspect
import pkgutil
import re
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpydoc.validate import validate
from shared_stars import coordinates, exposure

import ndmapper
from ndmapper.cli import main
from ndmapper.cli.command import VERBS
from ndmapper.steps import Step

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"

# What a script may import. Other modules are for those who work on ndmapper.
PUBLIC = (
    "ndmapper.calibrations",
    "ndmapper.config",
    "ndmapper.data",
    "ndmapper.errors",
    "ndmapper.instruments",
    "ndmapper.iraf_task",
    "ndmapper.lib.calibrator",
    "ndmapper.lib.ccd",
    "ndmapper.lib.combine",
    "ndmapper.lib.cosmetics",
    "ndmapper.lib.image",
    "ndmapper.lib.spec",
    "ndmapper.lib.muse",
    "ndmapper.lib.muse.musereduce",
    "ndmapper.lib.muse.pymusepipe",
    "ndmapper.lib.muse.recipes",
    "ndmapper.lib.muse.offsets",
    "ndmapper.lib.muse.sky",
    "ndmapper.lib.simulate",
    "ndmapper.log",
    "ndmapper.parallel",
    "ndmapper.services",
    "ndmapper.steps",
    "ndmapper.testing",
)


def all_modules():
    found = pkgutil.walk_packages(ndmapper.__path__, "ndmapper.")
    return sorted(m.name for m in found if not m.name.endswith("__main__"))


# What packages outside ndmapper implement.
PROTOCOLS = ("ndmapper.engines.base", "ndmapper.services.registry")


def public_objects():
    """Every function, class, method and step of the reference and of the protocols."""
    found = {}
    for module_name in (*PUBLIC, *PROTOCOLS):
        module = importlib.import_module(module_name)
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            func = value.func if isinstance(value, Step) else value
            if not (inspect.isclass(func) or inspect.isfunction(func)):
                continue
            if not func.__module__.startswith("ndmapper."):
                continue
            is_step = isinstance(value, Step)
            path = f"{func.__module__}.{name}"
            found[path + ".func" * is_step] = value
            if inspect.isclass(func):
                for key, member in vars(func).items():
                    if not key.startswith("_") and inspect.isfunction(member):
                        found[f"{path}.{key}"] = member
    return found


@pytest.mark.parametrize("module", all_modules())
def test_what_a_module_offers_has_a_sentence(module):
    found = importlib.import_module(module)
    offered = [getattr(found, name) for name in getattr(found, "__all__", ())]
    own = [one for one in offered if getattr(one, "__module__", None) == module]
    assert [one for one in own if inspect.isroutine(one) and not one.__doc__] == []


CHECKS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"][
    "numpydoc_validation"
]["checks"]


OBJECTS = public_objects()


@pytest.mark.parametrize("name", sorted(OBJECTS))
def test_docstring_keeps_to_numpydoc(name):
    ignored = set(CHECKS)
    value = OBJECTS[name]
    if getattr(value, "_is_protocol", False) or isinstance(value, enum.EnumMeta):
        ignored.add("PR01")  # nobody writes the parameters of these
    errors = validate(name)["errors"]
    assert [f"{code} {text}" for code, text in errors if code not in ignored] == []


@pytest.mark.parametrize("module", all_modules())
def test_module_says_what_it_offers(module):
    if module.rpartition(".")[2].startswith("_"):
        return
    found = importlib.import_module(module)
    own = [
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    ]
    assert hasattr(found, "__all__") or own == []


@pytest.mark.parametrize("module", PUBLIC)
def test_reference_has_every_public_module(module):
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    assert f".. public:: {module}\n" in pages


def test_reference_has_no_module_that_is_not_public():
    pages = "".join(page.read_text() for page in (DOCS / "reference").glob("*.rst"))
    assert sorted(re.findall(r"^\.\. public:: (\S+)", pages, re.M)) == sorted(PUBLIC)


@pytest.mark.parametrize("name", [n for n in ndmapper.__all__ if n[0] != "_"])
def test_root_offers_what_a_public_module_documents(name):
    value = getattr(ndmapper, name)
    homes = [importlib.import_module(module) for module in PUBLIC]
    assert any(getattr(home, name, None) is value for home in homes)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_every_verb_is_in_the_readme_or_a_page(verb):
    prose = [REPOSITORY / "README.md", *DOCS.rglob("*.md")]
    assert any(f"ndmapper {verb.name}" in page.read_text() for page in prose)


def code_blocks(page):
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)


def run_blocks(page, folder):
    """Run the Python blocks of a page one after another, as a reader would."""
    script = folder / f"{page.stem.lower()}.py"
    script.write_text("\n".join(code_blocks(page)))
    names = {"__name__": "__main__", "__file__": str(script)}
    exec(compile(script.read_text(), str(script), "exec"), names)
    return names


def test_readme_script_runs_on_the_simulated_night(tmp_path, monkeypatch, caplog):
    from ndmapper.lib.simulate import simulate_night

    monkeypatch.chdir(tmp_path)
    truth = simulate_night(tmp_path / "raw")
    names = run_blocks(REPOSITORY / "README.md", tmp_path)
    science, bias = names["science"], names["bias"]
    assert len(science.record) > 3
    camera = truth.camera
    light = truth.image("sim0010.fits") * camera.response
    for number, gain in enumerate(camera.gains):
        columns = camera.columns(number)
        # Whole counts add a twelfth.
        read_noise = (camera.read_noises[number] / gain) ** 2 + 1 / 12
        of_bias = read_noise / len(truth.files["bias"])
        # Limits of four standard deviations add 0.5 per cent.
        assert np.median(bias[number].variance) == pytest.approx(of_bias, rel=0.01)
        # Photons counted before the bias is gone are 1 to 5 per cent too many.
        expected = light[:, columns] / gain**2 + read_noise + of_bias
        clean = (science[number].flags == 0) & (truth.charge["sim0010.fits"] == 0)[
            :, columns
        ]
        clean[:, np.arange(columns.start, columns.stop) == camera.bad_column] = False
        assert science[number].variance[clean].mean() == pytest.approx(
            expected[clean].mean(), rel=0.003
        )
    caplog.clear()
    run_blocks(REPOSITORY / "README.md", tmp_path)
    lines = [r.message for r in caplog.records if "->" in r.message]
    assert {line.split()[-1] for line in lines} == {"re-used"}


def test_readme_says_where_its_script_runs_beside_the_demo(tmp_path, monkeypatch):
    from ndmapper.lib.simulate import simulate_night

    demo = tmp_path / "ndmapper-demo"
    simulate_night(demo / "raw")
    (demo / "osim0010.fits").write_text("of the demo")
    shell = re.findall(r"^```sh\n(.*?)^```", README.read_text(), re.M | re.S)
    lines = next(block for block in shell if "ln -s" in block).splitlines()
    assert (lines[0].split("#")[0].strip(), lines[-1]) == (
        ". .venv/bin/activate",
        "python night.py",
    )
    words = ["/bin/sh", "-ec", "\n".join(lines[1:-1])]
    subprocess.run(words, cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path / "night")
    science = run_blocks(README, tmp_path / "night")["science"]
    assert Path(str(science)).resolve().parent == tmp_path / "night"
    assert {path.name for path in demo.iterdir()} == {"raw", "osim0010.fits"}


@pytest.mark.slow
@pytest.mark.real_data
def test_tutorial_runs_on_the_real_night(tmp_path, monkeypatch, real_data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").symlink_to(real_data / "kast_blue_longslit")
    names = run_blocks(DOCS / "tutorial.md", tmp_path)
    science = names["science"]
    assert str(science.filename.base).endswith("b27")
    assert science[0].variance.min() > 0
    assert names["spectrum"][0].unit.is_equivalent("erg / (s cm2 Angstrom)")
    assert names["spectrum"][0].meta["SPECSYS"] == "BARYCENT"


@pytest.mark.parametrize(
    "page",
    [page for page in sorted(DOCS.rglob("*.md")) if "```pycon" in page.read_text()],
    ids=lambda page: page.stem,
)
def test_sessions_of_a_page_show_what_python_shows(page):
    # The fences would end the expected output of the last example.
    text = page.read_text().replace("```", "\n")
    examples = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    runner = doctest.DocTestRunner(verbose=False)
    shown = []
    runner.run(examples, out=shown.append)
    assert shown == []
    assert runner.tries > 0


def test_calibration_page_does_what_it_says(tmp_path, monkeypatch, real_data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").symlink_to(real_data / "kast_blue_longslit")
    # What the shell commands of the page do.
    assert main(["ls", "raw", "--instrument", "kast", "--save", "night.ecsv"]) == 0
    names = run_blocks(DOCS / "howto" / "calibration.md", tmp_path)
    label = names["cals"]["associations"]["b27.fits.gz"]["bias"]
    assert names["cals"]["calibrations"][label] == ["b21.fits.gz", "b22.fits.gz"]


def test_muse_page_does_what_it_says(tmp_path, monkeypatch):
    from ndmapper.testing import make_mef

    monkeypatch.chdir(tmp_path)
    for folder, kind in (("old", "BIAS"), ("new", "BIAS"), ("masters", "FLAT")):
        (tmp_path / folder).mkdir()
        for ifu in (7, 8):
            make_mef(
                tmp_path / folder / f"MASTER_{kind}-{ifu:02d}.fits",
                n_ext=1,
                table=False,
                names=("DATA", "STAT", "DQ"),
                primary={"INSTRUME": "MUSE", "EXTNAME": f"CHAN{ifu:02d}"},
            )
    names = run_blocks(DOCS / "howto" / "muse_calibrations.md", tmp_path)
    assert (names["difference"][7].get_data() == 0).all()
    assert (tmp_path / "compared" / "MASTER_BIAS-08.fits").exists()
    assert (tmp_path / "merged" / "MASTER_FLAT.fits").exists()


def test_stacking_page_does_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number, dither in enumerate([(0, 0), (4.4, -3.3), (-2.5, 5.6)], 1):
        true = coordinates(*dither)
        exposure(f"sky{number}.fits", true, coordinates(), seed=number).save()
    names = run_blocks(DOCS / "howto" / "stacking.md", tmp_path)
    assert names["stack"][0].meta["NCOMBINE"] == 3
    assert 1.5 < names["noise_factor"](names["stack"][0].tables["COVARIANCE"], 5) < 2.5
    assert names["error"] > 0


def test_extraction_page_does_what_it_says(tmp_path, monkeypatch):
    from ndmapper.data import DataFile, NDLater
    from ndmapper.lib.simulate import SlitSource, SlitSpectrograph

    monkeypatch.chdir(tmp_path)
    slit = SlitSpectrograph(shape=(80, 240), trace_shift=5)
    for name, row, flux in (("standard", 30, 9000.0), ("galaxy", 50.4, 60.0)):
        scene = slit.science([SlitSource(row=row, flux=flux)])
        ndd = slit.observe(scene.light, seed=1)
        DataFile(f"{name}.fits", data=[ndd], mode="new").save()
    waves = NDLater(slit.wavelengths(), unit="Angstrom")
    waves.meta["WAVETYPE"] = "WAVE"
    DataFile("waves.fits", data=[waves], mode="new").save()
    names = run_blocks(DOCS / "howto" / "extraction.md", tmp_path)
    (galaxy,) = names["spectra"]
    assert galaxy.meta["SLITPOS"] == pytest.approx(51.4, abs=0.2)
    assert np.median(galaxy.data) == pytest.approx(60, abs=5)


def test_own_step_page_makes_what_it_says(tmp_path, monkeypatch):
    from ndmapper.testing import make_mef

    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    make_mef(tmp_path / "raw" / "b27.fits.gz", n_ext=1)
    names = run_blocks(DOCS / "howto" / "own_step.md", tmp_path)
    assert str(names["scaled"][0]) == "sb27.fits"


def test_page_of_spectrographs_describes_one_by_a_table_alone(
    tmp_path, monkeypatch, capsys
):
    from ndmapper.lib.simulate import SlitSource, SlitSpectrograph
    from ndmapper.testing import make_raw

    page = DOCS / "howto" / "spectrographs.md"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "raw").mkdir()
    (block,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.M | re.S)
    (tmp_path / "myspec.toml").write_text(block)
    slit = SlitSpectrograph(
        shape=(40, 60), dispersion_axis="y", wavelength="falls", gain=1.5, read_noise=3
    )
    scene = slit.science([SlitSource(row=20)], sky=50.0)
    frames = {
        "flat1": (slit.flat(), "Quartz"), "flat2": (slit.flat(), "Quartz"),
        "arc": (slit.arc([(4300.0, 5000.0)]), "Ne Ar"),
        "star": (scene.light, ""), "target": (scene.light, ""),
    }  # fmt: skip
    for n, (name, (light, lamp)) in enumerate(frames.items()):
        ndd = slit.observe_raw(light, seed=n)
        strip = np.random.default_rng(n + 90).normal(slit.bias, 2.0, (60, 10))
        cards = {
            "INSTRUME": "MYSPEC", "OBJECT": "Feige 34" if name == "star" else "M 1",
            "EXPTIME": 60.0, "DATE-OBS": f"2024-11-30T20:{n:02d}:00", "GAIN": 1.5,
            "RDNOISE": 3.0, "DISPERSR": "g600", "SLITNAME": "1.5 arcsec",
            "CCDSUM": "1 2", "DATASEC": "[1:40,1:60]", "BIASSEC": "[41:50,1:60]",
            "LAMP1": "on" if lamp == "Ne Ar" else "off", "LAMPNM1": "Ne Ar",
            "LAMP2": "on" if lamp == "Quartz" else "off", "LAMPNM2": "Quartz",
        }  # fmt: skip
        pixels = np.hstack([np.asarray(ndd.data), np.rint(strip).astype(np.uint16)])
        make_raw(tmp_path / "raw" / f"{name}.fits", cards, data=pixels)
    with ndmapper.config.using(instrument=None):
        names = run_blocks(page, tmp_path)
    cals = names["cals"]["calibrations"]
    assert sorted(cals.values()) == [
        ["arc.fits"], ["flat1.fits", "flat2.fits"], ["star.fits"],
    ]  # fmt: skip
    told = capsys.readouterr().out
    assert "'slit_width': 1.5" in told
    assert "'binning': [1, 2]" in told
    assert "'wavelength_range': [4000.0, 4800.0]" in told
    # 2400 pixels of less than 70 electron rms, and the level of 600 pixels of 3.
    mean = np.mean(names["spectrum"][0].data) - scene.light.mean()
    assert mean == pytest.approx(0.0, abs=1.5)


def test_photometry_page_does_what_it_says(tmp_path, monkeypatch):
    lib_image = pytest.importorskip("lib_image")
    pytest.importorskip("photutils", reason="the extra ccd is not installed")
    monkeypatch.chdir(tmp_path)
    field = lib_image.make_field(1, stars=25, flux=(5e3, 1e5), apart=24)
    field.ndd.wcs = wcs = lib_image.sky_wcs(field.ndd.shape)
    for minute, name in enumerate(("field.fits", "night1.fits", "night2.fits")):
        date = f"2021-11-07T03:0{minute}:00"
        lib_image.write(name, field.ndd, **{"DATE-OBS": date, "EXPTIME": 60.0})
    sky = wcs.pixel_to_world(field.x, field.y)
    stars = {"ra": sky.ra.deg, "dec": sky.dec.deg}
    magnitude = 27.0 - 2.5 * np.log10(field.flux)
    colour = np.linspace(0, 1, len(magnitude))
    stars |= {"rmag": magnitude + 0.1 * colour, "gmag": magnitude + 1.1 * colour}
    lib_image.Table(stars).write("stars.csv")
    lib_image.Table({"ra": stars["ra"][:3], "dec": stars["dec"][:3]}).write("mine.ecsv")
    names = run_blocks(DOCS / "howto" / "photometry.md", tmp_path)
    assert names["image"].meta["PHOTZP"] == pytest.approx(27, abs=0.01)
    assert names["image"].meta["PHOTCLR"] == pytest.approx(0.1, abs=0.02)
    assert len(names["forced"]) == 2
    assert all(len(product.table()) == 3 for product in names["forced"])
    assert len(names["table"]) == 6
    assert names["table"]["bjd_tdb"][0] == pytest.approx(2459525.6257, abs=0.006)
