"""
Hold PyRAF, and run tasks for another process.

This script stands alone: it runs under any Python with PyRAF, from 3.6 on, and knows
nothing of ndmapper. It is started in a folder of its own with a login.cl::

    python worker.py REQUESTS REPLIES {quiet|terminal}

The first two are numbers of file descriptors, over which one JSON object a line comes
and goes. What tasks print goes to the file ``log`` in the folder.
"""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
# The folder of a script comes first on the path, and hides other modules.
sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != HERE]

HOME = os.getcwd()
LOG = os.path.join(HOME, "log")
SKIPPED = ("mode", "$nargs")


class Tee:
    """Show on the terminal what is kept in the log."""

    def __init__(self, terminal, log):
        self.terminal, self.log = terminal, log

    def write(self, text):
        """Write to both."""
        self.log.write(text)
        return self.terminal.write(text)

    def __getattr__(self, name):
        return getattr(self.terminal, name)


class NoInput:
    """Stand for the keyboard where there is none, and remember that it was wanted."""

    def __init__(self):
        self.wanted = False

    def read(self, count=-1):
        """Give nothing."""
        self.wanted = True
        return ""

    readline = read

    def isatty(self):
        """Say that this is no terminal."""
        return False


def end(is_leader):
    """End this process and all that it started."""
    shutil.rmtree(HOME, ignore_errors=True)
    if is_leader:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def watch(parent, is_leader):
    """Wait until the other process is gone."""
    while os.getppid() == parent:
        time.sleep(0.25)
    end(is_leader)


def find(iraf, name):
    """Load the packages of a task, and give the task."""
    words = name.split(".")
    for package in words[:-1]:
        try:
            loader = iraf.getPkg(package)
        except KeyError:
            raise LookupError("there is no package '%s'" % package) from None
        if loader.getName() != package:
            raise LookupError("there is no package '%s'" % package)
        if not loader.isLoaded():
            loader.run(_doprint=0, _hush=1, Stdout=1)
    # Short forms of a name, such as imstat, are what everybody writes.
    try:
        return iraf.getTask(".".join(words[-2:]))
    except (KeyError, TypeError):
        pass
    try:
        other = iraf.getTask(words[-1])
        hint = "; but there is %s.%s" % (other.getPkgname(), other.getName())
    except (KeyError, TypeError):
        hint = ""
    raise LookupError("there is no task '%s'%s" % (name, hint))


def plain(value):
    """Turn the value of a parameter into what JSON holds."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if value == value else None
    return str(value)


def describe_one(par, name):
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


def packages_of(iraf, task):
    """Give the packages in which a task lies, the innermost first."""
    found = []
    name = task.getPkgname()
    while name and name not in ("clpackage", "cl", "user"):
        package = iraf.getPkg(name)
        found.append(package)
        if package.getPkgname() == name:
            break
        name = package.getPkgname()
    return found


def describe(iraf, request):
    """List the parameters of a task, of its psets and of its packages."""
    task = find(iraf, request["task"])
    reset(iraf, task)
    listed = []
    known = task.getParDict()
    for name in known.keys():
        if name not in SKIPPED:
            listed.append(describe_one(known[name], name))
    for package in packages_of(iraf, task):
        known = package.getParDict()
        for name in known.keys():
            if name not in SKIPPED and known[name].type != "pset":
                full = "%s.%s" % (package.getName(), name)
                entry = describe_one(known[name], full)
                entry["mode"] = "h"  # it has a value, or the task does without
                listed.append(entry)
    return {"package": task.getPkgname(), "parameters": listed}


def reset(iraf, task):
    """Give a task, its psets and its packages their defaults."""
    from pyraf.iraftask import IrafTask

    for one in [task] + packages_of(iraf, task):
        psets = [p.get() for p in one.getParList() if p.type == "pset"]
        for each in [one] + psets:
            # That of a package would go through all of its tasks.
            IrafTask.unlearn(each)


def failure(err):
    """Describe an error."""
    text = str(err.args[0] if err.args else err).replace("\x07", "")
    number = re.search(r"ERROR \((\d+)", text)
    return {
        "type": type(err).__name__,
        "text": text.strip() or type(err).__name__,
        "number": int(number.group(1)) if number else None,
    }


def run(iraf, request, log, terminal):
    """Run a task once."""
    keyboard = sys.__stdin__
    if not terminal:
        keyboard = NoInput()
        sys.stdin = sys.__stdin__ = keyboard
    task = find(iraf, request["task"])
    iraf.chdir(request["folder"])
    reset(iraf, task)
    given, redirected = {}, {}
    if not terminal:
        redirected = {"Stdout": log, "Stderr": log}
    reply = {"error": None, "status": None}
    try:
        for name, value in request["parameters"].items():
            owner, _, short = name.rpartition(".")
            if owner:
                iraf.getPkg(owner).setParam(short, value, exact=1)
            else:
                given[name] = value
        task(**dict(given, **redirected))
    except (Exception, SystemExit) as err:
        reply["error"] = failure(err)
        iraf.flprcache(Stdout=1)
    known = task.getParDict()
    if known._has("status", exact=1) and known["status"].type == "i":
        reply["status"] = plain(known["status"].get(native=1, prompt=0))
    reset(iraf, task)
    reply["asked"] = getattr(keyboard, "wanted", False)
    log.flush()
    return reply


def start():
    """Import PyRAF; only here it is known whether that works."""
    import pyraf
    from pyraf import iraf

    return iraf, pyraf.__version__


def main():
    """Answer requests until there are no more."""
    requests, replies = int(sys.argv[1]), int(sys.argv[2])
    terminal = sys.argv[3] == "terminal"
    for descriptor in (requests, replies):
        os.set_inheritable(descriptor, False)
    watcher = threading.Thread(target=watch, args=(os.getppid(), not terminal))
    watcher.daemon = True
    watcher.start()
    signal.signal(signal.SIGTERM, lambda *_: end(not terminal))
    log = open(LOG, "w", buffering=1, encoding="utf-8", errors="replace")
    if terminal:
        sys.stdout = Tee(sys.stdout, log)
        sys.stderr = Tee(sys.stderr, log)
    answers = os.fdopen(replies, "w", encoding="utf-8")

    def answer(reply):
        answers.write(json.dumps(reply) + "\n")
        answers.flush()

    try:
        iraf, version = start()
    except (Exception, SystemExit) as err:
        answer({"failed": failure(err)})
        return
    answer({"pyraf": version})
    with os.fdopen(requests, encoding="utf-8") as stream:
        for line in stream:
            request = json.loads(line)
            try:
                if request["do"] == "describe":
                    reply = describe(iraf, request)
                else:
                    log.seek(0)
                    log.truncate()
                    reply = run(iraf, request, log, terminal)
            except (Exception, SystemExit) as err:
                reply = {"failed": failure(err)}
            answer(reply)
    iraf.flprcache(Stdout=1)


if __name__ == "__main__":
    main()
