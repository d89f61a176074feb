"""Run a recipe of HAWK-I through the engine, against the bare command."""

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from timing import show, together

from ndmapper import DataFile, config
from ndmapper.engines import Job, Task, get_engine
from ndmapper.lib.simulate import simulate_hawki_darks

engine = get_engine("esorex")
task = Task(
    engine="esorex",
    name="hawki_dark_combine",
    inputs=("DARK",),
    outputs=("MASTER_DARK",),
    words=dict(engine.words),
)

with tempfile.TemporaryDirectory() as temp:
    raws = simulate_hawki_darks(Path(temp) / "raw")
    folder = Path(temp) / "job"
    (Path(temp) / "in.sof").write_text("".join(f"{raw} DARK\n" for raw in raws))
    job = Job(
        step="combine",
        task=task,
        each="list",
        roles={"DARK": [DataFile(raw) for raw in raws]},
        parameters={},
        outputs=task.outputs,
        settings=config.snapshot(),
        folder=folder,
    )

    def bare() -> None:
        """Run esorex as one would by hand, with its recipes restricted to HAWK-I."""
        folder.mkdir()
        line = ["esorex", option, "hawki_dark_combine", "../in.sof"]
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        shutil.rmtree(folder)

    def ours() -> None:
        """Check, run, look for the products and at their lists."""
        folder.mkdir()
        engine.check(job)
        engine.run(job)
        shutil.rmtree(folder)

    words = engine.preview(job).text.split()
    (option,) = [word for word in words if word.startswith("--recipe-dir=")]
    times = together({"esorex": bare, "the engine": ours}, repeat=15)
    show(times, "recipe")
    more = times["the engine"] - times["esorex"]
    print(f"{'more than the bare command':<48} {more * 1e6:10.0f} us")
    start = time.process_time()
    for _ in range(10):
        ours()
    # That of esorex does not count here, and nobody else's either.
    own = (time.process_time() - start) / 10
    print(f"{'processor time of this process':<48} {own * 1e6:10.0f} us")
    show({"tool(), the version of the pipeline": min(
        together({"tool": lambda: engine.tool(task)}).values())}, "call")  # fmt: skip
