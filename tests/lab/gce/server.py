"""The stand-in as an HTTP server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.lab.gce.front import Answer

Answerer = Callable[[str, str, Mapping[str, str], bytes], Answer]


class Server:
    """Serves from its making until closed."""

    def __init__(self, answer: Answerer, now: Callable[[], float]) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(answer, now))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(answer: Answerer, now: Callable[[], float]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(now() if timestamp is None else timestamp, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 as in its base
            """The ledger has it."""

        def do_any(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said = answer(self.command, self.path, {key.lower(): value for key, value in self.headers.items()}, raw)
            if said.status == 0:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            body = said.content
            self.send_response(said.status)
            self.send_header("Content-Type", said.kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_any  # noqa: N815 as in its base

    return Handler
