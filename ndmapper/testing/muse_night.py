"""
Nights of MUSE whose recipes make tiny products: records and bookkeeping at full size.

Declarations, names, logs and numbers of files are those of the real pipeline, so that
records are as long as those of a real reduction. No pixel means anything.
"""
# mypy: disable-error-code="untyped-decorator"

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from ndmapper.data import DataFile, DataFileList, FileName
from ndmapper.engines import Job, Outcome
from ndmapper.engines.esorex import EsorexEngine
from ndmapper.steps import run_task
from ndmapper.testing.headers import write_headers

__all__ = ["Form", "reduce_night", "simulated_recipes", "write_night"]

Form = Literal["merged", "lists", "units"]
"""
How products of 24 IFUs are made: masters in one file (but for tables of wavelengths),
lists of 24 files by one call of the recipe, or sets of 24 files, each by its own call.
"""


_BAND = {"lambdamin": 7260.0, "lambdamax": 7365.0}
_BASIC = ("geometry", "illum")
_SETS = ("MASTER_BIAS", "MASTER_FLAT", "TRACE_TABLE", "WAVECAL_TABLE")
_STATIC = ("extinct_table", "filter_list", "geometry_table_wfm", "line_catalog",
           "sky_lines", "std_flux_table")  # fmt: skip
_KINDS = {"bias": 11, "flat": 11, "arc": 15, "skyflat": 3, "illum": 1}


def _per_ifu(form: Form, *outputs: str, name: str = "{output}") -> dict[str, Any]:
    """Declare how a recipe makes one product for each IFU."""
    if form != "units":
        return {"outputs": outputs, "nifu": -1}
    names = {o: f"{name}-{{ifu:02d}}.fits".replace("{output}", o) for o in outputs}
    return {"outputs": names, "by": "ifu"}


@cache
def _steps(form: Form) -> dict[str, Any]:
    """Declare the steps that make one product for each IFU."""

    @run_task("esorex:muse_bias", inputs="BIAS", **_per_ifu(form, "MASTER_BIAS"))
    def make_bias() -> None:
        """Combine biases."""

    @run_task("esorex:muse_flat", inputs=("FLAT", "MASTER_BIAS"),
              **_per_ifu(form, "MASTER_FLAT", "TRACE_TABLE"))  # fmt: skip
    def make_flat(*, order: int = 5, nsum: int = 32) -> dict[str, Any]:
        """Combine lamp flats and trace the slices."""
        return {"order": order, "nsum": nsum}

    @run_task("esorex:muse_wavecal", inputs=("ARC", *_SETS[:3]), cals="lines",
              **_per_ifu(form, "WAVECAL_TABLE"))  # fmt: skip
    def make_wavecal(*, lines: DataFile) -> dict[str, Any]:
        """Find the wavelengths."""
        return {"LINE_CATALOG": lines}

    @run_task("esorex:muse_lsf", inputs=("ARC", *_SETS), cals="lines",
              **_per_ifu(form, "LSF_PROFILE"))  # fmt: skip
    def make_lsf(*, lines: DataFile) -> dict[str, Any]:
        """Find the line spread function."""
        return {"LINE_CATALOG": lines}

    def scibasic(tag: str) -> Any:
        name = f"{{base}}_{tag.lower()}"

        # Pixel tables with another extension are refused by all later recipes.
        @run_task("esorex:muse_scibasic", inputs=(tag, *_SETS),
                  cals=(*_BASIC, "twilight"), options={"record": "side"},
                  skylines="none", saveimage=False,
                  **_per_ifu(form, f"PIXTABLE_{tag}", name=name))  # fmt: skip
        def reduce_raw(
            *, geometry: DataFile, illum: DataFile, twilight: DataFile
        ) -> dict[str, Any]:
            """Remove the signature of the instrument."""
            return {"GEOMETRY_TABLE": geometry, "ILLUM": illum,
                    "TWILIGHT_CUBE": twilight}  # fmt: skip

        return reduce_raw

    made = {"bias": make_bias, "flat": make_flat, "arc": make_wavecal, "lsf": make_lsf}
    return made | {tag: scibasic(tag) for tag in ("OBJECT", "STD", "SKY")}


@run_task("esorex:muse_twilight", inputs=("SKYFLAT", *_SETS), outputs="TWILIGHT_CUBE",
          cals=_BASIC, **_BAND)  # fmt: skip
def make_twilight(*, geometry: DataFile, illum: DataFile) -> dict[str, Any]:
    """Combine twilight flats into a cube."""
    return {"GEOMETRY_TABLE": geometry, "ILLUM": illum}


