"""The declaration of a step: everything that is known of it before a call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ndmapper.engines.base import Each, Output, Task
from ndmapper.steps.declare.parameters import Parameter

__all__ = [
    "CONFIG_WORDS",
    "HANDED_IN",
    "OF_DECLARATION",
    "OPTIONS",
    "WORDS",
    "Affix",
    "Declaration",
]


HANDED_IN = frozenset({"interact", "use_uncert", "use_flags"})
"""A function that names one of these is given its value, resolved."""

CONFIG_WORDS = HANDED_IN | {
    "reprocess", "outdir", "workers", "on_error", "dry_run", "engine", "timeout",
}  # fmt: skip
"""Keywords of a call that override the configuration."""

WORDS = CONFIG_WORDS | {"out_names", "save"}
"""All keywords of the framework; no parameter of a function may have such a name."""

OF_DECLARATION = frozenset({"memory", "revision"})
"""Options of a declaration that are not configured elsewhere."""

OPTIONS = CONFIG_WORDS | OF_DECLARATION | {"record"}
"""What a declaration may say in its ``options``, beside the words of its engine."""


Affix = str | Mapping[str, str] | None
"""A prefix or suffix: one for all outputs, or one for each by its name."""


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """
    Everything that is known of a step before a call.

    Parameters
    ----------
    name : str
        Name of the step.
    task : Task
        What runs: the engine, the tool, its inputs and outputs.
    func : callable or None
        The function that is decorated: the work itself, or for other engines what
        gives the parameters of the tool. None for a tool that is run at once.
    each : {'ndd', 'file', 'list'}
        What the function or the tool sees.
    prefix, suffix : str, mapping or None
        How products are named.
    cals : tuple of str
        Names of its calibrations, which are parameters of the function.
    parameters : mapping of str to Parameter
        All other parameters of the function but one that takes the input.
    cal_parameters : mapping of str to Parameter
        Those of the calibrations.
    handed_in : frozenset of str
        Words of the framework that the function names to be given their value.
    table : str or None
        Name of the parameter that takes what an instrument table says.
    sees_file : bool
        Whether the function of another engine takes the first input, to look at its
        headers.
    tool_params : mapping
        Parameters of the tool that the declaration itself gives.
    options : mapping
        Words of the framework that the declaration gives, which a call overrides.
    reprocess : object
        What holds where neither the call nor the configuration says anything.
    logfile : str or None
        A log file of the step's own.
    by : str or None
        What a call is split by: a unit of work for each key.
    by_parameter : str or None
        The parameter of the tool that is given the key.
    names : mapping of str to str
        Patterns of the names of products, by output.
    tags : mapping of str to str
        Tags under which a tool is given calibrations, by type.
    optional : frozenset of str
        Inputs, outputs and types of calibration that may be absent.
    """

    name: str
    task: Task
    func: Callable[..., Any] | None = None
    each: Each = "ndd"
    prefix: Affix = None
    suffix: Affix = None
    cals: tuple[str, ...] = ()
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    cal_parameters: Mapping[str, Parameter] = field(default_factory=dict)
    handed_in: frozenset[str] = frozenset()
    table: str | None = None
    sees_file: bool = False
    tool_params: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    reprocess: bool | str | None = None
    logfile: str | None = None
    by: str | None = None
    by_parameter: str | None = None
    names: Mapping[Output, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Names of the outputs; ``(None,)`` for one output without a name."""
        return self.task.outputs

    @property
    def revision(self) -> int | None:
        """Version of its results, raised by the author when its numbers change."""
        revision: int | None = self.options.get("revision")
        return revision

    @property
    def is_python(self) -> bool:
        """Whether the function does the work itself."""
        return self.task.name is None

    @property
    def more_inputs(self) -> tuple[str, ...]:
        """Names of the inputs beside the first, which a call gives by name."""
        return self.task.inputs[1:]

    def affix(self, which: str, output: Output) -> str:
        """Give the prefix or suffix of one output."""
        declared: Affix = getattr(self, which)
        if isinstance(declared, Mapping):
            return declared.get(str(output), "")
        if (
            which == "suffix"
            and len(self.outputs) > 1
            and not isinstance(self.prefix, Mapping)
        ):
            return f"{declared or ''}_{output}"
        return declared or ""
