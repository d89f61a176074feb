"""The shapes of the Gemini archive, spoken on loopback."""

import io
import json
import re
import tarfile
from typing import Any
from urllib.parse import unquote

from ndmapper.testing.archives.calmgr import calibrations_xml
from ndmapper.testing.archives.content import Held, compressed, fits_bytes, md5_of
from ndmapper.testing.archives.scenarios import Answer, Asked

__all__ = ["GeminiArchive"]

COOKIE = "the+cookie/of=somebody=="
_JSON = {"Content-Type": "application/json"}
_ROWS = 500
_CLASSES = {"science", "dayCal", "partnerCal", "progCal", "acq", "acqCal", "nightCal"}
_TYPES = {"BIAS", "FLAT", "ARC", "OBJECT", "DARK", "BPM", "MASK"}
_INSTRUMENTS = {"GMOS", "GMOS-N", "GMOS-S", "GNIRS", "NIRI"}
_CAL_TYPES = {"arc", "bias", "dark", "flat", "processed_bpm", "slitillum", "standard"}
_STANDS_FOR = {"GMOS": {"GMOS-N", "GMOS-S"}}


class GeminiArchive:
    """What the archive holds, and how it answers."""

    def __init__(self) -> None:
        self.url = ""
        self.users = {"observer": "starlight"}
        self.denied: set[str] = set()
        self.tar_names: dict[str, str] = {}
        self.tar_extra: list[tarfile.TarInfo] = []
        self.tar_trailer = True
        self.failing: set[str] = set()
        self.has_json = True
        self._held: list[tuple[Held, dict[str, Any]]] = []
        self._cals: dict[tuple[str, str], list[tuple[str, bool]]] = {}

    def add(
        self,
        name: str,
        content: bytes | None = None,
        *,
        compression: str = "bz2",
        path: str = "",
        proprietary: bool = False,
        **row: Any,
    ) -> Held:
        """Put a file into the archive."""
        plain = fits_bytes(name) if content is None else content
        stored = compressed(plain, compression)
        stored_name = f"{name}.{compression}" if compression else name
        held = Held(name, stored_name, plain, stored, proprietary)
        listed = {
            "name": name,
            "filename": stored_name,
            "path": path,
            "compressed": bool(compression),
            "file_size": len(stored),
            "data_size": len(plain),
            "file_md5": md5_of(stored),
            "data_md5": md5_of(plain),
            "size": len(stored),
            "md5": md5_of(stored),
            "lastmod": "2017-06-26 05:20:21.887338+00:00",
            "present": True,
            "canonical": True,
            "instrument": "GMOS-S",
            "observation_type": "OBJECT",
            "observation_class": "science",
            "mode": "IFS",
            "spectroscopy": True,
            "release": "2013-01-01",
            "ut_datetime": _time_of(name),
            "program_id": "GS-2012B-Q-1",
            "object": "ngc1",
            "exposure_time": 60.0,
        }
        self._held.append((held, listed | row))
        return held

    def associate(
        self, name: str, cal_type: str, cals: list[str], *, is_there: bool = True
    ) -> None:
        """Say which files calibrate another."""
        found = self._cals.setdefault((name, cal_type), [])
        found += [(cal, is_there) for cal in cals]

    def held(self, name: str) -> Held:
        """Give a file that was added."""
        return next(held for held, _ in self._held if held.name == name)

    def reply(self, path: str) -> Any:
        """Give what the archive answers in JSON."""
        return json.loads(self.answer(Asked("GET", path, {})).body)

    def answer(self, asked: Asked) -> Answer:
        """Answer a request as the archive does."""
        _, _, feature, *words = asked.path.split("/")
        terms = [unquote(word) for word in words if word]
        if feature == "login" and asked.method == "POST":
            return self._log_in(dict(asked.form))
        if feature == "file" and terms:
            return self._file(terms, asked)
        if feature == "download":
            return self._tar(terms, asked)
        if feature in {"jsonfilelist", "jsonsummary"}:
            return self._list(terms, with_header=feature == "jsonsummary")
        if feature == "jsoncalmgr" and self.has_json:
            found = self._datasets(terms)
            if found is None:
                return Answer(406)
            # The archive itself does not call it JSON.
            text = json.dumps(found).encode()
            return Answer(200, text, {"Content-Type": "text/plain"})
        if feature in {"xmlcalmgr", "calmgr"}:
            found = self._datasets(terms)
            if found is None:
                return Answer(406)
            return Answer(
                200, calibrations_xml(found).encode(), {"Content-Type": "text/xml"}
            )
        return Answer(404)

    def _log_in(self, form: dict[str, str]) -> Answer:
        answer = Answer(200, b"<html>hello</html>", {"Content-Type": "text/html"})
        if self.users.get(form.get("username", "")) != form.get("password"):
            return answer
        cookie = f"gemini_archive_session={COOKIE}; HttpOnly; path=/"
        return answer.with_headers(set_cookie=cookie)

    def _file(self, terms: list[str], asked: Asked) -> Answer:
        *folders, name = terms
        for held, row in self._held:
            if row["path"].strip("/") != "/".join(folders):
                continue
            if name in {held.name, held.stored_name}:
                if held.is_proprietary and not _has_cookie(asked):
                    text = b"<html><body>You do not have access</body></html>"
                    return Answer(403, text, {"Content-Type": "text/html"})
                body = held.stored if name == held.stored_name else held.plain
                return Answer(200, body, {
                    "Content-Type": "application/fits",
                    "Content-Disposition": f'attachment; filename="{name}"',
                })  # fmt: skip
        return Answer(404)

    def _tar(self, terms: list[str], asked: Asked) -> Answer:
        if asked.method == "POST":
            names = {value for key, value in asked.form if key == "files"}
            if not names:
                return Answer(400)
            chosen = [h for h, _ in self._held if h.stored_name in names]
        else:
            chosen = [h for h, _ in self._selected(terms)]
        if not chosen:
            text = b"No files to download were found"
            return Answer(200, text, {"Content-Type": "text/plain"})
        denied = [
            h.stored_name
            for h in chosen
            if h.stored_name in self.denied
            or (h.is_proprietary and not _has_cookie(asked))
        ]
        members = [h for h in chosen if h.stored_name not in denied]
        out = io.BytesIO()
        sums = ""
        with tarfile.open(fileobj=out, mode="w") as tar:
            for held in members:
                name = self.tar_names.get(held.stored_name, held.stored_name)
                _add(tar, name, held.stored)
                sums += f"{md5_of(held.stored)}  {name}\n"
            for member in self.tar_extra:
                out.write(member.tobuf())  # its header alone, whatever size that says
            if self.tar_trailer:
                _add(tar, "md5sums.txt", sums.encode())
                refused = "".join(f"{name}\n" for name in denied)
                _add(tar, "README.txt", f"From the archive\n{refused}".encode())
        headers = {
            "Content-Type": "application/tar",
            "Content-Disposition": 'attachment; filename="gemini_data.tar"',
        }
        return Answer(200, out.getvalue(), headers, framing="chunked")

    def _list(self, terms: list[str], *, with_header: bool) -> Answer:
        rows = [dict(row) for _, row in self._selected(terms)]
        is_open = not _is_closed(terms)
        rows = rows[: _ROWS if is_open else 4 * _ROWS]
        if with_header and is_open and rows:
            rows[-1]["results_truncated"] = True
        return Answer(200, json.dumps(rows).encode(), _JSON)

    def _selected(self, terms: list[str]) -> list[tuple[Held, dict[str, Any]]]:
        """Take the files that fit all words; of two words of a kind, the last."""
        tests: dict[str, Any] = {}
        for term in terms:
            key, _, value = term.partition("=")
            if key == "filename" and value:
                tests["name"] = lambda r, v=value: r["name"] == v.removesuffix(".bz2")
            elif key == "filepre" and value:
                tests["name"] = lambda r, v=value: r["name"].startswith(v)
            elif key == "object" and value:
                pattern = re.escape(value.replace("=slash=", "/")).replace(r"\*", ".*")
                tests["object"] = lambda r, p=pattern: re.fullmatch(p, r["object"])
            elif re.fullmatch(r"\d{8}", term):
                tests["date"] = lambda r, t=term: _day(r) == t
            elif re.fullmatch(r"\d{8}-\d{8}", term):
                first, last = term.split("-")
                tests["date"] = lambda r, a=first, b=last: a <= _day(r) <= b
            elif re.fullmatch(r"G[NS]-\d{4}[AB]-\w+-\d+", term):
                tests["program"] = lambda r, t=term: r["program_id"] == t
            elif term in _TYPES:
                tests["type"] = lambda r, t=term: r["observation_type"] == t
            elif term in _CLASSES:
                tests["class"] = lambda r, t=term: r["observation_class"] == t
            elif term in _INSTRUMENTS:
                known = _STANDS_FOR.get(term, {term})
                tests["instrument"] = lambda r, k=known: r["instrument"] in k
            elif term == "canonical":
                tests["canonical"] = lambda r: r["canonical"]
        return [
            (held, row)
            for held, row in sorted(self._held, key=lambda pair: pair[0].name)
            if all(test(row) for test in tests.values())
        ]

    def _datasets(self, terms: list[str]) -> list[dict[str, Any]] | None:
        if not _is_closed(terms):
            return None
        # A type that is not known is passed over, and then all are meant.
        asked = [t for t in terms if t in _CAL_TYPES] or sorted(_CAL_TYPES)
        rest = [t for t in terms if t not in _CAL_TYPES]
        return [
            {
                "label": f"label-of-{held.name}",
                "filename": held.name,
                "md5": md5_of(held.plain),
                "cal_info": [self._cal_info(held.name, kind) for kind in asked],
            }
            for held, _ in self._selected(rest)
        ]

    def _cal_info(self, name: str, kind: str) -> dict[str, Any]:
        if kind in self.failing:
            return {"error": True, "type": kind, "cals": None}
        cals = []
        for cal, is_there in self._cals.get((name, kind), []):
            held, row = next((h, r) for h, r in self._held if h.name == cal)
            folder = f"{row['path'].strip('/')}/" if row["path"] else ""
            url = f"{self.url}/file/{folder}{held.stored_name}" if is_there else None
            cals.append({"label": f"label-of-{cal}", "name": cal,
                         "md5": md5_of(held.stored), "url": url})  # fmt: skip
        return {"error": False, "type": kind, "cals": cals}


def _is_closed(terms: list[str]) -> bool:
    """Say whether words select few enough files, as the archive decides it."""
    return any(
        re.match(r"(filename|filepre)=.|\d{8}|G[NS]-\d{4}[AB]-", t) for t in terms
    )


def _time_of(name: str) -> str:
    found = re.search(r"(20\d\d)(\d\d)(\d\d)S", name)
    return "{}-{}-{} 03:04:05".format(
        *(found.groups() if found else (2012, "01", "01"))
    )


def _day(row: dict[str, Any]) -> str:
    return str(row["ut_datetime"])[:10].replace("-", "")


def _has_cookie(asked: Asked) -> bool:
    return f"gemini_archive_session={COOKIE}" in asked.headers.get("cookie", "")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
