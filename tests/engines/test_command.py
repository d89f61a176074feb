import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.nddata import NDData

from ndmapper.data import DataFile
from ndmapper.engines import Job, get_engine
from ndmapper.engines.process import read_log
from ndmapper.errors import (
    DeclarationError,
    MissingFileError,
    MissingToolError,
    ParameterError,
    StepError,
    TimeLimitError,
    UnknownParameterError,
)
from ndmapper.testing import Fake, fake_command, make_mef
from ndmapper.testing.fakes import Fault

MakeJob = Callable[..., Job]
HOSTILE = [
    "-rf", "--help", "a b", "$(touch x)", "`id`", "; id", "'\"", "l1\nl2", "*", "..",
    "!d", "{in}", "\N{GREEK SMALL LETTER ALPHA}",
]  # fmt: skip

engine = get_engine("command")


@pytest.fixture
def image(tmp_path: Path) -> DataFile:
    return DataFile(make_mef(tmp_path / "raw.fits"))


def faked(tmp_path: Path, fault: Fault | None = None) -> Fake:
    return fake_command(tmp_path / "bin", "prog", fault=fault)


def test_product_is_the_file_of_the_program(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    fake = faked(tmp_path)
    job = make_job(f"command:{fake.path}", {"in": [image]}, [None],
                   targets={None: "final name.fits.fz"})  # fmt: skip
    engine.check(job)
    product = engine.run(job).products[None]
    assert product.unloaded
    assert job.folder in Path(product).parents
    assert np.array_equal(product[0].data, image[0].data)
    (call,) = fake.calls
    given, made = call.argv
    assert Path(given).read_bytes() == Path(image).read_bytes()
    # The program may tell the form by the end of the name.
    assert made.endswith("/final_name.fits.fz")
    assert Path(call.cwd).parent == job.folder
    assert call.environment["OMP_NUM_THREADS"].isdecimal()


def test_places_are_filled_as_whole_items(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    fake = faked(tmp_path)
    argv = ["run", "--n={order}", "{order}", "{flag}", "{many}", "--k={many}", "{ref}",
            "{in}", "--to={out}", "{conf}", "{{x}", Path("/a/{b}")]  # fmt: skip
    job = make_job(
        f"command:{fake.path}", {"image": [image]}, ["sum"],
        words={"argv": argv}, targets={"sum": "sum.fits"},
        order=-3, flag=None, many=[1, "two"], ref=image, conf=Path("a.conf"), x=1.5,
    )  # fmt: skip
    engine.check(job)
    engine.run(job)
    found = fake.calls[0].argv
    assert found[:7] == ["run", "--n=-3", "-3", "1", "two", "--k=1", "--k=two"]
    assert Path(found[7]).resolve() == Path(image)
    assert Path(found[8]).resolve() == Path(image)
    assert found[9] == f"--to={job.folder}/out/sum.fits"
    assert found[10:] == [str(Path("a.conf").absolute()), "{1.5", "/a/{b}"]
    assert engine.parameters(job.task) == ["order", "flag", "many", "ref", "conf", "x"]


def test_several_files_and_outputs(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    fake = faked(tmp_path)
    (tmp_path / "sub").mkdir()
    other = DataFile(make_mef(tmp_path / "sub" / "raw.fits"))
    job = make_job(
        f"command:{fake.path}", {"a": [image, other], "b": [image]}, ["x", "y"],
        words={"argv": ["{a}", "{b}", "{x}", "{y}"]},
        targets={"x": "same.fits", "y": "same.fits"},
    )  # fmt: skip
    outcome = engine.run(job)
    assert set(outcome.products) == {"x", "y"}
    argv = fake.calls[0].argv
    # Two files of one name in two folders are two files.
    assert len(set(argv)) == 5
    assert Path(argv[1]).resolve() == Path(other)


def test_changes_in_memory_are_seen(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    image[0].data = image[0].data + 1
    job = make_job(f"command:{faked(tmp_path).path}", {"in": [image]}, [None])
    product = engine.run(job).products[None]
    assert np.array_equal(product[0].data, image[0].data)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_are_data(
    tmp_path: Path, image: DataFile, make_job: MakeJob, name: str
) -> None:
    fake = faked(tmp_path)
    path = tmp_path / f"{name}.fits"
    path.write_bytes(Path(image).read_bytes())
    job = make_job(
        f"command:{fake.path}", {"in": [DataFile(path)]}, [None],
        words={"argv": ["--v={value}", "{in}", "{out}"]}, value=name,
        targets={None: f"{name}.fits"},
    )  # fmt: skip
    before = set(tmp_path.iterdir())
    engine.run(job)
    value, given, made = fake.calls[0].argv
    assert value == f"--v={name}"
    assert Path(given).resolve() == path
    for text in (given, made):
        assert text.startswith(f"{job.folder}/")
        assert text.isascii()
        assert not set(text) & set(" $`;'\"\n*!{}")
    assert set(tmp_path.iterdir()) == before


def test_value_that_would_be_an_option(image: DataFile, make_job: MakeJob) -> None:
    words = {"argv": ["{mode}", "{in}", "{out}"]}
    job = make_job("command:cp", {"in": [image]}, [None], words=words, mode="-rf")
    with pytest.raises(ParameterError, match=r"starts with '-'.*--mode=\{mode\}"):
        engine.check(job)


def test_wrong_places(image: DataFile, make_job: MakeJob) -> None:
    roles = {"in": [image]}
    job = make_job("command:cp", roles, [None], words={"argv": ["{orde}"]}, order=1)
    with pytest.raises(UnknownParameterError, match=r"'order' has no place.*'orde'"):
        engine.check(job)
    job = make_job("command:cp", roles, [None], words={"argv": ["{inn}"]})
    with pytest.raises(DeclarationError, match=r"\{inn\}.*did you mean 'in'"):
        engine.check(job)
    job = make_job("command:cp", roles, [None], words={"argv": ["{in}:{out}"]})
    with pytest.raises(DeclarationError, match="several places"):
        engine.check(job)
    job = make_job("command:cp", roles, [None], words={"argv": ["--a={v}"]}, v="\0")
    with pytest.raises(ParameterError, match="character 0"):
        engine.check(job)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exit", "ended with exit code 1"),
        ("signal", r"was killed \(SIGKILL"),
        ("no product", "did not write out.fits, but nothing"),
        ("half a product", "damaged or not FITS.*truncated"),
    ],
)
def test_failures(
    tmp_path: Path, image: DataFile, make_job: MakeJob, fault: Fault, words: str
) -> None:
    fake = fake_command(tmp_path / "bin", "prog", fault=fault, prints="last words")
    job = make_job(f"command:{fake.path}", {"in": [image]}, [None])
    with pytest.raises(StepError, match=words) as caught:
        engine.run(job)
    for text in ("test_step", "prog", "raw.fits", "last words"):
        assert text in str(caught.value)
    assert "last words" in caught.value.log


@pytest.mark.parametrize("fault", ["huge output", "bad UTF-8"])
def test_odd_output_does_no_harm(
    tmp_path: Path, image: DataFile, make_job: MakeJob, fault: Fault
) -> None:
    job = make_job(f"command:{faked(tmp_path, fault).path}", {"in": [image]}, [None])
    outcome = engine.run(job)
    assert outcome.products[None].idents == [1, 2]
    assert len(outcome.log) < 3_000_000
    assert "\x1b" not in outcome.log


def test_hang(tmp_path: Path, image: DataFile, make_job: MakeJob) -> None:
    fake = faked(tmp_path, "hang")
    job = make_job(f"command:{fake.path}", {"in": [image]}, [None], timeout=0.5)
    with pytest.raises(TimeLimitError, match=r"longer than 0.5 s; raise timeout="):
        engine.run(job)


def test_accepted_exit_codes(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    fake = fake_command(tmp_path / "bin", "prog", fault="exit", exit_code=2)
    words = {"ok_exit": (0, 2)}
    job = make_job(f"command:{fake.path}", {"in": [image]}, [None], words=words)
    with pytest.raises(StepError, match="did not write"):  # 2 itself is no failure
        engine.run(job)


def test_not_fits(tmp_path: Path, image: DataFile, make_job: MakeJob) -> None:
    words = {"argv": ["-c", "echo hello > $0", "{out}"]}
    job = make_job("command:sh", {"in": [image]}, [None], words=words)
    with pytest.raises(StepError, match="FITS unless their names say otherwise"):
        engine.run(job)


def test_missing_program_and_input(image: DataFile, make_job: MakeJob) -> None:
    job = make_job("command:no-such-thing", {"in": [image]}, [None])
    assert engine.tool(job.task) == {"name": "no-such-thing", "version": None}
    engine.check(job)
    with pytest.raises(MissingToolError, match="no-such-thing is not installed"):
        engine.run(job)
    Path(image).unlink()
    job = make_job("command:cp", {"in": [image]}, [None])
    with pytest.raises(MissingFileError, match="does not exist"):
        engine.run(job)


def test_version_is_asked_once(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    fake = fake_command(tmp_path / "bin", "prog", prints="prog 1.2\nmore")
    words = {"version": ["prog", "--version"]}
    job = make_job(f"command:{fake.path}", {"in": [image]}, [None], words=words)
    for _ in range(3):
        assert engine.tool(job.task) == {"name": "prog", "version": "prog 1.2"}
    assert [call.argv for call in fake.calls] == [["--version"]]
    new = fake_command(tmp_path / "bin", "prog", prints="prog 1.3")
    os.utime(new.path, ns=(1, 1))
    assert engine.tool(job.task)["version"] == "prog 1.3"


def test_version_without_a_probe(image: DataFile, make_job: MakeJob) -> None:
    job = make_job("command:cp", {"in": [image]}, [None])
    version = engine.tool(job.task)["version"]
    assert version is not None
    assert version.startswith("sha256:")


def test_preview_is_a_command_line(
    tmp_path: Path, image: DataFile, make_job: MakeJob
) -> None:
    odd = tmp_path / "it's $HOME.fits"
    odd.write_bytes(Path(image).read_bytes())
    job = make_job("command:cp", {"in": [DataFile(odd)]}, [None],
                   targets={None: "new one.fits"})  # fmt: skip
    made = Path(job.settings["outdir"]).absolute() / "new one.fits"
    preview = engine.preview(job)
    assert preview.language == "sh"
    assert preview.text == f"cp '{tmp_path}/it'\"'\"'s $HOME.fits' '{made}'"
    assert preview.script == preview.text + "\n"


@pytest.mark.parametrize(("code", "ends_with"), [(2, 0), (3, 3)])
def test_script_accepts_what_the_step_accepts(
    image: DataFile, make_job: MakeJob, code: int, ends_with: int
) -> None:
    words = {"argv": ["-c", f"exit {code}"], "ok_exit": (0, 2)}
    job = make_job("command:sh", {"in": [image]}, [None], words=words)
    script = "set -e\n" + engine.preview(job).script
    assert subprocess.run(["sh", "-c", script], check=False).returncode == ends_with


def test_fpack_for_real(
    image: DataFile, make_job: MakeJob, need: Callable[..., None]
) -> None:
    need("fpack")
    words = {"argv": ["-g", "-O", "{out}", "{in}"], "version": ["fpack", "-V"]}
    job = make_job("command:fpack", {"in": [image]}, [None], words=words,
                   targets={None: "small.fits.fz"})  # fmt: skip
    assert "CFITSIO" in str(engine.tool(job.task)["version"])
    product = engine.run(job).products[None]
    assert np.array_equal(product[1].data, image[1].data)


def test_source_extractor_for_real(
    tmp_path: Path, make_job: MakeJob, need: Callable[..., None]
) -> None:
    need("source-extractor")
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    sky = rng.normal(100.0, 1.0, (64, 64))
    star = 500.0 * np.exp(-((x - 20.0) ** 2 + (y - 40.0) ** 2) / 8.0)
    stars = DataFile(tmp_path / "stars.fits", data=[], mode="new")
    stars.append(NDData(sky + star))
    stars.save()
    wanted = tmp_path / "wanted.param"
    wanted.write_text("NUMBER\nX_IMAGE\nY_IMAGE\nFLUX_AUTO\n")
    words = {
        "argv": ["{in}[1]", "-c", "/dev/null", "-PARAMETERS_NAME", "{columns}",
                 "-FILTER", "N", "-CATALOG_TYPE", "FITS_1.0", "-CATALOG_NAME", "{out}",
                 "-DETECT_THRESH", "{threshold}"],
        "version": ["source-extractor", "--version"],
    }  # fmt: skip
    job = make_job("command:source-extractor", {"in": [stars]}, [None], words=words,
                   columns=wanted, threshold=5.0)  # fmt: skip
    assert "Source Extractor" in str(engine.tool(job.task)["version"])
    catalogue = engine.run(job).products[None]
    (name,) = catalogue.tables
    (row,) = catalogue.tables[name]
    assert row["X_IMAGE"] == pytest.approx(21.0, abs=0.2)
    assert row["Y_IMAGE"] == pytest.approx(41.0, abs=0.2)


def test_log_of_a_program_that_prints_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    assert read_log(path) == ""
