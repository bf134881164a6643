"""A machine that its provider takes back: the job is told in time. The metadata servers are stand-ins on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Metadata(ThreadingHTTPServer):
    """Answers as the providers' pages say: Amazon's second version with a token, Google's with its header."""

    answers: dict[str, tuple[int, str]]
    seen: list[tuple[str, str]]


class Handler(BaseHTTPRequestHandler):
    def do_PUT(self) -> None:
        self._answer(200, "the-token" if "x-aws-ec2-metadata-token-ttl-seconds" in self.headers else "")

    def do_GET(self) -> None:
        self.server.seen.append((self.path, str(self.headers)))
        aws = self.path.startswith("/latest")
        allowed = self.headers.get("X-aws-ec2-metadata-token") == "the-token" if aws else self.headers.get("Metadata-Flavor")
        code, text = self.server.answers.get(self.path, (404, ""))
        self._answer(*((code, text) if allowed else (401, "")))

    def _answer(self, code: int, text: str) -> None:
        self.send_response(code)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    server = Metadata(("127.0.0.1", 0), Handler)
    server.answers, server.seen = {}, []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


NOTICES = {
    "aws": ("/latest/meta-data/spot/instance-action", '{"action": "terminate", "time": "2026-11-21T12:00:00Z"}'),
    "gcp": ("/computeMetadata/v1/instance/preempted", "TRUE"),
}
SAVES = "trap 'echo saved; exit 0' TERM; echo begun; while :; do sleep 0.02; done"


@pytest.mark.parametrize("cloud", sorted(NOTICES))
def test_a_notice_is_told_and_lets_the_job_save_its_state(bench, metadata, cloud):
    path, answer = NOTICES[cloud]
    metadata.answers |= {"/latest/meta-data/": (200, "x"), NOTICES["gcp"][0]: (200, "FALSE")}
    bench.launch(SAVES, cloud=f"{cloud} 127.0.0.1:{metadata.server_port} 0.05")
    bench.printed(b"begun")
    bench.until(lambda: any(asked == path for asked, _ in metadata.seen))
    assert "running" == bench.status().phase
    metadata.answers[path] = (200, answer)
    log, status = bench.finish()
    assert (True, "preempted") == (log.endswith(b"saved\n"), status.reason)
    assert ["takes the machine back" in one for one in status.notices] == [True]


def test_a_job_that_ends_before_any_notice_ended_by_itself_and_nobody_listens_on(bench, metadata):
    _, status = bench.run("true", cloud=f"aws 127.0.0.1:{metadata.server_port} 0.05")
    assert "exited" == status.reason
    bench.until(lambda: _quiet(metadata))


def _quiet(metadata) -> bool:
    """Whether nobody asked for four times the listener's pause."""
    asked = len(metadata.seen)
    time.sleep(0.2)
    return asked == len(metadata.seen)


def test_where_nobody_answers_the_job_goes_on(bench):
    log, status = bench.run("echo out; sleep 0.3", cloud="gcp 127.0.0.1:1 0.05")
    assert (b"out\n", "exited", 0) == (log, status.reason, status.exit_code)
