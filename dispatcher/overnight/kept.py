"""What a machine put into a bucket, read and brought home."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from dispatcher.errors import SyncFailed
from dispatcher.hosts.base import Entry
from dispatcher.hosts.landing import Landing
from dispatcher.overnight.base import Seen


class Bucket(Protocol):
    """A cloud's bucket. Objects are told by name, with their `Key` and the moment of their `LastModified`."""

    def objects(self, prefix: str) -> Iterator[dict[str, Any]]:
        """Every object below a prefix."""

    def read(self, key: str) -> bytes | None:
        """A small object; None where there is none."""

    def stream(self, key: str) -> Iterator[bytes]:
        """An object, piece by piece."""


def folder_of(bucket: Bucket, start: str, counts: Callable[[float], bool] = lambda _moment: True) -> str:
    """The first machine's folder below `start` with an object of a time that counts; "" where there is none."""
    its = (str(one["Key"]) for one in bucket.objects(start) if counts(one["LastModified"].timestamp()))
    first = next(its, None)
    return start + first.removeprefix(start).partition("/")[0] if first else ""


def said(bucket: Bucket, place: str, name: str) -> dict[str, Any]:
    """One of the documents in a machine's folder; empty where it is not there, or is none."""
    try:
        found = json.loads(bucket.read(f"{place}/{name}.json") or b"{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def part(bucket: Bucket, whole: Seen, number: int) -> Seen:
    """What a machine said of one of its jobs in turn; of one to which it never came nothing is there."""
    if not whole.place or "refused" in whole.outcome:
        return whole
    place = f"{whole.place}/{number}"
    found = {name: said(bucket, place, name) for name in ("outcome", "state", "partial")}
    own = replace(whole, place=place, outcome=found["outcome"], state=found["state"], partial=found["partial"])
    if found["outcome"]:
        return replace(own, phase="over", words="")
    if next(bucket.objects(f"{place}/"), None):
        return replace(own, phase="gone", words="Its machine went away in the middle of the job")
    return replace(own, phase="never", words="Its machine was gone before its turn came", place="")


def bring_log(bucket: Bucket, place: str, folder: Path) -> None:
    """A job's output, its pieces in their order, setup's, and what was measured, into a folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / "log").open("wb") as log:
        for one in bucket.objects(f"{place}/log/"):
            for piece in bucket.stream(one["Key"]):
                log.write(piece)
    for name in ("setup.log", "samples.jsonl"):
        if found := bucket.read(f"{place}/{name}"):
            (folder / name).write_bytes(found)


def bring_files(bucket: Bucket, place: str, name: str, entries: Sequence[Entry], folder: Path) -> None:
    """Files by their hashes, each verified before any has its name; `name` is the landing's."""
    with Landing(folder, name) as landing:
        landing.room_for(sum(one.size for one in entries))
        for entry in entries:
            _bring(bucket, f"{place}/files/{entry.sha256}", landing, entry)
        landing.settle(entries)


def _bring(bucket: Bucket, key: str, landing: Landing, entry: Entry) -> None:
    landing.drop(entry)
    size, digest = 0, hashlib.sha256()
    with landing.growing(entry) as file:
        for piece in bucket.stream(key):
            if (size := size + len(piece)) > entry.size:
                raise SyncFailed(f"{entry.path} is larger than its machine said", fix="mlrun schedule ls")
            digest.update(piece)
            file.write(piece)
    landing.check(entry, size, digest)
