"""What a worker process does: surroundings, one call, its answer."""

import contextlib
import logging
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from ndmapper.config import config
from ndmapper.errors import WorkerError

__all__ = ["Surroundings", "carry_out", "open_answer", "start_worker"]


@dataclass(frozen=True)
class Surroundings:
    """What a function may depend on beside its argument."""

    folder: str | None  # the working folder
    path: list[str]  # where modules are looked for
    settings: dict[str, Any]  # the configuration
    level: int  # messages below this level are not logged
    func: bytes = b""  # the function, pickled
    program: str = ""  # the script that runs; tables may lie beside it

    @classmethod
    def here(cls) -> "Surroundings":
        """Describe this process."""
        try:
            folder: str | None = str(Path.cwd())
        except OSError:  # the folder was deleted
            folder = None
        # Who works here does not hand the work on.
        settings: dict[str, Any] = dict(config.snapshot()) | {
            "workers": 1,
            "cluster": None,
        }
        # What only the environment or the folder says of archives is found there again,
        # and stays without credentials.
        if config["archive_urls"] != config.own("archive_urls"):
            del settings["archive_urls"]
        if not isinstance(settings["labels"], str | None):
            settings["labels"] = dict(settings["labels"])  # a proxy does not travel
        level = logging.getLogger("ndmapper").getEffectiveLevel()
        program = os.path.abspath(sys.argv[0]) if sys.argv and sys.argv[0] else ""  # noqa: PTH100
        return cls(folder, list(sys.path), settings, level, program=program)

    def pack(self, func: Callable[[Any], Any]) -> "Surroundings":
        """Add the function."""
        import cloudpickle

        return replace(self, func=cloudpickle.dumps(func))

    @contextlib.contextmanager
    def taken_on(self) -> Iterator[list[logging.LogRecord]]:
        """Apply them to this process; they stay, but for the configuration and log."""
        sys.path[:] = self.path
        sys.argv[:1] = [self.program]
        if self.folder is not None:
            os.chdir(self.folder)
        logger = logging.getLogger("ndmapper")
        collector = _Collector()
        # A cluster may work in threads of the user's own process: its log is as it was.
        level = logger.level
        logger.setLevel(self.level)
        logger.addHandler(collector)
        propagate, logger.propagate = logger.propagate, False
        try:
            with config.using(**self.settings):
                yield collector.records
        finally:
            logger.removeHandler(collector)
            logger.setLevel(level)
            logger.propagate = propagate


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        # As for a queue: text travels, what it was made of may not.
        record.msg, record.args = record.getMessage(), None
        if record.exc_info:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
            record.exc_info = None
        self.records.append(record)


@lru_cache(maxsize=1)
def _function(packed: bytes) -> Callable[[Any], Any]:
    return cast(Callable[[Any], Any], pickle.loads(packed))


def carry_out(
    call: Surroundings, item: Any
) -> tuple[str, Any, list[logging.LogRecord]]:
    """Call the function with one item."""
    with call.taken_on() as records:
        try:
            return "result", _function(call.func)(item), records
        except Exception as err:
            where = "".join(traceback.format_exception(err)).rstrip()
            err.add_note(f"In a worker process:\n{where}")
            if _travels(err):
                return "error", err, records
            text = f"{type(err).__name__} in a worker process: {err}\n{where}"
            return "foreign", text, records


def open_answer(answer: tuple[str, Any, list[logging.LogRecord]]) -> Any:
    """Log what a worker logged, then return its result or raise its error."""
    kind, value, records = answer
    for record in records:
        logger = logging.getLogger(record.name)
        if logger.isEnabledFor(record.levelno):
            logger.handle(record)
    if kind == "error":
        raise value
    if kind == "foreign":
        raise WorkerError(value)
    return value


def _travels(err: Exception) -> bool:
    import cloudpickle

    try:
        copy = pickle.loads(cloudpickle.dumps(err))
    except Exception:
        return False
    return type(copy) is type(err) and str(copy) == str(err)


def start_worker() -> None:
    """Prepare this process for work: it ends with its parent."""
    # An interrupt on the terminal reaches all processes; the parent ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(os.getppid(),), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
