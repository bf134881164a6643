"""The plan's table of options, and the chosen one phase by phase."""

from __future__ import annotations

from dispatcher.cli.render.console import bold, dim
from dispatcher.cli.render.tables import table, wrapped
from dispatcher.domain.plan import Candidate, Plan, Range
from dispatcher.units import show_clock, show_gib, show_seconds, show_usd

SHOWN, SHOWN_WHEN_HERE = 6, 4
NARROW = 72
"""Below so many columns the price per hour gives way: the price of the job is what counts."""
WIDE = 110
"""Columns from which on a region has room beside its machine."""
HEAD = ("", "YOUR OPTIONS", "per hour", "time (range)", "JOB COST (range)")
SHORT = {"training.batch_size": "batch", "training.gradient_accumulation": "accumulation", "training.precision": ""}
ABSURD = 1e6
"""Figures from here on are told by their power of ten: digits would pretend to be known."""
NAMED = 5
"""Machines named per reason against them."""
UNPRICED = ("owned", "named")
"""Markets without a price: computers of the user, and devices that were only asked about."""
ASKED = "asked for by name"
"""Why an offer that a question named is not to be started."""
LEAST_FETCHING = 10.0
"""Seconds of downloading that are worth a word."""
NAMES = {"provision": "boot", "setup": "packages", "sync": "upload", "run": "train", "fetch": "fetch", "teardown": "delete"}


def option_lines(plan: Plan, width: int, *, everything: bool) -> list[str]:
    """Ranked candidates with price, time range and job cost range; remarks stand below their option where they must."""
    listed = list(enumerate(plan.candidates)) if everything else notable(plan)
    if not listed:
        return [
            bold("YOUR OPTIONS"),
            "  none: nothing offered fits within the limits.",
            *_rejected(plan, width, everything=everything),
        ]
    rows = _rows(listed, width)
    head = list(HEAD)
    if width < NARROW:
        head, rows = [*head[:2], *head[3:]], [[*row[:2], *row[3:]] for row in rows]
    apart = _regions_apart(listed, width)
    unsaid = [
        "spot" if one.offer.market == "spot" and "spot" not in row[1] else ""
        for row, (_, one) in zip(rows, listed, strict=True)
    ]
    remarks = [
        "; ".join(filter(None, (word, _note(plan, *option, apart)))) for word, option in zip(unsaid, listed, strict=True)
    ]
    lines = table(head, rows, width=width, right=(2,) if width >= NARROW else (), shrink=1)
    body = [part for line, remark in zip(lines[1:], remarks, strict=True) for part in _beside(line, remark, width)]
    body += _footnotes(plan, listed, apart, width)
    return [bold(lines[0]), *body, *(_rejected(plan, width, everything=everything))]


def _regions_apart(listed: list[tuple[int, Candidate]], width: int) -> frozenset[str]:
    """Places whose options need their region said each: where there is no room in the line, and it differs."""
    regions: dict[str, set[str | None]] = {}
    for _, candidate in listed:
        regions.setdefault(candidate.offer.where, set()).add(candidate.offer.region)
    return frozenset(where for where, found in regions.items() if width < WIDE and len(found) > 1)


def _footnotes(plan: Plan, listed: list[tuple[int, Candidate]], apart: frozenset[str], width: int) -> list[str]:
    """What holds for all options alike is said once."""
    more = len(plan.candidates) - len(listed)
    same = {one.offer.where: one.offer.region for _, one in listed if one.offer.region and one.offer.where not in apart}
    closed: dict[str, set[str]] = {}
    for offer in (candidate.offer for candidate in plan.candidates):
        if not offer.usable and offer.why_unusable and not only_asked(plan):
            closed.setdefault(offer.why_unusable, set()).add(offer.where)
    notes = [", ".join(f"{where} in {region}" for where, region in same.items())] if same and width < WIDE else []
    notes += [f"{', '.join(sorted(places))}: {why}; priced, never chosen" for why, places in closed.items()]
    notes += [f"{more} more, also between these: --all"] if more > 0 else []
    return [dim(line) for note in notes for line in wrapped(f"     {note}", width, "     ")]


