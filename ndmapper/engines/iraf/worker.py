"""
Worker process: runs IRAF tasks in PyRAF on behalf of another process.

This script stands alone: it runs under any Python with PyRAF, from 3.6 on, and does not
import ndmapper. It is started in a folder of its own with a login.cl::

    python worker.py REQUESTS REPLIES {quiet|terminal}

The first two are file descriptors, for one JSON object per line. The output of tasks
goes to the file ``log`` in the folder.
"""

import itertools
import json
import math
import os
import re
import shutil
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Dict, List, TextIO  # noqa: UP035  # Python 3.6

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
# The script's folder is first on the path, and would hide other modules.
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != HERE]

HOME = Path.cwd()
NUMBERS = itertools.count(1)
SKIPPED = ("mode", "$nargs")
COMMON = ("noao", "twodspec", "imred")
"""Packages whose subpackages are unknown until they are loaded."""
CURSOR_HOOK = "_getNextValue"
OFTEN = 3000
"""Maximum number of queries for one parameter in one call."""
Message = Dict[str, Any]  # noqa: UP006  # Python 3.6


class Tee:
    """Write to the terminal and to the log."""

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        """Write to both."""
        self.log.write(text)
        return self.terminal.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.terminal, name)


class NoInput:
    """Standard input without a keyboard, which notes attempts to read."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset the note."""
        self.wanted: Any = False
        self.asked: Dict[str, int] = {}  # noqa: UP006  # Python 3.6

    def count(self, name: str) -> int:
        """Count the queries of a parameter."""
        self.asked[name] = self.asked.get(name, 0) + 1
        return self.asked[name]

    def read(self, count: int = -1) -> str:
        """Return end of file."""
        self.wanted = True
        return ""

    def readline(self) -> str:
        """Return end of file."""
        return self.read()

    def isatty(self) -> bool:
        """Return False."""
        return False


def take_defaults(keyboard: NoInput) -> None:
    """
    Answer queries of parameters that have a value with that value.

    At end of file PyRAF takes the value shown in the prompt, as the CL does. Without
    one it fails or continues with an empty string; either way the user was needed. A
    cursor that is not read from a file has no value.
    """
    from pyraf import irafpar

    owner: Any = next(c for c in irafpar.IrafParS.__mro__ if "getWithPrompt" in vars(c))
    ask = owner.getWithPrompt

    def ask_or_take(par: Any) -> None:
        before = keyboard.wanted
        what = f"the parameter {par.name!r}"
        if keyboard.count(par.name) > OFTEN:
            # The task rejects the value.
            keyboard.wanted = f"{what} again and again"
            raise EOFError(keyboard.wanted)
        if par.value is None:
            before = before or what
        ask(par)  # raises an error for most types without a value
        keyboard.wanted = before

    owner.getWithPrompt = ask_or_take

    def want(cursor: Any, what: str) -> None:
        # The only place where PyRAF reads a cursor is private.
        read = getattr(cursor, CURSOR_HOOK)

        def read_and_note(par: Any) -> Any:
            keyboard.wanted = what
            return read(par)

        setattr(cursor, CURSOR_HOOK, read_and_note)

    want(irafpar.IrafParGCur, "the graphics cursor")
    want(irafpar.IrafParImCur, "the image cursor")
    want(irafpar.IrafParUKey, "a key")


def end(is_leader: bool) -> None:
    """End this process with all its children."""
    shutil.rmtree(str(HOME), ignore_errors=True)
    if is_leader:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def check_translations(path: Path) -> None:
    """
    Remove unreadable translations of CL scripts, and those of single lines.

    Lines may contain a process number, so they would never be found again, and
    accumulate.
    """
    import sqlite3

    if not path.exists():
        return
    try:
        connection = sqlite3.connect(str(path))
        try:
            is_whole = connection.execute("pragma quick_check").fetchone() == ("ok",)
            lines = (b"def string_proc(",)
            connection.execute("delete from shelf where instr(value_str, ?) > 0", lines)
            connection.commit()
        finally:
            connection.close()
    except sqlite3.Error:
        is_whole = False
    if not is_whole:
        path.unlink()


def watch(parent: int, is_leader: bool) -> None:
    """End this process when the other process has ended."""
    while os.getppid() == parent:
        time.sleep(0.25)
    end(is_leader)


