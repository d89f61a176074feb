"""A local HTTP server that responds as the archives do."""

import contextlib
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from ndmapper.config import config
from ndmapper.errors import ParameterError, did_you_mean
from ndmapper.testing.archives.eso import EsoArchive
from ndmapper.testing.archives.gemini import GeminiArchive
from ndmapper.testing.archives.scenarios import SCENARIOS, Answer, Asked, Switch

__all__ = ["LoopbackArchives"]


_PIECE = 1 << 12
"""Bytes of a chunk, small enough that a response is cut between chunks."""


class LoopbackArchives:
    """
    Archives on this machine, for tests: a context manager.

    Within the context, ``config['archive_urls']`` points to it. The content of the
    archives is put into `gemini` and `eso`; failures are switched on with `switch`;
    received requests are in `asked`.
    """

    def __init__(self) -> None:
        self.gemini = GeminiArchive()
        self.eso = EsoArchive()
        self.asked: list[Asked] = []
        self.most_at_once = 0
        self._at_once = 0
        self._switches: list[Switch] = []
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._cleanup = contextlib.ExitStack()

    @property
    def url(self) -> str:
        """URL of the server."""
        if self._server is None:
            msg = "the loopback archives are not running; use them in a with block"
            raise ParameterError(msg)
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def urls(self) -> dict[str, str]:
        """URL of each archive, for ``config['archive_urls']``."""
        names = ("gemini", "eso", "eso-archive", "eso-login")
        return {name: f"{self.url}/{name}" for name in names}

    def __enter__(self) -> "LoopbackArchives":
        self.start()
        self._cleanup.enter_context(config.using(archive_urls=self.urls))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._cleanup.close()
        self.stop()

    def start(self) -> None:
        """Start the server."""
        handler = type("Handler", (_Handler,), {"archives": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.gemini.url = f"{self.url}/gemini"
        thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        thread.daemon = True
        thread.start()

    def stop(self) -> None:
        """Stop the server; later connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def switch(
        self, name: str, path: str = "", times: int | None = None, **options: Any
    ) -> None:
        """
        Switch a failure scenario on.

        Parameters
        ----------
        name : str
            One of `SCENARIOS`.
        path : str
            Only for requests whose path contains this text.
        times : int, optional
            Number of requests.
        **options : object
            Further options of the scenario.
        """
        if name not in SCENARIOS:
            msg = f"there is no scenario {name!r}{did_you_mean(name, SCENARIOS)}"
            raise ParameterError(msg)
        self._switches.append(Switch(name, path, times, options))

    def paths(self, text: str = "") -> list[str]:
        """
        Return the paths of received requests.

        Parameters
        ----------
        text : str
            Only paths that contain this text.

        Returns
        -------
        list of str
            The paths, in the order of the requests.
        """
        return [asked.path for asked in self.asked if text in asked.path]

    def answer(self, asked: Asked) -> Answer:
        """
        Respond to a request.

        Parameters
        ----------
        asked : Asked
            The request.

        Returns
        -------
        Answer
            The response.
        """
        with self._lock:
            self.asked.append(asked)
            on = [switch for switch in self._switches if switch.applies(asked)]
        answer = self._right_answer(asked)
        for switch in on:
            answer = SCENARIOS[switch.name](answer, **switch.options)
        return answer

    @contextlib.contextmanager
    def counted(self) -> Any:
        """Count concurrent requests."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            yield
        finally:
            with self._lock:
                self._at_once -= 1

    def _right_answer(self, asked: Asked) -> Answer:
        _, archive, *_ = [*asked.path.split("/"), ""]
        if archive == "gemini":
            return self.gemini.answer(asked)
        if archive in {"eso", "eso-archive", "eso-login"}:
            return self.eso.answer(asked)
        return Answer(404)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Clients that disconnect are expected in tests.
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connections: list[socket.socket] = []

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.append(connection)
        return connection, address

    def server_close(self) -> None:
        super().server_close()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    archives: LoopbackArchives

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _handle(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, self.path, headers, body)
        with self.archives.counted(), contextlib.suppress(ConnectionError):
            self._send(self.archives.answer(asked))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.framing == "length":
            size = len(answer.body) if answer.announced is None else answer.announced
            self.send_header("Content-Length", str(size))
        elif answer.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        if answer.framing == "close" or answer.cut_after is not None:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(answer.body) if answer.cut_after is None else answer.cut_after
        middle = min(end, len(answer.body)) // 2 if answer.pause else 0
        self._write(answer.body[:middle], answer)
        time.sleep(answer.pause)
        self._write(answer.body[middle:end], answer)
        if answer.framing == "chunked" and answer.cut_after is None:
            self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()
        if answer.cut_after is not None:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _write(self, body: bytes, answer: Answer) -> None:
        for at in range(0, len(body), _PIECE):
            piece = body[at : at + _PIECE]
            if answer.framing == "chunked":
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            else:
                self.wfile.write(piece)
        self.wfile.flush()
