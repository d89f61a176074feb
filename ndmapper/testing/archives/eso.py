"""The interfaces of the ESO archive, simulated."""

import base64
import json
import re
import sqlite3
import time
from contextlib import closing
from typing import Any
from urllib.parse import unquote
from xml.sax.saxutils import escape, quoteattr

from ndmapper.testing.archives.content import (
    ArchiveFile,
    compressed,
    fits_bytes,
    md5_of,
    tiled_fits_bytes,
)
from ndmapper.testing.archives.scenarios import Answer, Asked

__all__ = ["EsoArchive"]

_COLUMNS = {
    "dp_id": "char", "access_estsize": "long", "date_obs": "char", "dp_cat": "char",
    "dp_type": "char", "dp_tech": "char", "exp_start": "char", "exposure": "double",
    "instrument": "char", "ins_mode": "char", "object": "char", "target": "char",
    "prog_id": "char", "release_date": "char",
}  # fmt: skip
_SQL = {"char": "TEXT", "long": "INTEGER", "double": "REAL"}


class EsoArchive:
    """Content and behaviour of the archive."""

    def __init__(self) -> None:
        self.users = {"observer": "starlight"}
        self.tokens: set[str] = set()
        self.token_life = 28800.0
        self.has_ranges = True
        self.trees: dict[str, bytes] = {}
        self._held: dict[str, ArchiveFile] = {}
        self._rows: list[dict[str, Any]] = []

    def add(
        self,
        dataset: str,
        content: bytes | None = None,
        *,
        kind: str = "fits.Z",
        proprietary: bool = False,
        **row: Any,
    ) -> ArchiveFile:
        """Put a file into the archive."""
        plain = fits_bytes(dataset) if content is None else content
        if kind == "fits.fz":
            stored = tiled_fits_bytes(dataset)
        else:
            stored = compressed(plain, kind.partition(".")[2])
        held = ArchiveFile(
            f"{dataset}.fits", f"{dataset}.{kind}", plain, stored, proprietary
        )
        self._held[dataset] = held
        instrument, _, start = dataset.partition(".")
        listed = dict.fromkeys(_COLUMNS) | {
            "dp_id": dataset,
            "access_estsize": len(stored) // 1024,
            "exp_start": f"{start}Z",
            "date_obs": start,
            "instrument": instrument,
            "dp_cat": "SCIENCE",
            "dp_type": "OBJECT",
            "exposure": 60.0,
            "object": "ngc1",
            "target": "ngc1",
            "prog_id": "60.A-9100(A)",
            "release_date": "2018-01-01T00:00:00.000Z",
        }
        self._rows.append(listed | row)
        return held

    def associate(
        self,
        dataset: str,
        cals: dict[str, Any],
        *,
        complete: bool = True,
        certified: bool = True,
        mode: str = "Raw2Raw",
        messages: tuple[str, ...] = (),
    ) -> None:
        """Set the calibrations of a file."""
        top = (
            f'complete="{str(complete).lower()}" certified="{str(certified).lower()}" '
            f'mode="{mode}"'
        )
        text = _tree("SCI", [dataset], cals, top, messages)
        self.trees[dataset] = f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode()

    def answer(self, asked: Asked) -> Answer:
        """Respond to a request as the archive does."""
        path = "/" + asked.path.split("/", 2)[2]
        if path.startswith("/dataPortal/file/"):
            return self._file(unquote(path.rpartition("/")[2]), asked)
        if path == "/calselector/v1/associations":
            words = asked.form if asked.method == "POST" else asked.query
            return self._associations(
                [v for k, v in words if k == "dp_id"], dict(words)
            )
        if path == "/tap_obs/sync":
            return self._table(dict(asked.form))
        if path == "/sso/oidc/token":
            return self._token(dict(asked.query))
        return Answer(404)

    def _file(self, dataset: str, asked: Asked) -> Answer:
        held = self._held.get(dataset)
        if held is None:
            return Answer(404)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            return Answer(401)
        if held.is_proprietary and not token:
            return Answer(403)
        etag = f'"{md5_of(held.stored)}"'
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename={held.stored_name}",
        }
        if not self.has_ranges:
            return Answer(200, held.stored, headers)
        headers |= {"Accept-Ranges": "bytes", "ETag": etag}
        found = re.fullmatch(r"bytes=(\d+)-", asked.headers.get("range", ""))
        if found is None or asked.headers.get("if-range", etag) != etag:
            return Answer(200, held.stored, headers)
        start, size = int(found[1]), len(held.stored)
        if start >= size:
            return Answer(416, b"", {"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return Answer(206, held.stored[start:], headers)

    def _associations(self, datasets: list[str], words: dict[str, str]) -> Answer:
        empty = '<association category="" type="main"><mainFiles/></association>'
        bodies = [self.trees.get(name, empty.encode()) for name in datasets]
        kind = "application/xml;content=calselector"
        if words.get("responseformat") == "votable":
            return Answer(200, _datalink(datasets), {"Content-Type": "text/xml"})
        if len(bodies) == 1:
            return Answer(200, bodies[0], {"Content-Type": kind})
        mark = "uFQlfs9nBIDEAIoz0_ZM-O2SXKsZ2iSd4h7H"
        parts = b"".join(
            f'--{mark}\r\nContent-Disposition: attachment; filename="{name}_'
            f'{words.get("mode", "")}.xml"\r\nContent-Type: {kind}\r\n'
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            + b"\r\n"
            for name, body in zip(datasets, bodies, strict=True)
        )
        body = parts + f"--{mark}--\r\n".encode()
        return Answer(
            200, body, {"Content-Type": f"multipart/form-data;boundary={mark}"}
        )

    def _token(self, words: dict[str, str]) -> Answer:
        if self.users.get(words.get("username", "")) != words.get("password"):
            return Answer(401, b"bad credentials", {"Content-Type": "text/plain"})
        payload = {"exp": int(time.time() + self.token_life), "n": len(self.tokens)}
        encoded = [
            base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
            for part in ({"alg": "HS256"}, payload, {"signature": "loopback"})
        ]
        token = ".".join(encoded)
        self.tokens.add(token)
        body = {"access_token": "x", "id_token": token, "token_type": "bearer",
                "expires_in": int(self.token_life), "scope": ""}  # fmt: skip
        text = json.dumps(body).encode()
        return Answer(200, text, {"Content-Type": "application/json"})

    def _table(self, form: dict[str, str]) -> Answer:
        limit = int(form.get("MAXREC", "1000"))
        with closing(sqlite3.connect(":memory:")) as database:
            database.row_factory = sqlite3.Row
            fields = ", ".join(f"{name} {_SQL[t]}" for name, t in _COLUMNS.items())
            database.execute(f"CREATE TABLE raw ({fields})")
            for row in self._rows:
                marks = ", ".join("?" * len(_COLUMNS))
                values = [row[name] for name in _COLUMNS]
                database.execute(f"INSERT INTO raw VALUES ({marks})", values)
            query = form.get("QUERY", "").replace("dbo.raw", "raw")
            try:
                rows = database.execute(query).fetchall()
            except sqlite3.Error as err:
                return _votable("ERROR", str(err), [], [])
        status = "OVERFLOW" if len(rows) > limit else "OK"
        names = list(rows[0].keys()) if rows else list(_COLUMNS)
        cells = [[row[name] for name in names] for row in rows[:limit]]
        return _votable(status, "", names, cells)


def _tree(
    category: str,
    names: list[str],
    cals: dict[str, Any],
    more: str = 'complete="true" certified="true" match="calib_plan"',
    messages: tuple[str, ...] = (),
) -> str:
    files = "".join(f'<file category="{category}" name={quoteattr(n)}/>' for n in names)
    parts = ""
    for kind, value in cals.items():
        below, their_cals = value if isinstance(value, tuple) else (value, {})
        parts += _tree(kind, below, their_cals)
    said = "".join(f"<message>{escape(text)}</message>" for text in messages)
    return (
        f'<association category="{category}" {more} type="main">'
        f"<mainFiles>{files}</mainFiles><messages>{said}</messages>"
        f"<associatedFiles>{parts}</associatedFiles></association>\n"
    )


def _datalink(datasets: list[str]) -> bytes:
    cells = [[name, "#this"] for name in datasets]
    return _votable("OK", "", ["ID", "semantics"], cells).body


def _votable(status: str, text: str, names: list[str], rows: list[list[Any]]) -> Answer:
    fields = "".join(
        f'<FIELD name="{n}" datatype="{_COLUMNS.get(n, "char")}"'
        + (' arraysize="*"/>' if _COLUMNS.get(n, "char") == "char" else "/>")
        for n in names
    )
    cells = "".join(
        "<TR>"
        + "".join(f"<TD>{'' if v is None else escape(str(v))}</TD>" for v in row)
        + "</TR>"
        for row in rows
    )
    table = f"<TABLE>{fields}<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE>"
    first = "OK" if status == "OVERFLOW" else status
    last = (
        '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' if status == "OVERFLOW" else ""
    )
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<VOTABLE version="1.4" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO name="QUERY_STATUS" value="{first}">{escape(text)}</INFO>'
        f"{'' if status == 'ERROR' else table}{last}</RESOURCE></VOTABLE>"
    )
    kind = "application/x-votable+xml"
    code = 400 if status == "ERROR" else 200
    return Answer(code, body.encode(), {"Content-Type": kind})
