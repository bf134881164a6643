"""What a night left in its bucket becomes a run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from dispatcher import paths
from dispatcher.backends import registry
from dispatcher.backends.base import Backend
from dispatcher.domain.run import Attempt, Outcome, Output, Peak, Run, RunState
from dispatcher.engine.context import Context, JobInstructions
from dispatcher.engine.outcome import Verdict, conclude
from dispatcher.engine.teardown import LEAST_SECONDS, confirm_gone
from dispatcher.errors import CloudRefused, HostError
from dispatcher.events import Warned
from dispatcher.hosts.collect import believe
from dispatcher.hosts.job import JobStatus, status_of
from dispatcher.overnight import night as nights
from dispatcher.overnight.base import Nights, Seen
from dispatcher.overnight.night import Night
from dispatcher.units import show_usd

LINGERS_SECONDS = 180.0
"""A machine that has said its last word ends itself; after so long it is ended from here."""
REFUSED: dict[str, Verdict] = {
    "bundle-missing": Verdict(Outcome.FAILED, "bundle-missing", HostError.exit_code),
    "bundle-corrupted": Verdict(Outcome.FAILED, "bundle-corrupted", HostError.exit_code),
    "secret-missing": Verdict(Outcome.FAILED, "secret-missing", HostError.exit_code),
    "not-started": Verdict(Outcome.FAILED, "not-started", HostError.exit_code),
    "too-late": Verdict(Outcome.FAILED, "too-late", 105),
    "no-capacity": Verdict(Outcome.FAILED, "no-capacity", CloudRefused.exit_code),
    "never-fired": Verdict(Outcome.FAILED, "never-fired", CloudRefused.exit_code),
}
"""Ends without a job, by the word that the machine or the cloud has for them."""
PREEMPTED = Verdict(Outcome.PREEMPTED, "preempted", 108)
LOST = Verdict(Outcome.LOST, "lost", 106)


def settled(ctx: Context, cloud: Nights, night: Night, now: float) -> Run | None:
    """The night's run, once it is certain how it went, its outputs are here and nothing of it is left; else None, said why."""
    seen = cloud.look(night, now)
    if seen.phase in ("waiting", "unknown", "running"):
        _say(ctx, night, _going_on(night, seen), "mlrun schedule ls")
        return None
    if seen.alive and now - float(seen.outcome.get("ended") or now) < LINGERS_SECONDS:
        _say(ctx, night, "its job is over, and its machine is just ending", "mlrun ps")
        return None
    backend = registry.load(night.where)
    if seen.alive or not night.carries:
        backend.terminate(night.label)  # also of what is gone: rules and keys go with it
    proof = _gone(ctx, cloud, night, backend)
    if night.queue:
        return _in_turn(ctx, cloud, night, seen, proof)
    run = _run(night, seen)
    run.teardown_confirmed, run.teardown_proof = True, [proof]
    _bring(ctx, cloud, night, seen, run)
    _keep(ctx, run)
    nights.forget(night)
    ctx.ended(run)
    _say(ctx, night, f"is over: {run.outcome}, {_words(run)}", f"mlrun report {run.id[:4]}")
    return run


def _in_turn(ctx: Context, cloud: Nights, night: Night, seen: Seen, proof: str) -> Run:
    """A queue's jobs, each a run of its own that pays from the end of the one before it; then what they came to."""
    runs: list[Run] = []
    since = 0.0
    for number, part in enumerate(night.parts(), 1):
        own = cloud.part(night, seen, number)
        if since:
            own = replace(own, outcome=_born(own.outcome, since), state=_born(own.state, since, surely=own.phase == "gone"))
        run = _run(part, own)
        since = run.attempts[0].ended or since if run.attempts[0].launched else since
        run.job |= {
            "queue": {"id": night.id, "name": night.name, "part": number, "of": len(night.queue), "budget_usd": night.budget}
        }
        run.teardown_confirmed, run.teardown_proof = True, [proof]
        _bring(ctx, cloud, part, own, run)
        _keep(ctx, run)
        ctx.ended(run)
        runs.append(run)
    nights.forget(night)
    won = sum(run.outcome is Outcome.SUCCEEDED for run in runs)
    spent, most = sum(run.cost_so_far for run in runs), f" of {show_usd(night.budget)}" if night.budget else ""
    words = f"is over: {won} of its {len(runs)} jobs succeeded, {show_usd(spent)}{most}"
    _say(ctx, night, words, f"mlrun report {runs[0].id[:4]}")
    return runs[-1]


def _born(told: dict[str, Any], since: float, *, surely: bool = False) -> dict[str, Any]:
    """The same, of a job whose machine had done another until then."""
    return told | {"born": since} if surely or "born" in told else told


def _keep(ctx: Context, run: Run) -> None:
    """Into the record; a run that was seen by its tags meanwhile is completed."""
    known = ctx.store.get(run.id)
    if known is None:
        ctx.store.add(run)
    elif known.open:
        if known.state is not RunState.TERMINATING:
            ctx.store.advance(known, RunState.TERMINATING)
        found = {one.name: getattr(run, one.name) for one in fields(Run) if one.name not in ("id", "state")}
        ctx.store.advance(known, RunState.FINISHED, **found)
    elif known.outcome is Outcome.LOST:
        ctx.store.save(run)


