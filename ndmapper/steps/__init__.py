"""
Steps: what runs, on which files, with what, and what comes of it.

`run_task` makes a step of a function or a tool. A call goes this way, each hop in one
module:

    bind          `ndmapper.steps.call.bind`          words of the call, checked
    config        `ndmapper.config`              one frozen snapshot
    coerce        `ndmapper.steps.call.inputs`        inputs as lists of files
    calibrations  `ndmapper.steps.call.calibrations`     by name, from the call or the inputs
    plan          `ndmapper.steps.call.plan`          names; run, replace or re-use, and why
    stage         `ndmapper.steps.run.execute`       a folder of its own
    run, collect  `ndmapper.engines`             the work
    record        `ndmapper.steps.record.entry`         what was done, from the declaration
    publish, map  `ndmapper.steps.run.publish`       rename; lazily mapped results
"""

from ndmapper.engines import decide, qc
from ndmapper.steps.call.instrument_table import (
    InstrumentTable,
    TableFacts,
    table_facts,
)
from ndmapper.steps.chain import chain
from ndmapper.steps.declare.parameters import Range, Unit
from ndmapper.steps.now import TaskResult
from ndmapper.steps.run_task import run_task
from ndmapper.steps.step import Step

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