@run_task("esorex:muse_standard", inputs="PIXTABLE_STD",
          outputs=("STD_RESPONSE", "STD_TELLURIC"), **_BAND)  # fmt: skip
def make_response(*, extinction: Path, fluxes: Path) -> dict[str, Any]:
    """Find the response from a standard star."""
    return {"EXTINCT_TABLE": DataFile(extinction), "STD_FLUX_TABLE": DataFile(fluxes)}


_FLUX = ("response", "telluric", "extinction", "lines")


@run_task("esorex:muse_create_sky", inputs=("PIXTABLE_SKY", "LSF_PROFILE"),
          outputs=("SKY_LINES", "SKY_CONTINUUM"), cals=_FLUX)  # fmt: skip
def make_sky(
    *,
    response: DataFile,
    telluric: DataFile,
    extinction: DataFile,
    lines: DataFile,
    fraction: float = 0.75,
) -> dict[str, Any]:
    """Model the sky."""
    return {"STD_RESPONSE": response, "STD_TELLURIC": telluric,
            "EXTINCT_TABLE": extinction, "SKY_LINES": lines,
            "fraction": fraction}  # fmt: skip


@run_task("esorex:muse_scipost", inputs=("PIXTABLE_OBJECT", "LSF_PROFILE"),
          outputs=("DATACUBE_FINAL", "IMAGE_FOV", "PIXTABLE_REDUCED"),
          cals=(*_FLUX, "continuum", "filters"), options={"record": "side"},
          **_BAND)  # fmt: skip
def make_cube(
    *,
    response: DataFile,
    telluric: DataFile,
    extinction: DataFile,
    lines: DataFile,
    continuum: DataFile,
    filters: DataFile,
    skymethod: str = "subtract-model",
) -> dict[str, Any]:
    """Make a cube of an exposure."""
    return {"STD_RESPONSE": response, "STD_TELLURIC": telluric,
            "EXTINCT_TABLE": extinction, "SKY_LINES": lines,
            "SKY_CONTINUUM": continuum, "FILTER_LIST": filters, "filter": "white",
            "save": "cube,individual", "skymethod": skymethod}  # fmt: skip


@run_task("esorex:muse_exp_align", inputs="IMAGE_FOV", outputs="OFFSET_LIST")
def align(*, srcmin: int = 5) -> dict[str, Any]:
    """Find the offsets of exposures."""
    return {"srcmin": srcmin}


@run_task("esorex:muse_exp_combine", inputs="PIXTABLE_REDUCED",
          outputs=("DATACUBE_FINAL", "IMAGE_FOV"),
          cals=("offsets", "filters"))  # fmt: skip
def combine(*, offsets: DataFile, filters: DataFile) -> dict[str, Any]:
    """Combine exposures."""
    return {"OFFSET_LIST": offsets, "FILTER_LIST": filters, "filter": "white",
            "save": "cube"}  # fmt: skip


def write_night(
    folder: Path, *, objects: int = 2, skies: int = 1, ifus: int = 24
) -> None:
    """
    Write the headers of raw frames of one observing block, and static tables.

    With fewer `ifus` than 24 it can only be reduced in units.
    """
    seconds = count()
    chips = [
        {"XTENSION": "IMAGE", "EXTNAME": f"CHAN{n:02d}"} for n in range(1, ifus + 1)
    ]
    kinds = _KINDS | {"std": 1, "sky": skies, "object": objects}
    for kind, number in kinds.items():
        for _ in range(number):
            minute, second = divmod(next(seconds), 60)
            time = f"2017-06-16T03:{minute:02d}:{second:02d}.867"
            path = folder / "raw" / kind / f"MUSE.{time.replace(':', '_')}.fits"
            path.parent.mkdir(parents=True, exist_ok=True)
            primary = {"INSTRUME": "MUSE", "DATE-OBS": time}
            write_headers(path, [primary, *(chips if kind != "illum" else ())])
    (folder / "static").mkdir()
    for name in _STATIC:
        write_headers(folder / "static" / f"{name}.fits", [{"ESO PRO CATG": name}])


@contextmanager
def simulated_recipes() -> Iterator[None]:
    """Let recipes make files of one header block, which say what they are."""
    with mock.patch.object(EsorexEngine, "run", _simulate):
        yield


def _simulate(_: EsorexEngine, job: Job) -> Outcome:
    assert job.folder is not None
    ifu, products = job.parameters.get("nifu", -1), {}
    for number, output in enumerate(job.outputs, 1):
        path = job.folder / f"out_{number:04d}.fits"
        write_headers(path, [{
            "INSTRUME": "MUSE", "ESO PRO CATG": str(output).partition("#")[0],
            "ESO PRO DATANCOM": number, "OBJECT": str(job.inputs[0]),
            "EXTNAME": f"CHAN{ifu:02d}",
        }])  # fmt: skip
        products[output] = DataFile(path)
    lines = [
        f"03:{at // 60:02d}:{at % 60:02d} [ INFO  ] {job.task.name}: [tid={at % 24:03d}"
        f"] slice {at % 48} of IFU {at % 24}: mean level {100 + at}.{at % 7} counts"
        for at in range(200)
    ]
    return Outcome(products=products, log="\n".join(lines))


