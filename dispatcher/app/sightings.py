"""Runs that clouds show: of other computers, or remembered by nobody."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher import paths
from dispatcher.backends.base import Backend, Leftover
from dispatcher.domain.run import Attempt, Run, RunState
from dispatcher.engine.context import JobInstructions
from dispatcher.errors import MlrunError, UsageError

PATIENCE_SECONDS = 20.0
"""Longer no cloud is waited for, when all one wants is a list."""
MACHINES = ("instance", "machine", "folder")


@dataclass(slots=True)
class Seen:
    """What was seen, by the name of the owner that each cloud knows us by; and which clouds did not answer, with the reason."""

    leftovers: list[Leftover] = field(default_factory=list)
    owners: dict[str, str] = field(default_factory=dict)
    silent: dict[str, str] = field(default_factory=dict)

    def runs(self, now: float, known: Callable[[str], bool]) -> list[Run]:
        """Runs of ours that have a machine and that the record does not know, from their tags."""
        mine = (one for one in self.leftovers if one.owner == self.owners.get(place(one)) and one.label)
        return [run_of(group, now) for group in _by_run(mine) if not known(group[0].label.run)]  # type: ignore[union-attr]

    def strangers(self) -> list[Leftover]:
        """What other owners have."""
        return [one for one in self.leftovers if one.owner != self.owners.get(place(one))]


def look(clouds: Iterable[str], backend: Callable[[str], Backend], patience: float = PATIENCE_SECONDS) -> Seen:
    """Ask every cloud at once; what did not answer in time is told, never taken for empty."""
    seen = Seen()
    threads = {name: threading.Thread(target=_ask, args=(name, backend, seen), daemon=True) for name in clouds}
    for thread in threads.values():
        thread.start()
    for name, thread in threads.items():
        thread.join(patience)
        if thread.is_alive():
            seen.silent[name] = f"did not answer within {patience:.0f} s"
    return seen


def _ask(name: str, backend: Callable[[str], Backend], seen: Seen) -> None:
    try:
        cloud = backend(name)
        owner, found = cloud.owner, list(cloud.leftovers())
    except MlrunError as error:
        seen.silent[name] = error.message
        return
    seen.owners[name] = owner
    seen.leftovers += found


def place(one: Leftover) -> str:
    """The backend's name of where a leftover is."""
    return one.where.partition("/")[0].partition(":")[0]


def matching(runs: Sequence[Run], text: str) -> Run:
    """The run that `text` means among these: an id, the start of one, or a name. Raises UsageError."""
    found = [run for run in runs if run.id == text] or [run for run in runs if run.id.startswith(text) or run.name == text]
    if not found:
        raise UsageError(f"There is no run {text!r}, neither here nor in the clouds.", fix="mlrun ps")
    if len(found) > 1:
        raise UsageError(
            f"{text!r} could be {', '.join(f'{run.id} ({run.name})' for run in found[:5])}", fix="Give more letters."
        )
    return found[0]


def run_of(group: Sequence[Leftover], now: float) -> Run:
    """A run as its tags tell it: enough to list it, to stop it and to see it gone."""
    newest = sorted(group, key=lambda one: (one.label.attempt if one.label else 0, one.kind in MACHINES))
    first = newest[-1]
    assert first.label is not None
    begun = now - first.age_seconds
    life = first.tags.get("mlrun-max-seconds", "")
    ends = begun + float(life) if life.isdigit() else None
    attempts = [
        Attempt(label, first.where, first.tags.get("machine"), first.region, _market(first), first.usd_per_hour, launched=begun)
        for label in sorted({one.label for one in group if one.label}, key=lambda label: label.attempt)
    ]
    return Run(
        first.label.run,
        first.tags.get("mlrun-name") or first.label.run,
        RunState.RUNNING,
        submitted=begun,
        started=begun,
        detached=True,
        hard_stop=ends,
        ends_itself=ends,
        attempts=attempts,
        job={"seen": first.tags.get("mlrun-client", ""), "instructions": _nothing_known(first.label.run)},
    )


def _by_run(leftovers: Iterable[Leftover]) -> list[list[Leftover]]:
    """Those of one run together; a run without a machine is not going on."""
    groups: dict[str, list[Leftover]] = {}
    for one in leftovers:
        assert one.label is not None
        groups.setdefault(one.label.run, []).append(one)
    return [group for group in groups.values() if any(one.kind in MACHINES for one in group)]


def _market(one: Leftover) -> str:
    return "spot" if one.tags.get("market") == "spot" else "on-demand"


def _nothing_known(run_id: str) -> dict[str, object]:
    folder: Path = paths.runs_dir() / run_id
    return JobInstructions("", folder).as_record()
