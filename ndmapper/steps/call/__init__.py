"""
A call, hops 1 to 5 of 11: from what is given to a plan; nothing is written.

bind
    1: arguments to parameters, and the words of the framework.
inputs
    2: inputs of any form to DataFiles.
calibrations, instrument_table
    3: calibrations, and what an instrument table says, for each input.
units, naming
    4: units of work, and the names of their products.
decide, plan, job
    5: what to make, re-use or refuse, and what a worker must know of it.
"""
