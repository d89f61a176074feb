"""Named tools that are run at once, without a step being declared."""

from collections.abc import Mapping
from typing import Any

from ndmapper.data import DataFileList
from ndmapper.errors import DeclarationError
from ndmapper.steps.call.bind import Bound
from ndmapper.steps.declare.declaration import Affix
from ndmapper.steps.declare.tool import now_declaration
from ndmapper.steps.step import Step

__all__ = ["TaskResult", "run_now"]


class TaskResult(dict[str, DataFileList]):
    """
    What came of a tool that was run at once: output to its files.

    Attributes
    ----------
    text : str
        What the tool printed, where it makes no products.
    """

    text: str = ""


def run_now(
    what: str,
    *,
    inputs: Any,
    outputs: Any,
    words: Mapping[str, Any],
    prefix: Affix,
    suffix: Affix,
    each: str | None,
    params: Mapping[str, Any],
    options: Mapping[str, Any],
    reprocess: bool | str | None,
    logfile: str | None,
) -> TaskResult:
    """
    Run a named tool.

    Parameters
    ----------
    what : str
        The tool.
    inputs : mapping
        Files for each parameter (or tag) that takes some.
    outputs : mapping or None
        How the products of each output are named; None for a tool without products.
    words, prefix, suffix, each, params, options, reprocess, logfile : object
        As in `ndmapper.steps.run_task.run_task`.

    Returns
    -------
    TaskResult
        Output to DataFileList.

    Raises
    ------
    DeclarationError
        If inputs and outputs are not both mappings.
    """
    if not isinstance(inputs, Mapping) or not isinstance(outputs or {}, Mapping):
        word = "outputs" if isinstance(inputs, Mapping) else "inputs"
        msg = (
            f"run_task({what!r}) runs at once, since one of inputs and outputs is a "
            f"mapping; give {word} as a mapping too, or names for both to declare a "
            "step"
        )
        raise DeclarationError(msg)
    named = dict(outputs or {})
    declaration = now_declaration(
        what,
        inputs=tuple(inputs),
        outputs=tuple(named),
        words=words,
        prefix=prefix,
        suffix=suffix,
        each=each,
        params=params,
        options=options,
        reprocess=reprocess,
        logfile=logfile,
    )
    bound = Bound(
        words={},
        calibrations={},
        inputs={},
        out_names=named or None,
        save=True,
        parameters={},
    )
    step = Step(declaration)
    _, results = step.run_bound(declaration, inputs, bound)
    made = TaskResult()
    for output in declaration.outputs:
        made[str(output)] = DataFileList(
            data=[
                df
                for result in results
                if isinstance(result, dict)
                for name, df in result.items()
                if name == output or str(name).startswith(f"{output}#")
            ]
        )
    made.text = "\n".join(result for result in results if isinstance(result, str))
    return made
