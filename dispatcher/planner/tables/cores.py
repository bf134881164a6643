"""How fast one core is, and how much faster several are."""

from __future__ import annotations

from dispatcher.domain.hardware import Cpu, Device
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.constants import constant
from dispatcher.planner.tables.algorithms import find_algorithm

REFERENCE_GHZ, REFERENCE_YEAR = 3.0, 2023
"""The core that all constants in nanoseconds are about."""
USUAL_YEAR, USUAL_GHZ = 2019, 2.5
"""For processors whose year or clock nobody states."""
PHYSICAL = frozenset({"sklearn"})
"""Libraries that start a thread per core; the others start one per hardware thread."""


def core_speed(cpu: Cpu) -> float:
    """One core's speed at classical work, 1 for the reference core: its clock, and what a clock does by its year.

    Memory does not wait less for a faster clock, and stated clocks are not what a processor keeps under load: the clock counts
    in part.
    """
    clock = cpu.clock_ghz or USUAL_GHZ
    age = (cpu.year or USUAL_YEAR) - REFERENCE_YEAR
    return float((clock / REFERENCE_GHZ) ** constant("clock_share") * constant("yearly_gain") ** max(-15, min(10, age)))


def cores(device: Device) -> float:
    """Physical cores that the job may use."""
    return max(1.0, min(device.usable_cores, float(device.cpu.cores or device.usable_cores)))


def parallel(work: TableWorkload) -> bool:
    """Whether one fit uses several cores."""
    found = find_algorithm(work.algorithm)
    return work.library != "sklearn" or bool(found and found.scales and work.bins)


def threads(work: TableWorkload, device: Device) -> float:
    """Threads of one fit: those asked for, or what the library starts; fits at a time share the cores."""
    if work.threads:
        return float(work.threads)
    own = cores(device)
    if work.library not in PHYSICAL and device.cpu.cores:
        own *= max(1.0, device.cpu.threads / device.cpu.cores)
    return max(1.0, own / work.parallel_fits)


def speedup(work: TableWorkload, device: Device, exponent: float = 1.0) -> float:
    """How much faster `threads` are than one: little from another socket or a second thread on a core."""
    asked, own = threads(work, device), cores(device)
    socket = own / max(1, device.cpu.sockets)
    near, far = min(asked, socket), max(0.0, min(asked, own) - socket)
    doubled = max(0.0, min(asked, 2 * own) - own) / own
    return float((near + constant("second_socket") * far) ** exponent * (1.0 + constant("second_thread") * doubled))
