"""
Before a call: what a step is, declared once.

declaration
    The declaration of a step, and the words of the framework in its calls.

Parameters
----------
    What a parameter may be, and checks of what is given for it.
function
    A declaration made of a Python function.
tool, tool_parameters
    A declaration made of an external task, recipe or program.
"""
