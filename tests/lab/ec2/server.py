"""HTTP on loopback: what the lab answers itself, and moto for the rest."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from io import BytesIO
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server
from werkzeug.test import create_environ, run_wsgi_app

from tests.lab.ec2.answering import Answering, Dropped, Request
from tests.lab.ec2.others import Others
from tests.lab.ec2.protocol import Answer
from tests.lab.seams import Reply

Start = Callable[[str, list[tuple[str, str]]], object]


class _Quiet(MotoRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(self.server.lab_now(), usegmt=True)

    def log(self, *args: Any) -> None:
        """The lab keeps its own record."""


class Server:
    """Serves until closed; one thread per connection."""

    def __init__(self, answering: Answering) -> None:
        self.answering = answering
        self.others = Others(answering)
        self._http = make_server("127.0.0.1", 0, self._app, threaded=True, request_handler=_Quiet)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.lab_now = self.now  # type: ignore[attr-defined]
        answering.world.api = self.inside
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        answering.world.url = self.url
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def now(self) -> float:
        """What the replies' Date says."""
        world = self.answering.world
        return world.now() + world.settings.skew

    def inside(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """The same for a host, that reaches the lab's AWS at the address of its metadata."""
        environ = create_environ(path, method=method, headers=dict(headers), data=body, base_url=self.url)
        environ["RAW_URI"] = path
        try:
            parts, status, found = run_wsgi_app(self._app, environ, buffered=True)
        except ConnectionResetError:
            return Reply(503)
        return Reply(int(status.split()[0]), b"".join(parts), dict(found))

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _app(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        request = _request(environ)
        environ["wsgi.input"] = BytesIO(request.body)
        try:
            if not self.answering.knows(request):
                return self.others(environ, start)
            return _reply(self.answering.answer(request), start)
        except Dropped:
            if "werkzeug.socket" in environ:
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionResetError("the lab shut the connection") from None


def _reply(answer: Answer, start: Start) -> list[bytes]:
    start(f"{answer.status} lab", [*answer.headers.items(), ("Content-Length", str(len(answer.body)))])
    return [answer.body]


def _request(environ: dict[str, Any]) -> Request:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    return Request(environ["REQUEST_METHOD"], environ.get("RAW_URI", environ["PATH_INFO"]), headers, body)
