"""The plan's screen, from what is needed to what is next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from dispatcher.cli.render.console import bold, caution, dim, good
from dispatcher.cli.render.options import chosen_lines, detailed, notable, only_asked, option_lines
from dispatcher.cli.render.tables import wrapped
from dispatcher.domain.hardware import Machine
from dispatcher.domain.plan import Amount, Plan
from dispatcher.units import show_bytes, show_gib

BAR = 26
MAX_REASONS = 6
DEFAULT = "default"
"""The origin of what nobody said."""
SEEN = 0.005
"""GiB of a term that shows as more than nothing."""


def plan_lines(
    plan: Plan, *, width: int = 80, everything: bool = False, explain: bool = False, starting: bool = False
) -> list[str]:
    """The whole screen, line by line, at most `width` columns wide."""
    sections = [
        _head(plan, width, starting=starting),
        _needs(plan, width),
        _here(plan, width),
        option_lines(plan, width, everything=everything),
        _suggested(plan, width) if only_asked(plan) else [],
        [] if starting else chosen_lines(plan, width),
        [] if starting else sends_lines(plan, width, everything=everything),
        _warnings(plan, width),
        _explained(plan, width) if explain else [],
        [] if starting else _next(plan, width, everything=everything),
    ]
    return [line for section in sections for line in section]


def _head(plan: Plan, width: int, *, starting: bool) -> list[str]:
    left = plan.job.name + (f" · {plan.job.file}" if plan.job.file else "")
    shown = [c for _, c in notable(plan)]
    dates = sorted({c.offer.price_as_of for c in shown if c.offer.price_as_of}) or [""]
    first, last = dates[0][:7], dates[-1][:7]
    span = dates[0] if dates[0] == dates[-1] else first if first == last else f"{first} to {last}"
    prices = f"prices of {span}, {_sources(plan)}" if dates[0] else "no prices needed"
    right = prices if starting else f"NOTHING WAS STARTED · {prices}"
    gap = width - len(left) - len(right)
    return [f"{bold(left)}{' ' * gap}{dim(right)}"] if gap >= 2 else [bold(left), dim(right)]


def _sources(plan: Plan) -> str:
    return ", ".join(sorted({c.offer.price_source for c in plan.candidates if c.offer.price_source})) or "embedded"


def _needs(plan: Plan, width: int) -> list[str]:
    estimate = plan.estimate
    lines = [_columns(bold("WHAT THE JOB NEEDS"), "how we know", width)]
    if plan.work:
        lines += _hanging("Work", plan.work, width)
    lines += _script_read(plan, width)
    if plan.probe:
        lines += _hanging("Probe", "; ".join(plan.probe["words"]).removeprefix("probe: "), width)
    if estimate.gpu_memory:
        lines += _gpu(plan, estimate.gpu_memory, width)
    lines.append(_amount("RAM", estimate.ram, width))
    if not estimate.gpu_memory or _without_gpu(plan):
        lines += _bars(estimate.ram, width)
    disk = estimate.disk.range.likely
    nothing = "nothing to speak of" if estimate.disk.known else "unknown"
    lines.append(f"  {'Disk':<12} {show_bytes(disk * 1e9) if disk > 0 else nothing}")
    return lines


def _gpu(plan: Plan, amount: Amount, width: int) -> list[str]:
    """GPU memory with its terms; in one line where the plan's choice runs without a GPU."""
    estimate = plan.estimate
    where = f"on each of {estimate.gpu_count} {estimate.gpu_device}" if estimate.gpu_count > 1 else f"on {estimate.gpu_device}"
    line = _amount("GPU memory", amount, width, where if estimate.gpu_device else "at peak")
    return [line] if _without_gpu(plan) else [line, *_bars(amount, width)]


def _without_gpu(plan: Plan) -> bool:
    """Whether what would run is the CPU's work, so that RAM is what counts."""
    return plan.chosen is not None and not plan.chosen.offer.count


def _amount(name: str, amount: Amount, width: int, where: str = "at peak") -> str:
    span = amount.range
    if span.high <= 0:
        return f"  {name:<12} unknown: describe `model`, or state `resources`"
    left = f"  {name:<12} {show_gib(span.likely)}{f' {where}' if amount.basis != 'stated' else ''}"
    right = amount.basis if amount.basis == "stated" else f"{_plain(span.low)} – {show_gib(span.high)}, {amount.basis}"
    return _columns(left, right, width)


