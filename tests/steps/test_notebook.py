"""Steps that are defined in the cells of a notebook."""

from pathlib import Path

import pytest

from ndmapper.data import DataFile
from ndmapper.io.digest import differences

pytestmark = pytest.mark.slow

CELLS = (
    "from ndmapper import DataFileList, config, run_task\nFACTOR = 2",
    """
@run_task(prefix="s")
def scale(ndd):
    # in a cell
    return ndd * FACTOR
""",
    "scale(DataFileList('x*.fits'), outdir='serial')",
    "made = scale(DataFileList('x*.fits'), outdir='parallel', workers=2); made",
    "scale(DataFileList('x*.fits'), outdir='parallel', reprocess='auto')",
    "from ndmapper.parallel import end_workers; end_workers()",
)


@pytest.fixture
def notebook(make_raw):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    for n in range(2):
        make_raw(f"x{n}.fits", (float(n),))
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS]
    )
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3").execute()
    return book


@pytest.mark.filterwarnings("default")  # those of the client are its own
def test_notebook_runs_its_steps_in_workers(notebook):
    for n in range(2):
        assert differences(f"serial/sx{n}.fits", f"parallel/sx{n}.fits") == []
    shown = notebook.cells[3]["outputs"][-1]["data"]["text/plain"]
    assert "parallel/sx0.fits" in shown
    (entry,) = DataFile("parallel/sx0.fits").record
    assert "# in a cell" in entry["source"]
    assert entry["tool"] == {"name": "script", "version": None}
    log = Path("parallel/ndmapper.log").read_text()
    assert "scale: x0.fits -> parallel/sx0.fits: re-used" in log
