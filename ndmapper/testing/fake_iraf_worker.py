"""
The Python of a fake IRAF: it responds as the worker of the IRAF engine.

It runs as a script with the standard library only, started as ``python worker.py
REQUESTS REPLIES {quiet|terminal}``, or asked for the version of PyRAF by ``python -c
...``.
"""

import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["main"]

_KINDS = {bool: "b", int: "i", float: "r", str: "s"}
_HUGE = 8_000_000


def main(told: dict[str, Any], argv: list[str]) -> int:
    """Act as a Python that has PyRAF."""
    if argv[0] == "-c":
        print("0.0.fake")
        return 0
    requests, replies = int(argv[1]), int(argv[2])
    with (
        os.fdopen(requests, encoding="utf-8") as stream,
        os.fdopen(replies, "w", encoding="utf-8") as answers,
    ):
        _answer(answers, {})
        for line in stream:
            request = json.loads(line)
            task = told["recipes"].get(request["task"])
            reply: dict[str, Any]
            if task is None:
                text = f"there is no task {request['task']!r}"
                failed = {"type": "LookupError", "text": text, "number": None}
                reply = {"failed": failed}
            elif request["do"] == "describe":
                reply = {"parameters": _describe(task)}
            else:
                reply = _run(told, task, request)
            _answer(answers, reply)
    return 0


def _answer(answers: Any, reply: dict[str, Any]) -> None:
    answers.write(json.dumps(reply) + "\n")
    answers.flush()


def _describe(task: dict[str, Any]) -> list[dict[str, Any]]:
    files = dict.fromkeys([*task["inputs"], *task["outputs"]])
    listed = [(name, "s", "a", None) for name in files]
    listed += [
        (name, _KINDS[type(value)], "h", value)
        for name, value in task["parameters"].items()
    ]
    return [
        {"name": name, "type": kind, "mode": mode, "default": value, "min": None,
         "max": None, "choices": None, "prompt": ""}
        for name, kind, mode, value in listed
    ]  # fmt: skip


def _run(
    told: dict[str, Any], task: dict[str, Any], request: dict[str, Any]
) -> dict[str, Any]:
    given, fault = request["parameters"], told["fault"]
    _note(told, request)
    reply: dict[str, Any] = {"error": None, "status": None, "asked": False}
    with Path("log").open("wb") as log:
        log.write(f"{told['prints']}\n".encode())
        if fault == "hang":
            while True:
                time.sleep(60)
        if fault == "huge output":
            log.write((b"=" * 79 + b"\n") * (_HUGE // 80))
        if fault == "bad UTF-8":
            log.write(b"na\xefve \xff\xfe \x1b[31mred\x1b[0m\n")
        if fault == "exit":
            log.write(b"ERROR - FAKE: told to fail\n")
            text = "told to fail"
            return {**reply, "error": {"type": "IrafError", "text": text, "number": 1}}
    if fault != "no product":
        folder = Path(request["folder"])
        source = _files(folder, given[task["inputs"][0]])[0]
        for name in task["outputs"]:
            for path in _files(folder, given[name]):
                shutil.copyfile(source, path)
                if fault in ("half a product", "signal", "crash"):
                    os.truncate(path, path.stat().st_size // 2)
    if fault in ("signal", "crash"):
        os.kill(os.getpid(), signal.SIGKILL if fault == "signal" else signal.SIGSEGV)
    return reply


def _files(folder: Path, value: str) -> list[Path]:
    """Read a list of names as IRAF does: separated by commas, or in an @file."""
    if value.startswith("@"):
        names = (folder / value[1:]).read_text(encoding="utf-8").split()
    else:
        names = value.split(",")
    return [folder / name.partition("[")[0] for name in names]


def _note(told: dict[str, Any], request: dict[str, Any]) -> None:
    words = [f"{name}={value}" for name, value in request["parameters"].items()]
    note = {
        "argv": [request["task"], *words],
        "cwd": request["folder"],
        "environment": dict(os.environ),
        "sof": None,
    }
    with Path(told["notes"]).open("ab") as stream:
        stream.write(json.dumps(note).encode() + b"\n")


if __name__ == "__main__":
    settings = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.exit(main(settings, sys.argv[2:]))
