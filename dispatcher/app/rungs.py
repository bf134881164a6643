"""What is tried after the choice: nothing dearer than was shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from dispatcher.domain.plan import Candidate, Offer, Plan, Tariff

MOST_RUNGS = 40


def rungs(
    plan: Plan,
    alike: Callable[[Offer], Iterable[Offer]],
    tariff: Callable[[str, str | None], Tariff],
    *,
    named: bool = False,
) -> Iterator[Offer]:
    """The choice, its type in other regions, then other types and the other market: each at most as dear as the line shown.

    `alike` tells the same machine type's other offers. A machine that was asked for by its name is no other.
    """
    chosen = plan.chosen
    if chosen is None:
        return
    told: set[tuple[str, str | None, str | None, str]] = set()
    for one in (chosen, *([] if named else _others(plan, chosen))):
        for offer in (one.offer, *_elsewhere(one.offer, chosen, alike, tariff)):
            key = (offer.where, offer.machine, offer.region, offer.market)
            if key not in told and len(told) < MOST_RUNGS:
                told.add(key)
                yield offer


def none_dearer(
    offers: Iterable[Offer], plan: Plan, price_now: Callable[[Offer], float | None], tell: Callable[[str], None]
) -> Iterator[Offer]:
    """Offers whose price still is at or below the line that was shown; what is dearer now is told, and left out.

    Spot machines are asked for with that limit: their provider holds it. A provider that does not tell leaves the plan's price.
    """
    most = (plan.chosen.offer.price_per_hour if plan.chosen else None) or 0.0
    for offer in offers:
        now = price_now(offer) if offer.market == "on-demand" else None
        if now is not None and now > most:
            what = f"{offer.place} in {offer.region} costs ${now:.4f} per hour now"
            tell(f"{what}, more than the ${most:.4f} that was shown: it is not started")
            continue
        yield offer if now is None or now <= (offer.price_per_hour or 0.0) else replace(offer, price_per_hour=now)


def _others(plan: Plan, chosen: Candidate) -> list[Candidate]:
    """Candidates that may take the choice's place, those of its market first, each in the plan's order."""
    if chosen.offer.where == "local":
        return []
    able = [one for one in plan.candidates if one is not chosen and _may_replace(one, chosen)]
    return sorted(able, key=lambda one: one.offer.market != chosen.offer.market)


def _may_replace(one: Candidate, chosen: Candidate) -> bool:
    offer = one.offer
    if not (one.surely and offer.usable) or one.changes != chosen.changes or offer.where == "local":
        return False
    if offer.price_per_hour is None or (chosen.offer.market == "owned") != (offer.market == "owned"):
        return False
    at_worst = one.cost.worst_case if one.cost else 0.0
    return offer.price_per_hour <= (chosen.offer.price_per_hour or 0.0) and at_worst <= _worst(chosen)


def _elsewhere(
    offer: Offer, chosen: Candidate, alike: Callable[[Offer], Iterable[Offer]], tariff: Callable[[str, str | None], Tariff]
) -> list[Offer]:
    """The same type and market in other regions where neither machine, disk nor address costs more."""
    if offer.market == "owned" or offer.where == "local":
        return []
    shown = tariff(chosen.offer.where, chosen.offer.region)

    def fair(one: Offer) -> bool:
        beside = tariff(one.where, one.region)
        dearer = beside.disk_gb_month > shown.disk_gb_month or beside.address_hour > shown.address_hour
        price = one.price_per_hour
        return price is not None and price <= (chosen.offer.price_per_hour or 0.0) and not dearer

    kind = (offer.machine, offer.market)
    same = (replace(one, disk_gb=offer.disk_gb) for one in alike(offer) if (one.machine, one.market) == kind)
    return sorted((one for one in same if one.region != offer.region and fair(one)), key=lambda one: one.price_per_hour or 0.0)


def _worst(one: Candidate) -> float:
    return one.cost.worst_case if one.cost else 0.0
