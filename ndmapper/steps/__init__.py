"""
Steps: what runs, on which files, with what, and what comes of it.

`run_task` makes a step of a function or a tool. A call goes this way, each hop in one
module:

    bind          `ndmapper.steps.bind`          words of the call, checked
    config        `ndmapper.config`              one frozen snapshot
    coerce        `ndmapper.steps.coerce`        inputs as lists of files
    calibrations  `ndmapper.steps.calibrate`     by name, from the call or the inputs
    plan          `ndmapper.steps.plan`          names; run, replace or re-use, and why
    stage         `ndmapper.steps.execute`       a folder of its own
    run, collect  `ndmapper.engines`             the work
    record        `ndmapper.steps.entry`         what was done, from the declaration
    publish, map  `ndmapper.steps.product`       rename; lazily mapped results
"""

from ndmapper.engines import decide, qc
from ndmapper.steps.chain import chain
from ndmapper.steps.now import TaskResult
from ndmapper.steps.parameters import Range, Unit
from ndmapper.steps.run_task import run_task
from ndmapper.steps.step import Step
from ndmapper.steps.tables import InstrumentTable, TableFacts, table_facts

__all__ = [
    "InstrumentTable",
    "Range",
    "Step",
    "TableFacts",
    "TaskResult",
    "Unit",
    "chain",
    "decide",
    "qc",
    "run_task",
    "table_facts",
]
