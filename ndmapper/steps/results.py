"""What comes of one unit of work."""

from dataclasses import dataclass, field
from typing import Any

from ndmapper.data import DataFile, DataFileList
from ndmapper.engines.base import Output
from ndmapper.errors import StepError
from ndmapper.steps.call.inputs import Inputs
from ndmapper.steps.declare.declaration import Declaration

__all__ = ["Failure", "Made", "Products", "Result", "shaped"]

Products = dict[Output, DataFile]
"""Output to product."""


@dataclass(frozen=True)
class Failure:
    """
    What went wrong with one unit of work, where the others go on.

    Parameters
    ----------
    error : str
        The message.
    """

    error: str


@dataclass(frozen=True)
class Made:
    """
    What one unit of work has made, as it travels between processes.

    Parameters
    ----------
    contents : dict of str to str
        Path of each product that was saved, with the digest of its content.
    products : dict of str to DataFile
        The products that stay in memory, by output.
    text : str
        What a tool printed, where it makes no products.
    """

    contents: dict[str, str] = field(default_factory=dict)
    products: Products = field(default_factory=dict)
    text: str = ""


Result = Products | Failure | str
"""Products; what went wrong; or what a tool without products printed."""


def shaped(declaration: Declaration, given: Inputs, results: list[Result]) -> Any:
    """
    Give back one file or a list, and a dict where outputs have names.

    Parameters
    ----------
    declaration : Declaration
        The step.
    given : Inputs
        Its inputs.
    results : list of dict, Failure or str
        What came of each unit of work.

    Returns
    -------
    DataFile, DataFileList or dict
        What a call gives back.

    Raises
    ------
    StepError
        If one file was given, and went wrong.
    """
    single = given.form == "one" or declaration.each == "list"
    good = [result for result in results if isinstance(result, dict)]
    failures = [result for result in results if isinstance(result, Failure)]
    if single and failures:
        raise StepError(failures[0].error)
    shaped: dict[Output, Any] = {}
    for output in declaration.outputs:
        files = [
            df
            for result in good
            for name, df in result.items()
            if name == output or str(name).startswith(f"{output}#")
        ]
        shaped[output] = (
            files[0] if single and len(files) == 1 else DataFileList(data=files)
        )
    outputs = declaration.outputs
    return shaped if len(outputs) != 1 else shaped[outputs[0]]