def find(iraf: Any, name: str) -> Any:
    """Load the packages of a task, and return the task."""
    words = name.split(".")
    for package in words[:-1]:
        if load(iraf, package) is None:
            msg = f"there is no package {package!r}"
            raise LookupError(msg)
    try:
        return iraf.getTask(".".join(words[-2:]))
    except (KeyError, TypeError):
        hint = ""
    try:
        other = iraf.getTask(words[-1])
        # Abbreviated names such as imstat are common.
        if other.getPkgname() == words[-2]:
            return other
        hint = f"; but there is {other.getPkgname()}.{other.getName()}"
    except (KeyError, TypeError, IndexError):
        pass
    msg = f"there is no task {name!r}{hint}"
    raise LookupError(msg)


def load(iraf: Any, name: str) -> Any:
    """Return a package, loaded; None unless the name matches exactly."""
    try:
        loader = iraf.getPkg(name, found=1)
    except KeyError:  # may be ambiguous
        return None
    if loader is None or loader.getName() != name:
        return None
    if not loader.isLoaded():
        loader.run(_doprint=0, _hush=1, Stdout=1)
    return loader


def load_anywhere(iraf: Any, name: str) -> Any:
    """Return a package, loaded, even if its parent packages are not loaded yet."""
    for parent in ("", *COMMON):
        if not parent or load(iraf, parent) is not None:
            package = load(iraf, name)
            if package is not None:
                return package
    return None


def find_elsewhere(iraf: Any, name: str) -> Any:
    """
    Return (package, name) of a package parameter.

    The name has ``_`` for each ``.``, so all splits are tried. Parent packages are
    loaded.
    """
    words = name.split("_")
    for count in range(1, len(words)):
        package = load_anywhere(iraf, "_".join(words[:count]))
        if package is None:
            continue
        rest = "_".join(words[count:])
        if package.getParDict().get(rest, exact=1) is not None:
            return package, rest
        found = find_elsewhere(iraf, rest)
        if found is not None:
            return found
    return None


