"""
Two directives that write the reference from the code, so that it cannot lag behind.

``.. public:: ndmapper.data`` gives every name of the module's ``__all__`` an entry,
and ``.. verbs::`` shows the help of every verb of the command.
"""

import enum
import importlib
import inspect
from typing import Any

from docutils import nodes
from numpydoc.docscrape_sphinx import get_doc_object
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from ndmapper.cli.command import VERBS, make_parser
from ndmapper.steps import Step


def entries(module_name: str) -> list[str]:
    """
    Write the reference entries of a module.

    Parameters
    ----------
    module_name : str
        Dotted name of the module.

    Returns
    -------
    list of str
        Lines of reStructuredText, one autodoc directive for each public name.
    """
    module = importlib.import_module(module_name)
    lines = [f".. automodule:: {module_name}", "   :no-members:", ""]
    for name in module.__all__:
        value = getattr(module, name)
        if isinstance(value, Step):
            lines += _step(f"{module_name}.{name}", value)
            continue
        kind, options = _kind(value)
        lines += [f".. {kind}:: {module_name}.{name}", *options, ""]
    return lines


def _step(name: str, step: Step) -> list[str]:
    """Write the entry of a step: what its function says, which is what is its own."""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in step.signature.parameters.values()
    ]
    text = str(get_doc_object(step.func, "function", config={}))
    body = [f"   {line}" for line in text.splitlines()]
    return [f".. py:function:: {name}{inspect.Signature(parameters)}", "", *body, ""]


def _kind(value: Any) -> tuple[str, list[str]]:
    if inspect.isclass(value):
        if issubclass(value, Exception):
            return "autoexception", ["   :no-members:"]
        if issubclass(value, enum.Enum):
            return "autoclass", ["   :members:", "   :member-order: bysource"]
        # What the class takes from other packages is documented there.
        foreign = next(
            base.__name__
            for base in value.__mro__
            if base.__module__.partition(".")[0] != "ndmapper"
        )
        return "autoclass", [
            "   :members:",
            f"   :inherited-members: {foreign}",
            "   :member-order: bysource",
        ]
    if callable(value):
        return "autofunction", []
    return "autodata", ["   :no-value:"]


class Public(SphinxDirective):
    """Entries of all public names of a module."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write the entries and let autodoc fill them."""
        return self.parse_text_to_nodes("\n".join(entries(self.arguments[0])))


class Verbs(SphinxDirective):
    """The help text of every verb of the command."""

    def run(self) -> list[nodes.Node]:
        """Write one section for each verb."""
        parser = make_parser()
        choices = next(a.choices for a in parser._actions if a.dest == "verb")
        made: list[nodes.Node] = []
        for verb in VERBS:
            section = nodes.section(ids=[f"ndmapper-{verb.name}"])
            section += nodes.title(text=f"ndmapper {verb.name}")
            text = choices[verb.name].format_help()
            section += nodes.literal_block(text, text, language="none")
            made.append(section)
        return made


def setup(app: Sphinx) -> dict[str, bool]:
    """
    Tell Sphinx of the directives.

    Parameters
    ----------
    app : Sphinx
        The application.

    Returns
    -------
    dict
        What may be done in parallel.
    """
    app.add_directive("public", Public)
    app.add_directive("verbs", Verbs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
