"""Rows of the store, and a run as a JSON document."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from dispatcher.domain.run import Attempt, Doubt, Label, Outcome, Output, Peak, Run, RunState
from dispatcher.errors import HostError


@dataclass(frozen=True, slots=True)
class Intent:
    """A change about to be asked of a provider, written down before it is asked."""

    id: int
    label: Label
    kind: str
    request: dict[str, Any]
    written: float


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of a run's history; never changed afterwards."""

    run: str
    time: float
    before: RunState | None
    after: RunState
    doubt: Doubt | None = None


@dataclass(frozen=True, slots=True)
class MonthTotal:
    """What the runs of one month (UTC, 2026-11) cost in USD, how many they were, and their hours."""

    month: str
    runs: int
    hours: float
    usd: float


def to_document(run: Run) -> str:
    """The run as JSON. Labels are spelled out, states are their words."""
    return json.dumps(dataclasses.asdict(run) | {"attempts": [_attempt_out(one) for one in run.attempts]}, allow_nan=False)


def from_document(text: str) -> Run:
    """The run that `to_document` wrote. Keys of a later minor version are left aside."""
    try:
        data = _known(Run, json.loads(text))
        data["state"] = RunState(data["state"])
        data["doubt"] = Doubt(data["doubt"]) if data.get("doubt") else None
        data["outcome"] = Outcome(data["outcome"]) if data.get("outcome") else None
        data["attempts"] = [_attempt_in(one) for one in data.get("attempts", [])]
        data["outputs"] = [Output(**one) for one in data.get("outputs", [])]
        data["peak"] = Peak(**data.get("peak", {}))
        return Run(**data)
    except (ValueError, TypeError, KeyError) as error:
        raise HostError(f"A record of a run cannot be read: {error}", fix="mlrun doctor") from error


def _attempt_out(attempt: Attempt) -> dict[str, Any]:
    return dataclasses.asdict(attempt) | {"label": str(attempt.label)}


def _attempt_in(data: dict[str, Any]) -> Attempt:
    label = Label.parse(data["label"])
    if label is None:
        raise ValueError(f"{data['label']!r} is not a label")
    return Attempt(**(_known(Attempt, data) | {"label": label}))


def _known(kind: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    names = {one.name for one in dataclasses.fields(kind)}
    return {name: value for name, value in data.items() if name in names}
