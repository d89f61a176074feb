"""
Steps: what runs, on which files, with what, and what comes of it.

`run_task` makes a step of a function or a tool (``declare``). A call goes this way,
``step.py`` from one hop to the next, each hop in one place::

     1  bind          call/bind.py          words of the call, checked
     2  config        step.settings_of      one frozen snapshot of the configuration
     3  coerce        call/inputs.py        inputs as lists of files
     4  calibrations  call/calibrations.py  by name, from the call or the inputs
     5  plan          call/plan.py          names; run, replace or re-use, and why
     6  stage         run/publish.stage     a folder of its own
     7  run           run/unit.py           the work of one unit, by its engine
     8  collect       `ndmapper.engines`    what the engine has made
     9  record        record/entry.py       what was done, from the declaration
    10  publish       run/publish.py        rename into place, with the record
    11  map           run/execute.py        lazily mapped results

``run/execute.py`` takes every unit of a plan through 6 to 11; ``run/in_memory.py`` does
without files. What is written down of it all, and told of it later, is in ``record``.
"""

from ndmapper.engines import decide, qc
from ndmapper.steps.call.instrument_table import (
    InstrumentTable,
    TableFacts,
    table_facts,
)
from ndmapper.steps.chain import chain
from ndmapper.steps.declare.parameters import Range, Unit
from ndmapper.steps.run_task import TaskResult, run_task
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