def reduce_night(folder: Path, form: Form = "units") -> DataFile:
    """Reduce one observing block to a cube; products go to the configured folder."""
    static = {name: DataFile(folder / "static" / f"{name}.fits") for name in _STATIC}
    raws = {path.name: DataFileList(str(path / "*.fits"))
            for path in sorted((folder / "raw").iterdir())}  # fmt: skip
    steps, sets = _steps(form), dict[str, Any]()

    def inputs(tag: str, files: Sequence[DataFile], number: int) -> dict[str, Any]:
        return {tag: files, **{name: sets[name] for name in _SETS[:number]}}

    def named(*outputs: str, one: bool = form == "merged") -> dict[str, str]:
        end = ".fits" if one else "-{01..24}.fits"
        return {} if form == "units" else {name: f"{name}{end}" for name in outputs}

    lines = static["line_catalog"]
    sets["MASTER_BIAS"] = steps["bias"](raws["bias"], **named("MASTER_BIAS"))
    sets |= steps["flat"](
        inputs("FLAT", raws["flat"], 1), **named("MASTER_FLAT", "TRACE_TABLE")
    )
    arcs = inputs("ARC", raws["arc"], 3)
    names = named("WAVECAL_TABLE", one=False)
    sets["WAVECAL_TABLE"] = steps["arc"](arcs, lines=lines, **names)
    arcs = inputs("ARC", raws["arc"], 4)
    profile = steps["lsf"](arcs, lines=lines, **named("LSF_PROFILE"))
    basic = {"geometry": static["geometry_table_wfm"], "illum": raws["illum"][0]}
    twilight = make_twilight(
        inputs("SKYFLAT", raws["skyflat"], 4), **basic, out_names="TWILIGHT_CUBE.fits"
    )

    def pixel_tables(tag: str, df: DataFile) -> Any:
        base = f"{FileName(df).base}_{tag.lower()}"
        (name,) = named(base, one=False).values() or (None,)
        files = DataFileList(data=[df])
        words = {**basic, "twilight": twilight, "out_names": name}
        return steps[tag](inputs(tag, files, 4), **words)

    response = make_response(
        pixel_tables("STD", raws["std"][0]),
        STD_RESPONSE="STD_RESPONSE.fits", STD_TELLURIC="STD_TELLURIC.fits",
        extinction=folder / "static" / "extinct_table.fits",
        fluxes=folder / "static" / "std_flux_table.fits",
    )  # fmt: skip
    flux = {"response": response["STD_RESPONSE"], "telluric": response["STD_TELLURIC"],
            "extinction": static["extinct_table"]}  # fmt: skip
    models = [
        make_sky(
            {"PIXTABLE_SKY": pixel_tables("SKY", df), "LSF_PROFILE": profile},
            SKY_LINES=f"SKY_LINES_{n}.fits", SKY_CONTINUUM=f"SKY_CONTINUUM_{n}.fits",
            lines=static["sky_lines"], fraction=0.7, **flux,
        )
        for n, df in enumerate(raws["sky"], 1)
    ]  # fmt: skip
    cubes = []
    for n, df in enumerate(raws["object"]):
        base, model = FileName(df).base, models[n % len(models)]
        cubes.append(make_cube(
            {"PIXTABLE_OBJECT": pixel_tables("OBJECT", df), "LSF_PROFILE": profile},
            DATACUBE_FINAL=f"{base}_cube.fits", IMAGE_FOV=f"{base}_white.fits",
            PIXTABLE_REDUCED=f"{base}_reduced.fits", lines=model["SKY_LINES"],
            continuum=model["SKY_CONTINUUM"], filters=static["filter_list"], **flux,
        ))  # fmt: skip
    images, tables = (
        DataFileList(data=[cube[name] for cube in cubes])
        for name in ("IMAGE_FOV", "PIXTABLE_REDUCED")
    )
    offsets = align(images, OFFSET_LIST="offsets.fits", srcmin=3)
    made: dict[str, DataFile] = combine(
        tables, offsets=offsets, filters=static["filter_list"],
        DATACUBE_FINAL="cube.fits", IMAGE_FOV="white.fits",
    )  # fmt: skip
    return made["DATACUBE_FINAL"]
