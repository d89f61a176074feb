"""The installation of IRAF and PyRAF, and the start-up files of a worker."""

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ndmapper.config import Settings, usable
from ndmapper.errors import ConfigError, MissingToolError

__all__ = [
    "Installation",
    "find_iraf",
    "missing_advice",
]

_ROOTS = (
    "/usr/local/lib/iraf", "/usr/local/iraf", "/usr/lib/iraf", "/usr/iraf",
    "/opt/iraf/iraf", "/opt/iraf", "/iraf/iraf",
    "/Applications/IRAF.app/Contents/iraf-v218",
)  # fmt: skip
_ENVIRONMENT = "unix/hlib/zzsetenv.def"
_VERSION = re.compile(r'^set\s+version\s*=\s*"(?:.*?V)?([^"]+)"', re.MULTILINE)
_ASK = "import importlib.metadata as m; print(m.version('pyraf'))"

# Programs that external CL packages call by name.
_FOREIGN = (
    "awk cat chmod cmp cp cut date df diff du echo egrep env fgrep file find grep "
    "gzip head hostname less ln ls mkdir mv od printenv pwd rm rmdir sed sh sleep "
    "sort sync tail tar touch tr true uname uniq vi w wc who"
)
# No path of the process occurs in it, so its translation is cached.
# Names that IRAF itself defines keep their meaning: head, mkdir, sort, tail, touch, ...
_LOGIN = """\
set home = (envget("HOME") // "/")
set imdir = "HDR$"
set cache = "home$cache/"
set uparm = "home$uparm/"
set tmp = "home$tmp/"
set userid = "ndmapper"
set imtype = "fits"
set imextn = "oif:imh fxf:fits,fit,fts fxb:fxb plf:pl qpf:qp stf:hhh,??h"
set clobber = no
set imclobber = no
set use_new_imt = "no"
set min_lenuserarea = {length}
stty {terminal}
clpackage
images
menus = no
package user
{foreign}
{setup}
keep
"""

HEADER_LENGTH = 256_000
"""Size of headers for which IRAF reserves memory [characters]."""


class Installation:
    """The configured IRAF and PyRAF."""

    def __init__(self, python: str, setup: str) -> None:
        self.python = python
        self.setup = setup

    @classmethod
    def of(cls, settings: Settings) -> "Installation":
        """Read the configuration."""
        name = usable(settings["iraf_setup"])
        setup = ""
        if name is not None:
            try:
                setup = Path(name).expanduser().read_text()
            except (OSError, UnicodeError) as err:
                msg = (
                    f"config['iraf_setup'] names {name}, which cannot be read ({err}); "
                    "it is a text file of CL lines, such as: reset gemini = ..."
                )
                raise ConfigError(msg) from err
        python = usable(settings["iraf_python"])
        return cls(os.path.expanduser(python or sys.executable), setup)  # noqa: PTH111

    @property
    def key(self) -> tuple[str, str]:
        """Workers with the same key can be re-used."""
        return self.python, self.setup

    @property
    def maker(self) -> tuple[str, str]:
        """What translates CL scripts: Python and PyRAF versions."""
        return self.python, str(self.pyraf)

    @property
    def pyraf(self) -> str | None:
        """Version of PyRAF; None if not installed."""
        return _pyraf_version(self.python)

    def version(self) -> str | None:
        """Return the version of IRAF."""
        iraf, pyraf = find_iraf(), self.pyraf
        if iraf is None or pyraf is None:
            return None
        return f"{iraf[1]} (PyRAF {pyraf})"

    def login(self, *, terminal: bool) -> str:
        """Return the login.cl of a worker."""
        tasks = [name for name in _FOREIGN.split() if shutil.which(name)]
        foreign = "".join(
            f'if (!deftask("{name}"))\n    task ${name} = "$foreign"\n'
            for name in tasks
        )
        return _LOGIN.format(
            foreign=foreign,
            setup=self.setup,
            length=HEADER_LENGTH,
            terminal="xgterm" if terminal else "vt100",
        )


def find_iraf() -> tuple[str, str] | None:
    """Find IRAF as PyRAF does."""
    return _find_iraf(os.environ.get("iraf", ""))  # noqa: SIM112  # written small


@cache
def _find_iraf(named: str) -> tuple[str, str] | None:
    roots = [named]
    for name in ("~/.iraf/irafroot", "/etc/iraf/irafroot"):
        path = Path(name).expanduser()
        if path.is_file():
            roots.append(path.read_text().split("\n")[0].strip())
    header = Path("/usr/include/iraf.h")
    if header.is_file():
        found = re.search(r'#define\s+iraf\s+"(/\S+)"', header.read_text())
        roots.append(found[1] if found else "")
    for root in [*roots, *_ROOTS]:
        path = Path(root) / _ENVIRONMENT
        if root and path.is_file():
            found = _VERSION.search(path.read_text(errors="replace"))
            return root, found[1] if found else "unknown"
    return None


@cache
def _pyraf_version(python: str) -> str | None:
    if python == sys.executable:
        try:
            return version("pyraf")
        except PackageNotFoundError:
            return None
    try:
        done = subprocess.run(
            [python, "-c", _ASK],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def missing_advice(installation: Installation, task: str) -> MissingToolError:
    """Build the error that says what is missing, and how to install it."""
    lacks = []
    if find_iraf() is None:
        lacks.append(
            "IRAF itself (on Debian and Ubuntu: apt install iraf iraf-noao; "
            "else see https://iraf-community.github.io)"
        )
    if installation.pyraf is None:
        lacks.append(
            f"PyRAF for {installation.python} (pip install 'ndmapper[iraf]'; it is "
            "compiled, which needs gcc and, on Debian, libx11-dev and python3-dev; "
            "or name a Python that has it in config['iraf_python'])"
        )
    return MissingToolError(
        f"the IRAF task {task} cannot run, since this is missing: "
        + " and ".join(lacks or ["IRAF"])
    )


def fingerprint(installation: Installation) -> str:
    """Digest of all that determines the parameters of tasks."""
    return json.dumps([find_iraf(), installation.pyraf, installation.setup])
