"""
Steps: what runs, on which files, with what, and what comes of it.

`run_task` makes a step of a function or a tool (``declare``). A call goes this way; the
hops are numbered in the code, too::

     1  bind          call/bind.py        words of the call, checked
     2  config        call/bind.py        one frozen snapshot of the configuration
     3  coerce        call/inputs.py      inputs as lists of files
     4  calibrations  call/inputs.py      by name, from the call or the inputs
     5  plan          call/plan.py        names; run, replace or re-use, and why
     6  stage         run/publish.py      a folder of its own
     7  run           run/unit.py         one unit of work, by its engine
     8  collect       `ndmapper.engines`  what the engine has made
     9  record        record/entry.py     what was done, from the declaration
    10  publish       run/publish.py      rename into place, with the record
    11  map           run/execute.py      lazily mapped results

``step.py`` goes through 1 to 5, ``run/unit.py`` through 6 to 10 for one unit of work,
``run/execute.py`` takes all units there. With save=False only hop 10 is another
(``run/in_memory.py``). What is written down of it all is in ``record``;
``instrument_table.py`` looks up what an instrument table says of the inputs, and
``instrument_block.py`` has its form in a record.
"""

from ndmapper.engines import decide, qc
from ndmapper.steps.chain import chain
from ndmapper.steps.declare.parameters import OfInstrument, Range, Unit
from ndmapper.steps.instrument_table import (
    InstrumentTable,
    TableFacts,
    table_facts,
)
from ndmapper.steps.run_task import TaskResult, run_task
from ndmapper.steps.step import Step

__all__ = [
    "InstrumentTable",
    "OfInstrument",
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
