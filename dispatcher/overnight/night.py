"""A night: a run that a cloud will start, frozen at submit."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.domain.run import Label
from dispatcher.errors import HostError
from dispatcher.moments import zone_named

LONGEST_AHEAD_DAYS = 27
"""Bundles are kept thirty days, of which the run and the morning after need some."""
EARLY_SECONDS = 60.0
"""What clocks may differ by."""


@dataclass(frozen=True, slots=True)
class Night:
    """Everything that was decided at submit. Times are Unix seconds, money USD.

    `latest`: when it must be done; `deadline_seconds` and `max_seconds`: from the machine's creation to the job's end, and to
    its own. `prices` are hourly, by machine type, in the order of the ladder. `secrets`: where the machine finds
    each, never a value.
    `trigger`, `template` and `token` are the cloud's names for what was made; `rungs` its ladder, zone/machine, where it tries
    them one by one.

    One with a `cron` comes again, `until` then; each of its times becomes a night of its own, which `carries` the label of the
    first one's id and counts what happens before `until`.

    One with a `queue` runs several jobs in turn on one machine, within one `budget`; in the morning each of its `parts` is a
    run of its own.
    """

    id: str
    name: str
    where: str
    region: str
    due: float
    zone: str
    made: float = 0.0
    owner: str = ""
    client: str = ""
    bucket: str = ""
    bundle: str = ""
    sha256: str = ""
    size: int = 0
    latest: float | None = None
    deadline_seconds: float = 3600.0
    max_seconds: int = 7200
    grace_seconds: int = 3600
    disk_gb: float | None = None
    market: str = "on-demand"
    prices: Mapping[str, float] = field(default_factory=dict)
    offer: Mapping[str, Any] = field(default_factory=dict)
    beside_per_hour: float = 0.0
    cost_likely: float = 0.0
    cost_worst: float = 0.0
    secrets: Mapping[str, str] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()
    workdir: str = ""
    plan: Mapping[str, Any] = field(default_factory=dict)
    job: Mapping[str, Any] = field(default_factory=dict)
    trigger: str = ""
    template: str = ""
    token: str = ""
    started_now: float | None = None
    cron: str = ""
    until: float | None = None
    carries: str = ""
    queue: tuple[Mapping[str, Any], ...] = ()
    budget: float | None = None
    rungs: tuple[str, ...] = ()

    @property
    def label(self) -> Label:
        """What its machine carries."""
        return Label(self.carries or self.id)

    def token_at(self, at: float) -> str:
        """The client token of one moment: however often the trigger fires for it, one machine is made."""
        return f"{self.label}-{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def firing(self, following: float) -> Night:
        """The night of its present time, where it comes again at `following`."""
        own = hashlib.sha256(f"{self.id} {self.due:.0f}".encode()).hexdigest()[:10]
        return replace(self, id=own, cron="", until=following, carries=self.id, token=self.token_at(self.due))

    def mine(self, at: float) -> bool:
        """Whether what happened then belongs to it."""
        return not self.carries or self.due - EARLY_SECONDS <= at < (self.until or at + 1)

    def parts(self) -> list[Night]:
        """Each job of its queue as a night of its own, which carries its label."""
        return [replace(self, **one, id=part_id(self.id, k), queue=(), carries=self.id) for k, one in enumerate(self.queue, 1)]

    @property
    def moment(self) -> datetime:
        """When it is due, in its zone."""
        return datetime.fromtimestamp(self.due, zone_named(self.zone))

    @property
    def begins(self) -> float:
        """When it was to start: its time, or when somebody said now."""
        return self.started_now or self.due

    @property
    def max_hourly(self) -> float:
        """The most that an hour of its machine may cost."""
        return max(self.prices.values(), default=0.0)

    def as_json(self) -> str:
        """The record, as it is kept here and in the bucket."""
        return json.dumps(asdict(self), indent=1, default=str)

    @classmethod
    def from_json(cls, text: str | bytes) -> Night:
        """A record that was kept. Raises ValueError where it is none."""
        try:
            document = json.loads(text)
            known = {one.name: document[one.name] for one in fields(cls) if one.name in document}
            return cls(**known | {name: tuple(known.get(name, ())) for name in ("outputs", "rungs", "queue")})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"this is no record of a night: {error}") from None


def part_id(night: str, number: int) -> str:
    """The id of the run that a queue's job becomes, counted from 1."""
    return hashlib.sha256(f"{night} part {number}".encode()).hexdigest()[:10]


def folder() -> Path:
    """Where this computer's nights stand until their results are home."""
    return paths.data_dir() / "nights"


def keep(night: Night) -> None:
    """Write it down, whole. Raises HostError where it cannot be."""
    file = folder() / f"{night.id}.json"
    part = file.with_suffix(".part")
    try:
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(part, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as stream:  # noqa: PTH123  (a descriptor)
            stream.write(night.as_json())
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(file)
    except OSError as why:
        raise HostError(f"The schedule cannot be written to {file}: {why.strerror}", fix="Free some space there.") from why


def every() -> Iterator[Night]:
    """This computer's nights whose results are not home, the next one first."""
    found = []
    for file in folder().glob("*.json"):
        try:
            found.append(Night.from_json(file.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            continue
    yield from sorted(found, key=lambda one: (one.due, one.id))


def forget(night: Night) -> None:
    """Remove the record: its results are home, or it was cancelled."""
    (folder() / f"{night.id}.json").unlink(missing_ok=True)
