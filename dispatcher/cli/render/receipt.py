"""What is said before a run, at its end, and afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dispatcher.app.reminders import place, price
from dispatcher.cli.render.aftermath import missing_module, no_python, setup_lines
from dispatcher.cli.render.console import bad, bold, dim, good
from dispatcher.cli.render.plan import machine_words
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.domain.plan import Plan
from dispatcher.domain.run import Attempt, Outcome, Run, RunState
from dispatcher.engine.borrowed import HELD_MARKET
from dispatcher.engine.outcome import LOG_CUT, WORDS, explain, length_unknown
from dispatcher.engine.receipt import figures_of
from dispatcher.moments import show_time
from dispatcher.units import show_bytes, show_gib, show_seconds, show_usd

SHOWN_OUTPUTS = 5
FIGURES = {
    "ram_gib": ("peak RAM", show_gib),
    "gpu_memory_gib": ("peak GPU memory", show_gib),
    "run_seconds": ("the job itself", show_seconds),
    "hours": ("from start to end", lambda hours: show_seconds(hours * 3600)),
    "cost_usd": ("cost", show_usd),
}


def here_lines(plan: Plan, width: int) -> list[str]:
    """Before a run on this machine: what it needs, and why here."""
    needs = plan.estimate
    parts = [f"GPU memory {show_gib(needs.gpu_memory.range.likely)}"] if needs.gpu_memory else []
    parts += [f"RAM {show_gib(needs.ram.range.likely)}"] if needs.ram.range.high > 0 else []
    known = f"{plan.job.name} needs {', '.join(parts)}: {' '.join(plan.here.reasons) or 'fits.'}"
    unknown = f"{plan.job.name}: what it needs is not known (describe `model`, or state `resources`); it is started as it is."
    lines = wrapped(known if parts else " ".join([unknown, *plan.here.reasons]), width, "  ")
    if plan.here.machine:
        lines += [dim(line) for line in wrapped(f"  here: {machine_words(plan.here.machine)}", width, "  ")]
    for warning in plan.warnings:
        lines += wrapped(f"  ! {warning}", width, "    ")
    return lines


def last_words(run: Run, log: Path | None, width: int, *, setup_log: Path | None = None) -> list[str]:
    """After a run, or when the user leaves it: outcome, figures, outputs, what to type next."""
    if run.open and run.doubt is None:
        return _left(run, width)
    if run.doubt:
        return doubt_lines(run, width)
    mark, colour = ("✓", good) if run.outcome is Outcome.SUCCEEDED else ("✗", bad)
    first, *rest = wrapped(f"{mark} {_ending(run)}", width, "  ")
    lines = [colour(mark) + first.removeprefix(mark), *rest]
    if run.outputs:
        size = sum(output.size for output in run.outputs)
        names = ", ".join(output.path for output in run.outputs[:SHOWN_OUTPUTS])
        more = f" and {len(run.outputs) - SHOWN_OUTPUTS} more" if len(run.outputs) > SHOWN_OUTPUTS else ""
        lines += wrapped(f"  outputs: {_files(len(run.outputs))}, {show_bytes(size)}: {names}{more}", width, "    ")
    if hint := missing_module(run, log) or no_python(run, log):
        lines += wrapped(f"  ! {hint}", width, "    ")
    if run.reason == "setup-failed":
        return [*lines, *setup_lines(setup_log), dim(f"  receipt: mlrun report {run.id[:4]}")]
    lines.append(dim(f"  log: {log}" if log else "  no output was written"))
    lines.append(dim(f"  receipt: mlrun report {run.id[:4]}"))
    return lines


def doubt_lines(run: Run, width: int) -> list[str]:
    """What may still exist: what, where, what it costs, when it ends by itself, and how to end it."""
    attempt, short = run.attempt, run.id[:4]
    local = attempt is None or attempt.where == "local"
    place = (
        "this machine" if local or attempt is None else " ".join(filter(None, (attempt.where, attempt.machine, attempt.region)))
    )
    price = attempt.price_per_hour if attempt else None
    costs = "" if local else f" at {show_usd(price)} per hour" if price is not None else " at a price nobody states"
    what = f"{run.name} ({attempt.label if attempt else run.id}) may still exist on {place}{costs}"
    lines = [bad(line) for line in wrapped(f"✗ {what}: its {run.doubt} is not confirmed.", width, "  ")]
    if end := run.alone_until or run.hard_stop:
        lines.append(f"  it ends by itself at {show_time(end)}")
    if attempt and (page := console_page(attempt)):
        lines.append(f"  see it: {page}")
    return [*lines, f"  end it: {bold(f'mlrun stop {short}')} · look: {bold(f'mlrun report {short}')}"]


def console_page(attempt: Attempt) -> str:
    """Where the provider's own console lists the machine."""
    if attempt.where == "aws" and attempt.region:
        return f"https://console.aws.amazon.com/ec2/home?region={attempt.region}#Instances:"
    return "https://console.cloud.google.com/compute/instances" if attempt.where == "gcp" else ""