def _beside(line: str, remark: str, width: int) -> list[str]:
    if not remark:
        return [line]
    if len(line) + 2 + len(remark) <= width:
        return [f"{line}  {remark}"]
    return [line, *wrapped(f"     {remark}", width, "     ")]


def only_asked(plan: Plan) -> bool:
    """Whether the plan answers a question about one device or machine, and offers nothing to start."""
    return bool(plan.candidates) and all(c.offer.market == "named" or c.offer.why_unusable == ASKED for c in plan.candidates)


def notable(plan: Plan) -> list[tuple[int, Candidate]]:
    """The options worth a line: here, the choice, the cheapest of each place and market, the fastest."""
    keep: dict[int, Candidate] = {}
    seen: set[tuple[str, str]] = set()
    for index, candidate in enumerate(plan.candidates):
        kind = (candidate.offer.where, candidate.offer.market)
        if candidate.offer.where == "local" or kind not in seen or index == plan.choice:
            keep[index] = candidate
        seen.add(kind)
    timed = [(c.hours.likely, i) for i, c in enumerate(plan.candidates) if c.hours and c.surely]
    if timed:
        keep[min(timed)[1]] = plan.candidates[min(timed)[1]]
    for index, candidate in enumerate(plan.candidates):
        if len(keep) >= (SHOWN_WHEN_HERE if plan.chosen and plan.chosen.offer.where == "local" else SHOWN):
            break
        keep.setdefault(index, candidate)
    return sorted(keep.items())


def detailed(plan: Plan) -> int | None:
    """The option that is shown phase by phase: the choice, or, where nothing may be chosen, the first that surely fits."""
    if plan.choice is not None:
        return plan.choice
    return next((i for i, one in enumerate(plan.candidates) if one.surely and one.offer.where != "local"), None)


def chosen_lines(plan: Plan, width: int) -> list[str]:
    """Phases, the parts of the cost, and the cost at worst, of the chosen option; of the first where none may be chosen."""
    index = detailed(plan)
    candidate = None if index is None else plan.candidates[index]
    if index is None or candidate is None or candidate.offer.where == "local":
        return []
    if candidate.hours is None and (candidate.cost is None or candidate.offer.market == "owned"):
        return []
    if candidate.offer.market == "named":
        return []
    known = {name: show_clock(seconds) for name, seconds in candidate.phases_seconds.items()}
    known |= {} if candidate.hours else {"run": "unknown"}
    if candidate.hours and candidate.fetching_seconds >= LEAST_FETCHING:
        known["run"] += f" ({show_clock(candidate.fetching_seconds)} of it to download weights and data)"
    phases = " · ".join(f"{NAMES.get(name, name)} {time}" for name, time in known.items())
    title = f"OPTION {index + 1}"
    first, *rest = wrapped(f"{title} {phases}", width - 2, "  ")
    lines = [first.replace(title, bold(title) + "  ", 1), *rest]
    if candidate.cost:
        parts = [f"{name} {show_usd(usd)}" for name, usd in candidate.cost.parts.items() if usd > 0]
        stop = f" (hard stop {show_seconds(candidate.hard_stop_seconds)} after launch)" if candidate.hard_stop_seconds else ""
        left_out = f"not included: {', '.join(plan.not_included)}" if plan.not_included else ""
        words = [*parts, left_out, f"at worst {show_usd(candidate.cost.worst_case)}{stop}"]
        lines += wrapped("  " + " · ".join(word for word in words if word), width, "  ")
    return lines


def _rows(listed: list[tuple[int, Candidate]], width: int) -> list[list[str]]:
    """Number, place, price, time and cost; places take the columns that the others leave."""
    figures = [[_price(one), _time(one.hours) if one.hours else _step(one), _money(one)] for _, one in listed]
    shown = range(3) if width >= NARROW else range(1, 3)
    room = width - len("  1  ") - sum(max(len(row[i]) for row in (HEAD[2:], *figures)) + 2 for i in shown)
    return [[f"{i + 1:>3}", _place(one, width, room), *row] for (i, one), row in zip(listed, figures, strict=True)]


def _price(candidate: Candidate) -> str:
    offer = candidate.offer
    if offer.market in UNPRICED:
        return "–"
    return f"${offer.price_per_hour:.2f}" if offer.price_per_hour is not None else "unknown"