def plain(value: Any) -> Any:
    """Convert the value of a parameter for JSON."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def describe_one(par: Any, name: str) -> Message:
    """Describe a parameter."""
    return {
        "name": name,
        "type": par.type,
        "mode": par.mode,
        "default": plain(par.value),
        "min": plain(par.min),
        "max": plain(par.max),
        "choices": [str(c) for c in par.choice] if par.choice else None,
        "prompt": str(par.prompt or "").split("\n")[0].strip(),
    }


def packages_of(iraf: Any, task: Any) -> List[Any]:  # noqa: UP006  # Python 3.6
    """Return the packages of a task, innermost first."""
    found: List[Any] = []  # noqa: UP006  # Python 3.6
    name = task.getPkgname()
    while name and name not in ("clpackage", "cl", "user"):
        package = iraf.getPkg(name)
        found.append(package)
        if package.getPkgname() == name:
            break
        name = package.getPkgname()
    return found


def describe(iraf: Any, request: Message) -> Message:
    """Describe the parameters of a task, its psets and its packages."""
    task = find(iraf, request["task"])
    reset(iraf, task)
    known = task.getParDict()
    names = [name for name in list(known.keys()) if name not in SKIPPED]
    listed = [describe_one(known[name], name) for name in names]
    for package in packages_of(iraf, task):
        known = package.getParDict()
        for name in list(known.keys()):
            if name not in SKIPPED and known[name].type != "pset":
                entry = describe_one(known[name], f"{package.getName()}.{name}")
                entry["mode"] = "h"  # it has a value, or the task needs none
                listed.append(entry)
    for name in request.get("elsewhere", ()):
        found = find_elsewhere(iraf, name)
        if found is not None:
            package, short = found
            par = package.getParDict()[short]
            entry = describe_one(par, f"{package.getName()}.{short}")
            listed.append(dict(entry, mode="h", alias=name))
    return {"parameters": listed}


def reset(iraf: Any, task: Any) -> None:
    """Reset a task, its psets and its packages to their defaults."""
    from pyraf.iraftask import IrafTask

    for one in [task, *packages_of(iraf, task)]:
        psets = [p.get() for p in one.getParList() if p.type == "pset"]
        for each in [one, *psets]:
            # unlearn of a package would reset all of its tasks.
            IrafTask.unlearn(each)


def failure(err: BaseException) -> Message:
    """Describe an exception."""
    text = str(err.args[0] if err.args else err).replace("\x07", "")
    number = re.search(r"ERROR \((\d+)", text)
    return {
        "type": type(err).__name__,
        "text": text.strip() or type(err).__name__,
        "number": int(number.group(1)) if number else None,
    }


def run(iraf: Any, request: Message, log: TextIO, keyboard: Any) -> Message:
    """Run a task once."""
    task = find(iraf, request["task"])
    # IRAF interprets '$' and blanks in a path, but not behind a link.
    for old in HOME.glob("job*"):
        old.unlink()
    link = HOME / f"job{next(NUMBERS)}"
    link.symlink_to(request["folder"])
    iraf.chdir(str(link))
    reset(iraf, task)
    given: Message = {}
    if isinstance(keyboard, NoInput):
        keyboard.forget()
        # Plots are not shown, but cursor commands from a file need them drawn.
        given = {"Stdout": log, "Stderr": log, "StdoutG": "dev$null"}
    reply: Message = {"error": None, "status": None}
    own = [package.getName() for package in packages_of(iraf, task)]
    before = []
    try:
        for name, value in request["parameters"].items():
            owner, _, short = name.rpartition(".")
            if not owner:
                given[name] = value
                continue
            package = load_anywhere(iraf, owner)
            if package is None:
                msg = f"there is no package {owner!r}"
                raise LookupError(msg)
            if owner not in own:
                par = package.getParDict()[short]
                before.append((par, par.value))
            package.setParam(short, value, exact=1)
        task(**given)
    except (Exception, SystemExit) as err:
        reply["error"] = failure(err)
        iraf.flprcache(Stdout=1)
    for par, value in before:
        par.value = value
    status = task.getParDict().get("status", exact=1)
    if status is not None and status.type == "i":
        reply["status"] = plain(status.get(native=1, prompt=0))
    reset(iraf, task)
    reply["asked"] = getattr(keyboard, "wanted", False)
    log.flush()
    return reply


def serve(iraf: Any, log: TextIO, keyboard: Any, stream: TextIO, answer: Any) -> None:
    """Answer requests until the input ends."""
    for line in stream:
        request = json.loads(line)
        try:
            if request["do"] == "describe":
                reply = describe(iraf, request)
            else:
                log.seek(0)
                log.truncate()
                reply = run(iraf, request, log, keyboard)
        except (Exception, SystemExit) as err:
            reply = {"failed": failure(err)}
        answer(reply)
    iraf.flprcache(Stdout=1)


def main() -> None:
    """Start PyRAF, and serve requests."""
    requests, replies = int(sys.argv[1]), int(sys.argv[2])
    terminal = sys.argv[3] == "terminal"
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    watcher = threading.Thread(target=watch, args=(os.getppid(), not terminal))
    watcher.daemon = True
    watcher.start()
    signal.signal(signal.SIGTERM, lambda *_: end(not terminal))
    answers = os.fdopen(replies, "w", encoding="utf-8")

    def answer(reply: Message) -> None:
        answers.write(json.dumps(reply) + "\n")
        answers.flush()

    path = HOME / "log"
    with path.open("w", buffering=1, encoding="utf-8", errors="replace") as log:
        keyboard: Any = sys.stdin
        if terminal:
            streams: Any = (Tee(sys.stdout, log), Tee(sys.stderr, log))
            sys.stdout, sys.stderr = streams
            setattr(sys, "__stdout__", streams[0])  # noqa: B010  # it is called final
        try:
            check_translations(HOME / "pyraf" / "clcache.sqlite3")
            from pyraf import iraf
        except (Exception, SystemExit) as err:
            answer({"failed": failure(err)})
            return
        if not terminal:
            keyboard = NoInput()
            sys.stdin = keyboard
            setattr(sys, "__stdin__", keyboard)  # noqa: B010  # it is called final
            take_defaults(keyboard)
        answer({})
        with os.fdopen(requests, encoding="utf-8") as stream:
            serve(iraf, log, keyboard, stream, answer)


if __name__ == "__main__":
    main()