def report_lines(run: Run, log: Path | None, width: int, *, setup_log: Path | None = None) -> list[str]:
    """A run's receipt: planned against actual, phases, outputs, what it would have cost elsewhere, proof of teardown."""
    attempt = run.attempt
    there = "this machine" if attempt is None or attempt.where == "local" else place(attempt)
    lines = [f"{bold(run.name)} · {run.id} · {run.outcome or run.state} on {there}"]
    if run.doubt:
        lines += doubt_lines(run, width)
    elif run.outcome:
        lines += wrapped(f"  {_ending(run)}", width, "  ")
    ended = "found to be gone" if length_unknown(run) else "ended"
    times = [("submitted", run.submitted), ("started", run.started), (ended, run.ended)]
    lines += wrapped("  " + " · ".join(f"{name} {show_time(value)}" for name, value in times if value), width, "  ")
    lines += ["", bold("PLANNED AND ACTUAL"), *_compared(run, width)]
    lines += _attempts(run, width) + _phases(run, width) + _outputs(run, width) + _elsewhere(run, width)
    lines += ["", f"{bold('TEARDOWN')}  {_teardown(run)}"]
    lines += [line for proof in run.teardown_proof for line in wrapped(f"  {proof}", width, "    ")]
    lines += ["", dim(f"log: {log}" if log else "no output was written")]
    return [*lines, dim(f"setup's log: {setup_log}")] if setup_log else lines


def _teardown(run: Run) -> str:
    if run.teardown_confirmed:
        return "confirmed"
    return "after the run" if run.open and not run.doubt else bad("not confirmed")


def _left(run: Run, width: int) -> list[str]:
    short, attempt = run.id[:4], run.attempt
    if run.state is RunState.HELD:
        return _held(run, width)
    if attempt is None or attempt.where == "local":
        words = f"{run.name} runs in the background as {run.id}. Nothing of it ends with this terminal."
        ways = f"  follow: {bold(f'mlrun attach {short}')} · stop: {bold(f'mlrun stop {short}')} · all runs: {bold('mlrun ps')}"
        return [*_ticked(words, width), ways]
    words = f"{run.name} runs on {place(attempt)} as {run.id}. Nothing of it ends with this terminal."
    if attempt.market == HELD_MARKET:
        words += f" The machine is held and paid by {run.job.get('lender', 'another run')}, and {_ends(run)}."
    elif attempt.rented:
        words += f" It costs {price(attempt)}, and {_ends(run)}."
    ways = f"  back: {bold(f'mlrun attach {short}')} · stop: {bold(f'mlrun stop {short}')} · all runs: {bold('mlrun ps')}"
    return [*_ticked(words, width), ways]


def _held(run: Run, width: int) -> list[str]:
    """A machine that waits: why, where, for how much, until when, and what to type."""
    short, attempt = run.id[:4], run.attempt
    assert attempt is not None
    why = "its outputs are not home yet" if run.held_for == "outputs" else "kept as you asked"
    words = f"{run.name} ({run.outcome}) holds {place(attempt)}: {why}. It costs {price(attempt)}, and {_ends(run)}."
    ways = [
        ("fetch", f"mlrun fetch {short}"), ("longer", f"mlrun hold {short} 1h"), ("shell", f"mlrun ssh {short}"),
        ("again", f"mlrun JOB --on {short}"), ("end it", f"mlrun stop {short}"),
    ]  # fmt: skip
    return [*wrapped(f"! {words}", width, "  "), *(f"  {name + ':':<8} {bold(command)}" for name, command in ways)]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _ends(run: Run) -> str:
    end = run.alone_until
    return f"ends by itself at {show_time(end)}" if end else "nothing ends it but you"


def _ticked(words: str, width: int) -> list[str]:
    said = wrapped(words, width - 2, "  ")
    return [f"{good('✓')} {said[0]}", *said[1:]]


def _ending(run: Run) -> str:
    parts = [f"{run.outcome}" if run.outcome else str(run.state)]
    seconds = run.phases_seconds.get("run")
    if run.outcome is not Outcome.SUCCEEDED:
        parts[0] = _unhappy(run)
    if seconds is not None and not length_unknown(run):
        parts[0] += f" {'in' if run.outcome is Outcome.SUCCEEDED else 'after'} {show_seconds(seconds)}"
    if run.job.get("log_cut") and LOG_CUT not in parts[0]:
        parts.append(LOG_CUT)
    if run.peak.ram_gib is not None:
        parts.append(f"peak RAM {show_gib(run.peak.ram_gib)}")
    if run.peak.gpu_memory_gib is not None:
        parts.append(f"peak GPU memory {show_gib(run.peak.gpu_memory_gib)}")
    most = "at most " if length_unknown(run) else ""
    parts.append(f"{most}{show_usd(run.cost_so_far)}" if run.cost_so_far else _free(run))
    return " · ".join(parts)


