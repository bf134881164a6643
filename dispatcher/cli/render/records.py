"""A run as the JSON documents show it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dispatcher.domain.plan import figures
from dispatcher.domain.run import Attempt, Run


def moment(seconds: float | None) -> str | None:
    """Unix seconds as 2026-11-20T22:30:00Z."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def run_record(run: Run, log: str | None = None) -> dict[str, Any]:
    """The document's run object."""
    attempt = run.attempt
    return {
        "id": run.id,
        "name": run.name,
        "state": str(run.state),
        "doubt": run.doubt and str(run.doubt),
        "outcome": run.outcome and str(run.outcome),
        "reason": run.reason,
        "exit_code": run.exit_code,
        "where": attempt.where if attempt else None,
        "machine": attempt.machine if attempt else None,
        "region": attempt.region if attempt else None,
        "market": attempt.market if attempt else None,
        "label": str(attempt.label) if attempt else None,
        "attempts": [attempt_record(one) for one in run.attempts],
        "submitted": moment(run.submitted),
        "started": moment(run.started),
        "ended": moment(run.ended),
        "hard_stop": moment(run.hard_stop),
        "phases_seconds": {name: figures(value) for name, value in run.phases_seconds.items()},
        "price_per_hour": attempt.price_per_hour if attempt else None,
        "cost_usd": {"so_far": figures(run.cost_so_far), "likely": run.cost_likely, "worst_case": run.cost_worst},
        "peak": {"ram_gib": run.peak.ram_gib, "gpu_memory_gib": run.peak.gpu_memory_gib},
        "outputs": [{"path": out.path, "size": out.size, "sha256": out.sha256} for out in run.outputs],
        "log": log,
        "teardown": {"confirmed": run.teardown_confirmed, "proof": run.teardown_proof},
    }


def attempt_record(attempt: Attempt) -> dict[str, Any]:
    """One entry of a run's `attempts`."""
    return {
        "label": str(attempt.label),
        "where": attempt.where,
        "machine": attempt.machine,
        "region": attempt.region,
        "market": attempt.market,
        "price_per_hour": attempt.price_per_hour,
        "launched": moment(attempt.launched),
        "ended": moment(attempt.ended),
        "reason": attempt.reason,
    }
