"""What was expected and what came, side by side."""

from __future__ import annotations

from typing import Any

from dispatcher.domain.plan import figures
from dispatcher.domain.run import Run
from dispatcher.engine.outcome import exit_code, explain, length_unknown


def receipt(run: Run, plan: dict[str, Any]) -> dict[str, Any]:
    """The receipt's document. `plan` is a plan's document, or empty; figures that nobody has are None."""
    attempt = run.attempt
    return {
        "run": run.id,
        "name": run.name,
        "state": str(run.state),
        "outcome": run.outcome and str(run.outcome),
        "reason": run.reason,
        "words": explain(run),
        "exit_code": exit_code(run),
        "where": attempt.where if attempt else None,
        "machine": attempt.machine if attempt else None,
        "figures": figures_of(run, plan),
        "phases_seconds": run.phases_seconds,
        "outputs": [{"path": one.path, "size": one.size, "sha256": one.sha256} for one in run.outputs],
        "teardown": {"confirmed": run.teardown_confirmed, "proof": run.teardown_proof},
    }


def figures_of(run: Run, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Estimate against fact: peak RAM and GPU memory in GiB, seconds, USD."""
    chosen = _chosen(plan)
    on_gpu = (plan.get("estimate") or {}).get("gpu_memory_gib")
    estimate = plan.get("estimate") or {}
    seconds = None if length_unknown(run) else run.phases_seconds.get("run")
    likely = (chosen.get("phases_seconds") or {}).get("run")
    hours = chosen.get("hours") or {}
    return [
        _figure("ram_gib", _planned(estimate.get("ram_gib")), run.peak.ram_gib),
        _figure("gpu_memory_gib", chosen.get("memory_gib") if on_gpu else None, run.peak.gpu_memory_gib),
        _figure("run_seconds", {"likely": likely} if likely else None, seconds),
        _figure("hours", hours, _hours(run)),
        _figure("cost_usd", chosen.get("cost_usd"), run.cost_so_far),
    ]


def _planned(amount: dict[str, Any] | None) -> dict[str, Any] | None:
    """What was planned; of a job that is not described that is nothing, not none."""
    return amount if amount and any(amount.values()) else None


def _chosen(plan: dict[str, Any]) -> dict[str, Any]:
    candidates, choice = plan.get("candidates") or [], plan.get("choice")
    return candidates[choice] if isinstance(choice, int) and 0 <= choice < len(candidates) else {}


def _figure(name: str, estimated: dict[str, Any] | None, actual: float | None) -> dict[str, Any]:
    known = estimated or {}
    kept = {key: known[key] for key in ("low", "likely", "high", "worst_case") if known.get(key) is not None}
    return {"name": name, "estimated": kept or None, "actual": None if actual is None else figures(actual)}


def _hours(run: Run) -> float | None:
    if length_unknown(run):
        return None
    launched = [one.launched for one in run.attempts if one.launched is not None]
    ended = [one.ended for one in run.attempts if one.ended is not None]
    return (max(ended) - min(launched)) / 3600 if launched and ended else None
