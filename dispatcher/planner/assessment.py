"""What a job needs and takes on one device."""

from __future__ import annotations

from dataclasses import dataclass, field

from dispatcher.domain.hardware import Device
from dispatcher.domain.plan import Amount, Range


@dataclass(frozen=True, slots=True)
class Assessment:
    """A job on one device: memory in GiB (per accelerator, and of the host), disk in GB, times in seconds.

    `run` is the job's own time from its start to its end, None where the settings do not say how long it goes on; `step` one
    optimizer step. `forbidden` names what cannot work on this device, as the framework would say it; `warnings` what will
    work, but not well. `explain` has a line per term. `learned` are the factors that runs here put on seconds and memory.
    `fetched_gb` is what the job downloads itself: weights that others trained, and data that are not in its folder.
    """

    device: Device
    gpu: Amount | None
    ram: Amount
    disk: Amount
    run: Range | None = None
    step: Range | None = None
    rate: Range | None = None
    basis: str = "formula"
    flops_total: float | None = None
    flops_per_step: float | None = None
    parameters: float | None = None
    trainable: float | None = None
    checkpoint_gb: float = 0.0
    fetched_gb: float = 0.0
    forbidden: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    explain: tuple[str, ...] = ()
    learned: dict[str, float] = field(default_factory=dict)