def _bars(amount: Amount, width: int) -> list[str]:
    terms = sorted(((value, name) for name, value in amount.terms.items() if value > 0), reverse=True)
    shown = [(value, name) for value, name in terms if value >= max(0.02 * terms[0][0], SEEN)][:6]
    rest = sum(value for value, _ in terms[len(shown) :]) if shown else 0.0
    shown += [(rest, "others" if len(terms) > len(shown) + 1 else terms[-1][1])] if rest >= SEEN else []
    room = max(8, min(BAR, width - 54))
    return [_bar(name, value, terms[0][0], room) for value, name in shown]


def _bar(name: str, value: float, most: float, room: int) -> str:
    return f"  {'':<12} {name.replace('_', ' '):<22} {show_gib(value):>12}  {dim('█' * max(1, round(room * value / most)))}"


def _here(plan: Plan, width: int) -> list[str]:
    if plan.here.machine is None:
        return []
    words = wrapped(f"THIS MACHINE   {machine_words(plan.here.machine)}", width - 2, "  ")
    lines = [words[0].replace("THIS MACHINE", f"{bold('THIS MACHINE')}  ", 1), *words[1:]]
    mark = good("✓") if plan.here.capable else caution("✗")
    verdict = "Yes, as written." if plan.here.capable else "Not as written."
    reasons = plan.here.reasons[:MAX_REASONS]
    first = " ".join([verdict, *reasons[:1]])
    lines += _marked(mark, first, width)
    for reason in reasons[1:]:
        lines += _marked(" ", reason, width)
    return [*lines, *(_suggested(plan, width) if not plan.here.capable else [])]


def _suggested(plan: Plan, width: int) -> list[str]:
    """What would make it fit, and how to get it."""
    lines = []
    for one in [suggestion for suggestion in plan.suggestions if suggestion.effect][:3]:
        how = "" if one.bound else f" {one.edit}"
        lines += _marked(good("✓"), one.effect + how + (f" {one.changes_results}." if one.changes_results else ""), width)
    return lines


def machine_words(machine: Machine) -> str:
    """RTX 3050 Laptop 4.0 GiB · 12 threads · 16.0 GiB RAM (9.8 free) · on battery 61 %."""
    gpus = [f"{gpu.name} {show_gib(gpu.total_gib)}{' shared' if gpu.unified else ''}" for gpu in machine.gpus] or ["no GPU"]
    parts = [
        *gpus,
        f"{machine.cpus:g} of {machine.threads} threads" if machine.cpus < machine.threads else f"{machine.threads} threads",
    ]
    parts.append(f"{show_gib(machine.ram_gib)} RAM ({machine.ram_available_gib:.1f} free)")
    if machine.container:
        parts.append(machine.container)
    if machine.battery and not machine.battery.plugged:
        parts.append(f"on battery {machine.battery.percent:.0f} %")
    return " · ".join(parts)


def sends_lines(plan: Plan, width: int, *, everything: bool = False) -> list[str]:
    """What would travel: files, the largest, what stays, and what looks like a secret; all of it with `everything`."""
    sends: dict[str, Any] = plan.sends
    chosen = plan.chosen
    if not sends or (chosen is not None and chosen.offer.where == "local"):
        return []
    lines = [f"{bold('WOULD BE SENT')}  {sends['files']:,} files, {show_bytes(sends['bytes'])}"]
    if sends.get("largest"):
        lines += _hanging("largest", ", ".join(f"{path} {show_bytes(size)}" for path, size in sends["largest"][:3]), width)
    if sends.get("left_out"):
        stays = [f"{path} ({rule})" for path, rule in sends["left_out"]]
        lines += _hanging("left out", _some(stays, None if everything else 4, sends.get("left_out_count", 0)), width)
    if sends.get("despite"):
        kept = [f"{path} ({rule})" for path, rule in sends["despite"]]
        count = sends.get("despite_count", 0)
        lines += _hanging("sent anyway", f"{_some(kept, None if everything else 3, count)}: dataset.path names it", width)
    if sends.get("secrets"):
        holds = sends.get("secrets_hold", {})
        named = [f"{path} (holds {holds[path]})" if path in holds else path for path in sends["secrets"]]
        some = _some(named, None if everything else 5, sends.get("secrets_count", 0))
        lines += _hanging("! secret?", some + " look like secrets: add them to .dispatchignore", width)
    if not everything and max(sends.get("left_out_count", 0) - 4, sends.get("secrets_count", 0) - 5) > 0:
        lines += _hanging("", "--all names them all", width)
    return lines


def _some(names: Sequence[str], most: int | None, count: int) -> str:
    """The first names, and how many more there are."""
    shown = names[:most]
    more = max(count, len(names)) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _warnings(plan: Plan, width: int) -> list[str]:
    return [line for warning in plan.warnings for line in _marked(caution("!"), warning, width)]