def _place(candidate: Candidate, width: int, room: int) -> str:
    offer = candidate.offer
    if offer.where == "local":
        changes = ", ".join(f"{SHORT.get(key, key.rpartition('.')[2])} {value}" for key, value in candidate.changes.items())
        return "here" + (f", {changes}" if changes else "")
    count = f"{offer.count}× " if offer.count > 1 else ""
    if offer.market == "named":
        return f"{count}{offer.device}"
    market = " spot" if offer.market == "spot" else ""
    region = f" {offer.region}" if offer.region and width >= WIDE else ""
    device = f" {count}{offer.device}" if offer.device not in ("cpu", "") else f" {offer.vcpus:g} vCPU"
    whole = f"{offer.place}{device}{region}{market}"  # the device is left out where there is no room
    if "+" in (offer.machine or "") or len(whole) > room:
        whole = f"{offer.place}{region}{market}"
    return whole if len(whole) <= room else offer.place


def _time(hours: Range) -> str:
    """52 min (40–75): one unit for all three."""
    for unit, name in ((8766.0, "years"), (24.0, "d"), (1.0, "h"), (1 / 60, "min"), (1 / 3600, "s")):
        if hours.likely >= 1.5 * unit or name == "s":
            low, likely, high = (_figure(value / unit) for value in (hours.low, hours.likely, hours.high))
            return f"{likely} {name} ({low}–{high})"
    return ""


def _figure(value: float) -> str:
    if value >= ABSURD:
        return f"{value:.1e}"
    return f"{value:.1f}" if value < 9.95 else f"{value:,.0f}"


def _step(candidate: Candidate) -> str:
    step = candidate.step_seconds
    return f"{show_seconds(step.likely)} a step" if step else "unknown"


def _money(candidate: Candidate) -> str:
    cost = candidate.cost
    if candidate.offer.market == "owned":
        return "free"
    if cost is None:
        return "–" if candidate.offer.market == "named" else "unknown"
    span = cost.range
    if span is None:
        return f"at most {show_usd(cost.worst_case)}"
    low, likely, high = (
        f"${value:,.0f}" if 100 <= span.likely < ABSURD else show_usd(value) for value in (span.low, span.likely, span.high)
    )
    return f"{likely} ({low.replace('$', '')}–{high.replace('$', '')})"


def _note(plan: Plan, index: int, candidate: Candidate, apart: frozenset[str]) -> str:
    offer = candidate.offer
    notes = [f"in {offer.region}"] if offer.where in apart and offer.region else []
    if index == plan.choice and not only_asked(plan):
        notes.append("<- chosen")
    if candidate.changes:
        notes.append(f"changes settings: --pick {index + 1}")
    elif not candidate.surely:
        roomy = candidate.memory is not None and candidate.memory.range.high <= candidate.memory_available_gib
        lacking = "cannot run as written" if roomy else "does not fit"
        if not (roomy and candidate.over_budget):
            likely = candidate.memory.range.likely if candidate.memory else 0.0
            probable = candidate.fits or (candidate.over_budget and likely <= candidate.memory_available_gib)
            notes.append("probably fits, not surely" if probable else lacking)
        if only_asked(plan) and candidate.memory and not roomy:
            span, room = candidate.memory.range, show_gib(candidate.memory_available_gib)
            little = "a little less than " if show_gib(span.high) == room else ""
            notes.append(f"needs {show_gib(span.likely)}, at most {show_gib(span.high)}, of {little}{room} that may be used")
    return "; ".join([*notes, *candidate.notes])


def _rejected(plan: Plan, width: int, *, everything: bool) -> list[str]:
    if not plan.rejected or not everything:
        return []
    reasons: dict[str, list[str]] = {}
    for one in dict.fromkeys(plan.rejected):  # a type that is too slow in many regions is too slow once
        reasons.setdefault(one.reason, []).append(f"{one.where} {one.machine or ''}".strip())
    lines = [bold("WHY NOT THE OTHERS")]
    for reason, names in sorted(reasons.items(), key=lambda pair: len(pair[1])):
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        lines += wrapped(f"  {', '.join(names[:NAMED])}{more}: {reason}", width, "      ")
    return lines
