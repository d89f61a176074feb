"""The engine for IRAF tasks, run in PyRAF worker processes."""

import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ndmapper.data import DataFile
from ndmapper.engines.base import Each, Job, Outcome, Output, Preview, Task
from ndmapper.engines.iraf.calls import (
    Call,
    Calls,
    base_output,
    files_of,
    texts_of,
)
from ndmapper.engines.iraf.entries import given_entries, made_entries
from ndmapper.engines.iraf.failures import (
    ProductError,
    failure_reason,
    task_error,
    warning_lines,
)
from ndmapper.engines.iraf.installation import Installation, missing_advice
from ndmapper.engines.iraf.parameters import Parameter, describe
from ndmapper.engines.iraf.pool import worker
from ndmapper.engines.iraf.preview import preview
from ndmapper.engines.iraf.process import Worker, WorkerDiedError
from ndmapper.engines.iraf.products import (
    assemble,
    open_product,
    repair_headers,
)
from ndmapper.engines.iraf.shared_database import SharedDatabase
from ndmapper.engines.iraf.side_effects import keep_undeclared, undeclared_files
from ndmapper.engines.iraf.values import check_names, check_required, to_iraf
from ndmapper.engines.iraf.vardq import check_vardq, choose_method, propagate
from ndmapper.errors import ParameterError, StepError, TimeLimitError

__all__ = ["IrafEngine"]


class IrafEngine:
    """Run an IRAF task on files, extension by extension or whole."""

    name = "iraf"
    each: Each = "file"
    words: Mapping[str, Any] = MappingProxyType(
        {
            "MEF_ext": True,
            "comb_in": False,
            "path_param": None,
            "vardq": "auto",
            "nan_value": None,
            "switches": None,
        }
    )

    def tool(self, task: Task) -> dict[str, str | None]:
        """Return the version of IRAF, without starting it."""
        return {"name": "IRAF", "version": _installation().version()}

    def parameters(self, task: Task) -> Collection[str] | None:
        """Return the parameters of a task, its psets and its packages."""
        known = describe(_installation(), str(task.name))
        return None if known is None else list(known)

    def check(self, job: Job) -> None:
        """Check names, types, ranges and choices of all parameters."""
        known = describe(
            Installation.of(job.settings), str(job.task.name), job.parameters
        )
        _check(job, known)

    def preview(self, job: Job) -> Preview:
        """Show the parameters of every call, and CL lines that do the same."""
        known = describe(
            Installation.of(job.settings), str(job.task.name), job.parameters
        )
        return preview(job, known)

    def run(self, job: Job) -> Outcome:
        """
        Run a task on one set of files.

        Raises StepError for every way in which IRAF signals a failure.
        """
        installation = Installation.of(job.settings)
        if installation.version() is None:
            raise missing_advice(installation, str(job.task.name))
        known = describe(installation, str(job.task.name), job.parameters)
        _check(job, known)
        return _Run(job, known, installation).outcome()


def _installation() -> Installation:
    from ndmapper.config import config

    return Installation.of(config.snapshot())


def _check(job: Job, known: Mapping[str, Parameter] | None) -> None:
    task = str(job.task.name)
    check_vardq(job)
    nan_value = job.task.words.get("nan_value")
    if nan_value is not None and not isinstance(nan_value, int | float):
        msg = f"nan_value must be a number, not {nan_value!r}"
        raise ParameterError(msg)
    files, texts = files_of(job), texts_of(job)
    if mixed := sorted(set(files) & set(texts)):
        msg = (
            f"{mixed[0]!r} of the IRAF task {task} is given images and texts together; "
            "give it either"
        )
        raise ParameterError(msg)
    path_param = job.task.words.get("path_param")
    entries = made_entries(job)
    made = [base_output(output) for output in job.outputs if output not in entries]
    databases = _only_entries(job)
    given: dict[str, Any] = dict.fromkeys(made)
    given |= {
        n: v for n, v in {**job.roles, **job.parameters}.items() if n not in databases
    }
    if path_param:
        given[path_param] = None
    if known is not None:
        check_names(task, given, known)
        # Whether required parameters are missing, only running a task without files
        # tells: observatory has a list of images that it uses for one command alone.
        if job.roles or job.outputs:
            check_required(task, given, known)
    taken = {*job.roles, *made, path_param}
    for name, value in job.parameters.items():
        if name in taken:
            msg = f"{name!r} of the IRAF task {task} is given twice"
            raise ParameterError(msg)
        if name in files or name in texts or name in databases:
            continue
        to_iraf(task, name, value, None if known is None else known.get(name))


def _only_entries(job: Job) -> set[str]:
    """Find what is given nothing but database entries, which no task names."""
    entries = set(map(id, given_entries(job)))
    found = set()
    for name, value in {**job.roles, **job.parameters}.items():
        listed = value if isinstance(value, list | tuple) else [value]
        if listed and {id(v) for v in listed} <= entries:
            found.add(name)
    return found