def _explained(plan: Plan, width: int) -> list[str]:
    where = [f"  {origin}: {names}" for origin, names in _by_origin(plan)]
    return [
        bold("HOW EACH FIGURE COMES ABOUT"),
        *(part for line in plan.explain for part in wrapped(f"  {line}", width, "    ")),
        *([bold("WHERE EACH SETTING COMES FROM")] if where else []),
        *(part for line in where for part in wrapped(line, width, "    ")),
    ]


def _script_read(plan: Plan, width: int) -> list[str]:
    """What was read in a script, with its place: it is all that the plan rests on."""
    if not (plan.job.file or "").endswith(".py"):
        return []
    said = ((origin, names) for origin, names in _by_origin(plan) if origin != DEFAULT and names != "run")
    texts = [f"{names}: {origin.removeprefix('read in ')}" for origin, names in said]
    return [line for index, one in enumerate(texts) for line in _hanging("" if index else "Read", one, width)]


def _by_origin(plan: Plan) -> list[tuple[str, str]]:
    """Where settings come from, and which of them; the defaults last."""
    found: dict[str, list[str]] = {}
    for name, origin in plan.job.origins.items():
        found.setdefault(origin, []).append(name)
    return sorted(((origin, ", ".join(names)) for origin, names in found.items()), key=lambda pair: pair[0] == DEFAULT)


def _next(plan: Plan, width: int, *, everything: bool) -> list[str]:
    steps = list(_steps(plan, shlex.quote(plan.job.file or "JOB.yaml"), everything=everything))
    room = max((len(command) for command, _ in steps), default=0)
    lines = []
    for index, (command, words) in enumerate(steps):
        head = "       " if index else f"{bold('NEXT')}   "
        if room + max(len(text) for _, text in steps) + 10 <= width:
            lines.append(f"{head}{command:<{room}}   {words}")
        else:
            lines += [f"{head}{command}", f"         {words}"]
    return lines


def _steps(plan: Plan, file: str, *, everything: bool) -> Iterator[tuple[str, str]]:
    """Commands to type next, each with what it does."""
    if only_asked(plan):
        yield f"mlrun plan {file}", "where it could run, and what that costs"
        return
    if file.rstrip("'").endswith(".py"):
        yield f"mlrun init {file}", "write it down as a job file, which can be run"
    elif plan.chosen:
        lacks = "asks first" if plan.chosen.offer.usable else plan.chosen.offer.why_unusable
        where = "here" if plan.chosen.offer.where == "local" else f"option {(plan.choice or 0) + 1}, {lacks}"
        again = f" --pick {(plan.choice or 0) + 1}" if plan.by_hand else ""
        yield f"mlrun {file}{again}", f"run {where}"
    changed = plan.with_changes if plan.choice is None else None
    if changed is not None and not file.rstrip("'").endswith(".py"):
        yield f"mlrun {file} --pick {changed + 1}", f"run option {changed + 1}: free, changes settings"
    other = _other(plan)
    if other is not None and not file.rstrip("'").endswith(".py"):
        closed = not plan.candidates[other].offer.usable
        lacks = f", {plan.candidates[other].offer.why_unusable}" if closed else ""
        yield f"mlrun {file} --pick {other + 1}", f"run option {other + 1}{' instead' if plan.chosen else ''}{lacks}"
    if plan.chosen is None and not everything:
        yield f"mlrun plan {file} --all", "every machine, and why not that one"


def _other(plan: Plan) -> int | None:
    """An option that could be taken in place of the choice: the first that surely fits; without a choice, the detailed one."""
    if plan.choice is None:
        return detailed(plan)
    return next((i for i, one in enumerate(plan.candidates) if one.surely and i != plan.choice), None)


def _columns(left: str, right: str, width: int) -> str:
    visible = len(left) - (8 if "\x1b" in left else 0)
    return f"{left}{' ' * max(2, width - visible - len(right))}{dim(right)}"


def _hanging(name: str, text: str, width: int) -> list[str]:
    body = wrapped(text, width - 15)
    return [f"  {name if i == 0 else '':<12} {line}" for i, line in enumerate(body)]


def _marked(mark: str, text: str, width: int) -> list[str]:
    body = wrapped(text, width - 4)
    return [f"  {mark if i == 0 else ' '} {line}" for i, line in enumerate(body)]


def _plain(gib: float) -> str:
    return show_gib(gib).removesuffix(" GiB")
