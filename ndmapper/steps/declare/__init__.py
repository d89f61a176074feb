"""
Before a call: what a step is, declared once.

declaration
    The declaration of a step, and the words of the framework in its calls.
parameters, tool_parameters
    What a parameter may be, and checks of what is given for it; those of a tool.
function
    A declaration made of a Python function.
tool
    A declaration made of an external task, recipe or program.
"""
