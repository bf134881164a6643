"""This machine's verdict, with its reasons."""

from __future__ import annotations

from dispatcher.domain.hardware import Machine
from dispatcher.domain.plan import Candidate, Here
from dispatcher.planner.assessment import Assessment
from dispatcher.units import show_seconds

LONG_SECONDS = 3600.0
"""A job longer than this is worth a word about battery and heat."""
TIGHT = 0.15
"""Less headroom than this is worth a word."""

Local = tuple[Assessment, Candidate, tuple[str, ...]]


def here_verdict(machine: Machine | None, local: Local | None) -> Here:
    """Whether the job runs here as written, and why (not), in sentences."""
    if machine is None or local is None:
        return Here(capable=False, reasons=("This machine was not looked at.",))
    _, one, reasons = local
    if one.surely:
        return Here(capable=True, reasons=(*_time(one), *_care(machine, one)), machine=machine)
    words = tuple(reasons)
    if one.fits:
        words = (*words, "It would probably fit; --where local insists.")
    return Here(capable=False, reasons=(*words, *_care(machine, one)), machine=machine)


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
