"""One lab as a process, asked through a socket: a line of JSON each way."""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab.image import LabError
from tests.lab.lab import Lab
from tests.lab.net import RUN


def socket_of(name: str) -> Path:
    """Where a lab of this name listens."""
    return RUN / f"{name}.sock"


class Daemon(socketserver.ThreadingUnixStreamServer):
    """Serves until it is told to go down."""

    daemon_threads = True

    def __init__(self, name: str) -> None:
        self.lab = Lab()
        self.lab.environment()
        self.path = socket_of(name)
        self.path.unlink(missing_ok=True)
        super().__init__(str(self.path), _Conversation)
        self.path.chmod(0o600)

    def obey(self, verb: str, cloud: str, arguments: Mapping[str, Any]) -> Any:
        """A verb of a cloud, or one of the lab's own."""
        if cloud:
            return self.lab.cloud(cloud).control(verb, arguments)
        lab, hosts = self.lab, self.lab.hosts
        whole = {
            "exports": lab.environment,
            "status": lab.status,
            "bill": lab.ledger.as_dict,
            "reset": lab.reset,
            "left": lab.left,
        }
        if verb in whole:
            return whole[verb]()
        if verb == "down":
            threading.Thread(target=self.shutdown).start()
            return os.getpid()
        settings = dict(arguments)
        wanted = settings.pop("id", "")
        of_host = {"entry": hosts.entry, "console": lambda host: hosts.console(host).decode(errors="replace")}
        of_host |= {"crash": hosts.crash, "wire": lambda host: hosts.set_wire(host, **settings)}
        of_host["preempt"] = lambda _: lab.cloud_of(wanted).control("preempt", {"id": wanted, **settings})
        if verb not in of_host:
            raise LabError(f"the lab does not know {verb!r}; it knows {', '.join([*whole, 'down', *of_host])}")
        return of_host[verb](lab.find(wanted))

    def close(self) -> None:
        self.server_close()
        self.lab.close()
        self.path.unlink(missing_ok=True)


class _Conversation(socketserver.StreamRequestHandler):
    server: Daemon

    def handle(self) -> None:
        for line in self.rfile:
            asked = json.loads(line)
            try:
                answer = {"answer": self.server.obey(asked["verb"], asked.get("cloud", ""), asked.get("arguments", {}))}
            except (LabError, ValueError, LookupError, TypeError) as error:
                answer = {"error": str(error) or repr(error)}
            self.wfile.write(json.dumps(answer, default=str).encode() + b"\n")


def main() -> None:
    """Ends once the lab is up, or has failed to be; the lab goes on in the background."""
    told, tell = os.pipe()
    if os.fork():
        os.close(tell)
        sys.exit(not os.read(told, 1))
    os.setsid()
    daemon = Daemon(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: threading.Thread(target=daemon.shutdown).start())
    os.write(tell, b"!")
    os.close(tell)
    try:
        daemon.serve_forever(poll_interval=0.1)
    finally:
        daemon.close()


if __name__ == "__main__":
    main()
