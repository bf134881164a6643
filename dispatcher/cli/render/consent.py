"""What is said before money is spent."""

from __future__ import annotations

from dispatcher.cli.render.console import bold, caution
from dispatcher.cli.render.options import chosen_lines
from dispatcher.cli.render.plan import plan_lines, sends_lines
from dispatcher.cli.render.tables import wrapped
from dispatcher.domain.plan import Candidate, Plan
from dispatcher.moments import show_time
from dispatcher.overnight.keeping import Place
from dispatcher.units import show_seconds, show_usd

HANGS = {
    "aws": "If this AWS host itself hangs, nothing ends it before you do: mlrun setup aws --reaper",
    "gcp": "Compute Engine itself deletes it at its end, even if the host hangs.",
}
WAITS = ("", "gcp")
"""Where machines cannot end themselves when their job is over: what watches them, and the cloud."""
WATCHED = {
    "reaper": "If this AWS host itself hangs, the reaper in your account ends it within a quarter of an hour of that.",
    "schedule": "If this AWS host itself hangs, a schedule of its own ends it minutes after that, once that is armed.",
}
"""By what is outside the machine, in the account."""


def consent_lines(
    plan: Plan, width: int, *, detached: bool, outputs: bool, watched: str = "", kept: Place | None = None
) -> list[str]:
    """The plan, the choice phase by phase, what is sent, and how it ends.

    `watched` is what the account has against hangs; in `kept` its results are kept, too.
    """
    chosen = plan.chosen
    assert chosen is not None
    lines = [*plan_lines(plan, width=width, starting=True), *chosen_lines(plan, width), *sends_lines(plan, width)]
    said = [*_ends(chosen, watched=watched), *_results(chosen, kept)]
    said += _left_alone(chosen) if detached and outputs and not kept else []
    return [*lines, *(part for words in said for part in wrapped(f"  {caution('!')} {words}", width, "    "))]


def question(plan: Plan, now: float) -> str:
    """The one thing that is asked: the place, its price, the likely cost, the most it can be, and when it is over."""
    chosen = plan.chosen
    assert chosen is not None
    offer = chosen.offer
    if offer.market == "owned":
        return f"Run it on {offer.place}?"
    market = " spot" if offer.market == "spot" else ""
    parts = [f"{bold(f'{offer.place}{market}')} in {offer.region}"]
    parts += [] if offer.price_per_hour is None else [f"{show_usd(offer.price_per_hour)} per hour"]
    if chosen.cost:
        likely = chosen.cost.likely
        parts += [f"likely {show_usd(likely)}" if likely is not None else "its time unknown"]
        parts += [f"at worst {show_usd(chosen.cost.worst_case)}"]
    stop = chosen.hard_stop_seconds
    parts += [f"hard stop {show_time(now + stop, now)}"] if stop else []
    return f"Rent {', '.join(parts)}?"


def _ends(chosen: Candidate, *, watched: str) -> list[str]:
    if chosen.offer.market == "owned" or not chosen.hard_stop_seconds:
        return []
    life = chosen.hard_stop_seconds + chosen.grace_seconds
    first = f"It ends by itself {show_seconds(life)} after launch at the latest, whatever happens to this computer."
    said = [first, *filter(None, [WATCHED.get(watched) or HANGS.get(chosen.offer.where)])]
    if (watched, chosen.offer.where) == WAITS:
        until = "If no mlrun of yours is there when its job is over, it waits for one until then"
        said.append(f"{until}{_waiting(chosen)}: mlrun setup gcp lets it delete itself.")
    return said


def _waiting(chosen: Candidate) -> str:
    """What a machine costs that waits from its job's likely end to its own."""
    hourly = chosen.offer.price_per_hour
    if hourly is None:
        return ""
    beside = chosen.cost.beside_per_hour if chosen.cost else 0.0
    life = ((chosen.hard_stop_seconds or 0.0) + chosen.grace_seconds) / 3600
    idle = max(0.0, life - (chosen.hours.likely if chosen.hours else 0.0))
    return f", which costs up to {show_usd(idle * (hourly + beside))}"


def _results(chosen: Candidate, kept: Place | None) -> list[str]:
    if kept is None:
        return []
    may = f"as {kept.role}, which can only write below the machine's own name there"
    may = f"as your own role {kept.role}" if kept.role == kept.role_id else may
    wait = show_seconds(chosen.grace_seconds)
    return [
        f"Log, outputs and checkpoints are also kept in {kept.url}, by its machine {may}. Storage there is not included.",
        f"Its machine waits {wait} after the job's end; what is fetched later (mlrun fetch) comes from there.",
    ]


def _left_alone(chosen: Candidate) -> list[str]:
    kept = show_seconds(chosen.grace_seconds)
    return [f"Outputs wait on the machine for {kept} after the job's end: come back in time (mlrun attach), or they are lost."]
