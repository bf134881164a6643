"""Where notices arrive: a web server, and what it was told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Inbox(ThreadingHTTPServer):
    """Takes apprise's json:// notices; `answer` is the status it gives."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = 200
        self.got: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        """Its address for apprise, with what nobody else may see in it."""
        return f"json://me:hunter2@127.0.0.1:{self.server_address[1]}/tok3n"

    @property
    def titles(self) -> list[str]:
        return [str(one["title"]) for one in self.got]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        pass


@contextmanager
def inbox() -> Iterator[Inbox]:
    """One that takes notices while it is needed."""
    with Inbox() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
