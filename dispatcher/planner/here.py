"""This machine's verdict, with its reasons."""

from __future__ import annotations

from dispatcher.domain.hardware import Machine
from dispatcher.domain.plan import Candidate, Here
from dispatcher.planner.assessment import Assessment
from dispatcher.units import show_seconds, show_usd

LONG_SECONDS = 3600.0
"""A job longer than this is worth a word about battery and heat."""
WORTH_SAYING = 5.0
"""So many times faster elsewhere is worth a sentence."""
TIGHT = 0.15
"""Less headroom than this is worth a word."""

Local = tuple[Assessment, Candidate, tuple[str, ...]]


def here_verdict(machine: Machine | None, local: Local | None, too_much: str | None = None) -> Here:
    """Whether the job runs here as written, and why (not), in sentences."""
    if machine is None or local is None:
        return Here(capable=False, reasons=("This machine was not looked at.",))
    _, one, reasons = local
    if one.surely and too_much:
        return Here(capable=False, reasons=(f"It {too_much}.", *_care(machine, one)), machine=machine)
    if one.surely:
        return Here(capable=True, reasons=(*_time(one), *_care(machine, one)), machine=machine)
    words = tuple(reasons)
    if one.fits:
        words = (*words, "It would probably fit; --where local insists.")
    return Here(capable=False, reasons=(*words, *_care(machine, one)), machine=machine)


def elsewhere(order: list[Candidate], choice: int | None) -> tuple[str, ...]:
    """A long job here that a rented machine would do in a fraction of the time, for little: worth a sentence."""
    here = order[choice] if choice is not None else None
    if here is None or here.offer.where != "local" or here.hours is None or here.hours.likely * 3600 < LONG_SECONDS:
        return ()
    faster = [
        one for one in order if one.surely and one.cost and one.hours and one.hours.likely * WORTH_SAYING < here.hours.likely
    ]
    if not faster:
        return ()
    best = min(faster, key=lambda one: (one.cost.likely if one.cost else None) or 0.0)
    assert best.cost is not None
    assert best.hours is not None
    time, usd = show_seconds(3600 * best.hours.likely), show_usd(best.cost.likely or 0.0)
    return (f"It is free here, but slow: {best.offer.place} would take {time}, for {usd}.",)


def _time(one: Candidate) -> tuple[str, ...]:
    if one.hours is None:
        return ()
    low, likely, high = (show_seconds(3600 * value) for value in (one.hours.low, one.hours.likely, one.hours.high))
    return (f"About {likely} ({low} – {high}).",)


def _care(machine: Machine, one: Candidate) -> tuple[str, ...]:
    """What people who train on laptops want to be told before a long job."""
    seconds = 3600 * one.hours.likely if one.hours else 0.0
    said = []
    if machine.battery and not machine.battery.plugged and seconds > LONG_SECONDS / 4:
        said.append(f"It is on battery ({machine.battery.percent:.0f} %): plug it in.")
    if machine.fanless and seconds > LONG_SECONDS:
        said.append("It has no fan: a long job will slow down as it warms up.")
    if one.surely and one.headroom < TIGHT:
        said.append("It will be tight: close what else uses memory.")
    said += [
        f"GPU {gpu.index} is used by {gpu.other_processes} processes of other users."
        for gpu in machine.gpus
        if gpu.other_processes
    ]
    return tuple(said)