def _gone(ctx: Context, cloud: Nights, night: Night, backend: Backend) -> str:
    """That nothing of it is left; of one that comes again its own machine, as the next one's carries the same label."""
    if night.carries:
        return f"{night.where}: no machine of {night.moment:%d %b %H:%M} is left; the trigger stands for the next time"
    proof = confirm_gone(ctx, backend, night.label)
    cloud.disarm(night)
    return f"{proof}; what started it is deleted"


def _run(night: Night, seen: Seen) -> Run:
    status = _status(seen)
    verdict = _verdict(seen, status)
    run = Run(
        id=night.id, name=night.name, state=RunState.FINISHED, outcome=verdict.outcome, reason=verdict.reason,
        exit_code=verdict.exit_code, submitted=night.made, cost_likely=night.cost_likely, cost_worst=night.cost_worst,
        plan=dict(night.plan), job=_job(night),
    )  # fmt: skip
    run.attempts = [_attempt(night, seen, verdict)]
    run.ended = seen.outcome.get("ended") or night.begins
    if status is not None:
        run.started, run.ended = status.started, status.ended or run.ended
        run.peak = Peak(status.ram_peak_gib, status.gpu_peak_gib)
        if status.started and status.ended:
            run.phases_seconds["run"] = round(status.ended - status.started, 3)
    run.cost_so_far = _cost(run.attempts[0])
    return run


def _job(night: Night) -> dict[str, Any]:
    """What its record says of the job, with where its outputs come home; the file's text stands beside the log."""
    secrets = dict.fromkeys(night.secrets, "")
    told = JobInstructions(str(night.job.get("run") or ""), Path(night.workdir), secrets=secrets, outputs=tuple(night.outputs))
    return {name: value for name, value in night.job.items() if name != "text"} | {"instructions": told.as_record()}


def _attempt(night: Night, seen: Seen, verdict: Verdict) -> Attempt:
    told = seen.outcome or seen.state
    kind = str(told.get("machine", {}).get("type") or night.offer.get("machine"))
    price = night.prices.get(kind, night.max_hourly)
    born = told.get("born") or (night.begins if seen.phase == "gone" else None)
    said = str(seen.outcome.get("words") or seen.words)
    words = said if verdict.reason in REFUSED or seen.phase == "gone" else None
    return Attempt(
        label=night.label, where=night.where, machine=kind, region=night.region, market=night.market, price_per_hour=price,
        launched=born, ended=told.get("ended") or night.begins, reason=words, offer=dict(night.offer),
        beside_per_hour=night.beside_per_hour,
    )  # fmt: skip


def _cost(attempt: Attempt) -> float:
    if attempt.launched is None or attempt.ended is None:
        return 0.0
    hours = max(LEAST_SECONDS, attempt.ended - attempt.launched) / 3600
    return hours * ((attempt.price_per_hour or 0.0) + attempt.beside_per_hour)


def _status(seen: Seen) -> JobStatus | None:
    found = seen.outcome.get("status")
    return status_of(found) if isinstance(found, dict) else None


def _verdict(seen: Seen, status: JobStatus | None) -> Verdict:
    if status is not None:
        return conclude(status, None)
    word = str(seen.outcome.get("refused") or seen.reason)
    if word in REFUSED:
        return REFUSED[word]
    return PREEMPTED if "spot" in word.lower() else LOST


def _bring(ctx: Context, cloud: Nights, night: Night, seen: Seen, run: Run) -> None:
    """Log and outputs; where the machine said no last word, the files that were whole before it went."""
    _keep_text(night, run)
    if not seen.place:
        return
    folder = paths.runs_dir() / run.id / str(night.label)
    cloud.bring_log(seen, night, folder)
    told = seen.outcome if "outputs" in seen.outcome else seen.partial
    rows = [one for one in told.get("outputs") or () if isinstance(one, dict)]
    entries = believe(json.dumps(one).encode() for one in rows).entries
    wanted = [{"path": one.path, "size": one.size, "mode": one.mode, "sha256": one.sha256} for one in entries]
    cloud.bring_files(seen, night, wanted, Path(night.workdir))
    run.outputs = [Output(one.path, one.size, one.sha256) for one in entries]
    for one in _missed(seen.outcome):
        _say(ctx, night, f"the output {one.get('path')!r} is not here: {one.get('why')}", "")


def _keep_text(night: Night, run: Run) -> None:
    """The job file as it was at submit, where a page looks for it; without it the night comes home too."""
    if text := str(night.job.get("text") or ""):
        with contextlib.suppress(OSError):
            (paths.runs_dir() / run.id).mkdir(mode=0o700, parents=True, exist_ok=True)
            paths.write_private(paths.runs_dir() / run.id / "job.yaml", text)


def _missed(outcome: dict[str, Any]) -> Sequence[dict[str, Any]]:
    return [one for one in outcome.get("missed") or () if isinstance(one, dict)]


def _going_on(night: Night, seen: Seen) -> str:
    if seen.phase == "running":
        return f"is going on in {night.region}" + (f": {seen.words}" if seen.words else "")
    return f"was to start at {night.moment:%H:%M}: {seen.words or 'nothing is to be seen of it yet'}"


def _words(run: Run) -> str:
    from dispatcher.engine.outcome import explain

    return explain(run)


def _say(ctx: Context, night: Night, words: str, fix: str) -> None:
    ctx.tell(Warned("", ctx.clock.now(), f"{night.name} ({night.id[:4]}), overnight, {words}", fix))
