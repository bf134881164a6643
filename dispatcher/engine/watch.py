"""Beside a running job's log: samples, notices, the wish to stop."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from dispatcher.engine.context import Context, Work
from dispatcher.errors import MlrunError, RecordUnusable
from dispatcher.events import Counted, Sampled, Warned
from dispatcher.hosts import job as jobs
from dispatcher.hosts.base import Host
from dispatcher.metrics.progress import number

LOOK_SECONDS = 0.1
SAMPLE_SECONDS = 2.0
AGAIN_SECONDS = 3.0
"""Before a machine that could not be asked to stop its job is asked again."""


class Watch:
    """A thread beside the follower. It passes samples on, and ends the job when the user cancels."""

    def __init__(self, ctx: Context, work: Work) -> None:
        self._ctx = ctx
        self._work = work
        self._over = threading.Event()
        self._stopping: threading.Thread | None = None
        self._thread = threading.Thread(target=self._look, name="watch", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        self._over.set()
        self._thread.join()
        if self._stopping and kind is not KeyboardInterrupt:  # whoever leaves waits no longer: the agent goes on
            self._stopping.join()

    def _look(self) -> None:
        samples = Lines(self._work.reached, f"{self._work.label}/samples.jsonl")
        notices = Lines(self._work.reached, f"{self._work.label}/notices.jsonl")
        counts = Lines(self._work.reached, f"{self._work.label}/progress.jsonl")
        due = SAMPLE_SECONDS
        hurried = False
        while not self._over.wait(LOOK_SECONDS):
            due -= LOOK_SECONDS
            if self._ctx.cancel.is_set() and self._stopping is None:
                self._stop(self._work.job.stop_grace)
            if self._ctx.hurry.is_set() and not hurried:
                hurried = True
                self._stop(0.0)
            if due <= 0:
                due = SAMPLE_SECONDS
                with suppress(Exception):  # what a job wrote must not end the thread that heeds Ctrl-C
                    self._tell(samples, notices, counts)

    def _tell(self, samples: Lines, notices: Lines, counts: Lines) -> None:
        run, now = self._work.run.id, self._ctx.clock.now()
        for row in counts.new()[-1:]:
            self._ctx.tell(Counted(run, now, row))
        if latest := samples.new()[-1:]:
            self._ctx.tell(sampled(run, now, latest[0]))
        for notice in notices.new():
            self._work.notices.append(f"{notice.get('kind', '')} {notice.get('message', '')}")
            words, fix, kind = (str(notice.get(name, "")) for name in ("message", "fix", "kind"))
            self._ctx.tell(Warned(run, now, words or str(notice), fix, kind))
        with suppress(RecordUnusable):  # whoever wants the job ended asks it itself, too
            if self._ctx.store.wished(run) == "stop":
                self._ctx.cancel.set()

    def _stop(self, grace: float) -> None:
        self._stopping = threading.Thread(target=self._end_job, args=(grace,), name="stop", daemon=True)
        self._stopping.start()

    def _end_job(self, grace: float) -> None:
        try:
            jobs.stop(self._work.reached(), str(self._work.label), grace)
        except MlrunError as error:
            run, now = self._work.run.id, self._ctx.clock.now()
            self._ctx.tell(Warned(run, now, f"The job could not be asked to stop: {error.message}", error.fix))
            if not self._work.in_place and not self._over.wait(AGAIN_SECONDS):
                self._stopping = None  # asked again, by then over another link


class Lines:
    """A file of JSON lines on a host, read as it grows; the host may be another once its link was lost."""

    def __init__(self, host: Callable[[], Host], path: str) -> None:
        self._host = host
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Whole lines written since the last call; what is no JSON object is left out."""
        try:
            data = b"".join(_until_quiet(self._host().read(self._path, self._offset)))
        except MlrunError:
            return []  # the log's follower meets the same error, and tells it
        whole, _, _ = data.rpartition(b"\n")
        self._offset += len(whole) + 1 if whole else 0
        return [one for one in map(_object, whole.splitlines()) if one]


def sampled(run: str, time: float, sample: dict[str, Any]) -> Sampled:
    """A line of the agent's samples as an event."""
    return Sampled(
        run,
        time,
        cpus=number(sample.get("cpus")) or 0.0,
        ram_gib=number(sample.get("ram_gib")) or 0.0,
        gpu_utilisation=number(sample.get("gpu_utilisation")),
        gpu_memory_gib=number(sample.get("gpu_memory_gib")),
    )


def _until_quiet(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        if not chunk:
            return
        yield chunk


def _object(line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