def _free(run: Run) -> str:
    lent = run.attempt is not None and run.attempt.market == HELD_MARKET
    return f"paid by {run.job.get('lender', 'another run')}, which holds the machine" if lent else "free"


def _unhappy(run: Run) -> str:
    """The outcome with its reason, said once."""
    said, words = str(run.outcome or run.state), explain(run)
    if run.outcome is Outcome.FAILED and run.reason == "exited" and words == WORDS["exited"]:
        return f"{said} with exit code {run.exit_code}"
    whole = words if words.startswith(said) else f"{said}: {words}"
    return whole + (f" (exit code {run.exit_code})" if run.exit_code is not None else "")


def _compared(run: Run, width: int) -> list[str]:
    rows = []
    for figure in figures_of(run, run.plan):
        name, show = FIGURES[figure["name"]]
        planned = figure["estimated"]
        if (planned is None and figure["actual"] is None) or (name == "cost" and not run.cost_so_far and not run.cost_likely):
            continue
        missing = "not yet" if run.open else "not measured"
        rows.append((f"  {name}", _planned(planned, show), missing if figure["actual"] is None else show(figure["actual"])))
    return table(("", "planned", "actual"), rows, width=width) if rows else ["  nothing was estimated or measured"]


def _planned(planned: dict[str, float] | None, show: Any) -> str:
    if not planned or planned.get("likely") is None:
        return f"at worst {show(planned['worst_case'])}" if planned and "worst_case" in planned else "not planned"
    spread = planned.get("low") != planned.get("high")
    ends = f" ({show(planned['low'])} – {show(planned['high'])})" if spread else ""
    return f"{show(planned['likely'])}{ends}"


def _attempts(run: Run, width: int) -> list[str]:
    """Each try, and how it ended, where there was more than one."""
    if len(run.attempts) < 2:
        return []
    last = str(run.outcome or run.state)
    rows = [
        (f"  {one.label.attempt}", f"{place(one)} {one.offer.get('zone') or ''} {one.market}", one.reason or last)
        for one in run.attempts
    ]
    return ["", bold("ATTEMPTS"), *table(("", "where", "end"), rows, width=width, shrink=2)]


def _phases(run: Run, width: int) -> list[str]:
    shown = {name: seconds for name, seconds in run.phases_seconds.items() if seconds >= 0.05}
    if not shown:
        return []
    return [
        "",
        bold("PHASES"),
        *wrapped("  " + " · ".join(f"{name} {show_seconds(s)}" for name, s in shown.items()), width, "  "),
    ]


def _outputs(run: Run, width: int) -> list[str]:
    if not run.outputs:
        return []
    rows = [(f"  {one.path}", show_bytes(one.size), one.sha256[:16]) for one in run.outputs[:50]]
    return ["", bold("OUTPUTS"), *table(("  file", "size", "sha256"), rows, width=width, right=(1,), shrink=0)]


def _elsewhere(run: Run, width: int) -> list[str]:
    """What the other options of the plan would have cost."""
    choice = run.plan.get("choice")
    others = [
        c for i, c in enumerate(run.plan.get("candidates") or []) if i != choice and c.get("cost_usd") and c["where"] != "local"
    ]
    if not others:
        return []
    planned = [c for c in others[:3] if c.get("hours") and c["cost_usd"]["likely"] is not None]
    rows = [(_machine(c), show_seconds(c["hours"]["likely"] * 3600), show_usd(c["cost_usd"]["likely"])) for c in planned]
    heading = "ELSEWHERE, AS PLANNED"
    ran = run.phases_seconds.get("run")
    if not rows and ran and run.outcome is Outcome.SUCCEEDED:
        priced = [c for c in others[:3] if c.get("price_per_hour")]
        times = [ran + sum(s for name, s in c["phases_seconds"].items() if name != "run") for c in priced]
        rows = [
            (_machine(c), show_seconds(seconds), show_usd(seconds / 3600 * c["price_per_hour"]))
            for c, seconds in zip(priced, times, strict=True)
        ]
        heading = "ELSEWHERE, HAD IT TAKEN AS LONG THERE"
    return ["", bold(heading), *table(("  machine", "time", "cost"), rows, width=width, shrink=0)] if rows else []


def _machine(option: dict[str, Any]) -> str:
    return f"  {option['where']} {option['machine']} {option['market']}"