class _Run:
    """State of one job."""

    def __init__(
        self,
        job: Job,
        known: Mapping[str, Parameter] | None,
        installation: Installation,
    ) -> None:
        self.job = job
        self.calls = Calls(job, known)
        self.installation = installation
        self.terminal = bool(job.settings["interact"])
        # No time limit for an interactive user.
        limit = None if self.terminal else job.timeout
        self.end = None if limit is None else time.monotonic() + limit
        self.log: list[str] = []
        self.opened: set[Path] = set()
        self.warnings = self.calls.warnings

    def outcome(self) -> Outcome:
        job, calls = self.job, self.calls
        way = choose_method(job, calls) if calls.by_extension else "carry"
        made: dict[Output, dict[Any, tuple[Call, DataFile]]] = {
            output: {} for output in job.outputs
        }
        shared = SharedDatabase(job, calls.folder, by_hand=self.terminal)
        shared.fetch()
        if len(calls.idents) > 1 and calls.images != calls.outputs:
            (name, *_) = (o for o in calls.outputs if o not in calls.images)
            msg = (
                f"{job.step}: {job.targets[name]} is one file, and {job.task.name} is "
                f"called for {len(calls.idents)} extensions; declare MEF_ext=False, or "
                "give it files of one extension"
            )
            raise StepError(msg)
        with self._worker() as process:
            for call in calls.all():
                for output, df in self._one(process, call).items():
                    made[output][call.ident] = (call, df)
            parts = propagate(job, calls, way, lambda c: self._one(process, c))
        products = {
            output: self._product(output, made[output], parts[output])
            for output in calls.outputs
        }
        try:
            products |= shared.products()
        except ProductError as err:
            raise task_error(job, str(err), "".join(self.log)) from err
        self.warnings += [
            f"{job.task.name} changed its copy of database/{name}, which is not kept: "
            f"declare outputs={{'entry': 'database/{name}'}} to have it as a product"
            for name in shared.keep()
        ]
        self._keep_undeclared()
        self._tell_of_lost_changes()
        return Outcome(
            products=products,
            log="".join(self.log),
            warnings=tuple(dict.fromkeys(self.warnings)),
            replayed=shared.replays,
        )

    def _keep_undeclared(self) -> None:
        found = undeclared_files(self.calls.folder, self.calls.written | self.opened)
        if not found:
            return
        log, warning = keep_undeclared(self.job, found)
        self.log.append(log)
        if warning:
            self.warnings.append(warning)

    def _tell_of_lost_changes(self) -> None:
        """Warn if a task changed its input, since it changed only a copy."""
        if self.calls.images:
            return
        for name, df, what in self.calls.changed():
            self.warnings.append(
                f"{self.job.task.name} changed its copy of {df} ({what}), which is not "
                f"kept: declare outputs={{{name!r}: '@{name}'}} to have it as a product"
            )

    def _product(
        self,
        output: Output,
        made: dict[Any, tuple[Call, DataFile]],
        parts: dict[Any, dict[str, Any]],
    ) -> DataFile:
        calls = self.calls
        if output not in calls.images:
            ((_, df),) = made.values()
            return df
        if not calls.by_extension or list(made) == [None]:
            ((_, df),) = made.values()
            drop = {
                word: None
                for word, key in (("variance", "use_uncert"), ("flags", "use_flags"))
                if not self.job.settings[key]
            }
            given = [df for several in calls.files.values() for df in several]
            return repair_headers(df, calls.bases.get(output), drop, given)
        return assemble(calls, output, made, parts, self.warnings)

    @contextmanager
    def _worker(self) -> Iterator[Worker]:
        try:
            with worker(self.installation, terminal=self.terminal) as process:
                yield process
        except WorkerDiedError as err:
            if err.log:
                raise
            raise task_error(self.job, str(err), "") from err

    def _one(self, process: Worker, call: Call) -> Mapping[Output, DataFile]:
        """Run the task once, and open its products."""
        before = {path.name for path in self.calls.folder.iterdir()}
        message = {
            "do": "run",
            "task": self.job.task.name,
            "folder": str(self.calls.folder),
            "parameters": call.parameters,
        }
        said = len(process.said())
        left = None if self.end is None else max(0.0, self.end - time.monotonic())
        try:
            reply = process.request(message, left)
        except TimeLimitError as err:
            what = f"it took longer than {self.job.timeout:g} s and was ended"
            log = self._keep(process)
            raise task_error(self.job, what, log, TimeLimitError) from err
        except WorkerDiedError as err:
            raise task_error(self.job, str(err), self._keep(process)) from err
        text = self._keep(process)
        if "failed" in reply:
            raise task_error(self.job, reply["failed"]["text"], text)
        wrong = failure_reason(reply, text, process.said()[said:])
        if wrong is not None:
            raise task_error(self.job, self._placed(call, wrong), "".join(self.log))
        self.warnings.extend(warning_lines(text))
        try:
            made = {
                output: open_product(
                    self.calls.folder,
                    call,
                    output,
                    before,
                    self.calls.bases.get(output),
                )
                for output in call.outputs
            }
        except ProductError as err:
            raise task_error(
                self.job, self._placed(call, str(err)), "".join(self.log)
            ) from err
        self.opened |= {Path(df) for df in made.values()}
        return made

    def _placed(self, call: Call, what: str) -> str:
        if call.ident is None or len(self.calls.idents) == 1:
            return what
        return f"in extension {call.ident!r}: {what}"

    def _keep(self, process: Worker) -> str:
        text = process.printed()
        self.log.append(text if text.endswith("\n") or not text else f"{text}\n")
        return text
