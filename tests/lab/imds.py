"""The metadata server of one host, at 169.254.169.254 inside its namespace only."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.lab import kernel
from tests.lab.net import IMDS
from tests.lab.seams import Metadata, Reply

TOKEN, TTL = "x-aws-ec2-metadata-token", "x-aws-ec2-metadata-token-ttl-seconds"
FIRST_VERSION = ("Cloud-Init/", "python-requests/")
"""How cloud-init 22.4 names itself where it knows no platform, as in a container: it then speaks the first version only."""


class MetadataServer(ThreadingHTTPServer):
    """Asks the cloud for every answer. Cloud-init, which asks as of old, is given a token as if it had asked for one."""

    daemon_threads = True

    def __init__(self, namespace: str, kind: str, metadata: Metadata) -> None:
        super().__init__((IMDS, 80), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = kernel.listen(namespace, IMDS, 80)
        self.kind, self.metadata = kind, metadata
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves in the middle is its own affair."""

    def reply(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        first_version = self.kind == "ec2" and method == "GET" and TOKEN not in headers
        if first_version and headers.get("user-agent", "").startswith(FIRST_VERSION):
            headers = {**headers, TOKEN: self.metadata("PUT", "/latest/api/token", {TTL: "60"}, b"").body.decode()}
        return self.metadata(method, path, headers, body)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MetadataServer

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length") or 0))
        try:
            reply = self.server.reply(self.command, self.path, headers, body)
        except Exception as error:  # noqa: BLE001 (a fault of the cloud's tree is an answer, not the end of the host's server)
            reply = Reply(500, repr(error).encode())
        self.send_response(reply.status)
        for name, value in {"Content-Type": "text/plain", **reply.headers}.items():
            if name.lower() != "content-length":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    def log_message(self, *words: object) -> None:
        """The ledger tells who asked for what."""
