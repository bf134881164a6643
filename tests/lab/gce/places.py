"""Zones, machine types, accelerators and their prices: a small world of the lab's own."""

from __future__ import annotations

from dataclasses import dataclass

ZONES = {
    "us-central1": ("a", "b", "c", "f"),
    "us-east1": ("b", "c", "d"),
    "us-west1": ("a", "b"),
    "europe-west4": ("a", "b", "c"),
}
PROJECT, NUMBER = "lab-project", "112233445566"
SPOT = 0.4
"""Of the price on demand."""
DISK_GB_MONTH = 0.1
ADDRESS_HOUR = 0.005
LOCAL_SSD_GB_MONTH = 0.08
HOURS_A_MONTH = 730.0


@dataclass(frozen=True)
class Accelerator:
    """What can be attached, or comes with a machine. `metric` is the quota that counts it, `label` what its driver says."""

    name: str
    label: str
    memory_mib: int
    usd: float
    metric: str
    most: int
    regions: tuple[str, ...]


@dataclass(frozen=True)
class MachineType:
    """A kind of machine. `attachable` accelerators are chosen apart; `bundled` come with it."""

    name: str
    cpus: int
    memory_mb: int
    core_usd: float
    gib_usd: float
    metric: str
    bundled: str = ""
    count: int = 0
    attachable: tuple[str, ...] = ()
    ssd_gb: int = 0
    arm: bool = False
    regions: tuple[str, ...] = tuple(ZONES)

    @property
    def family(self) -> str:
        return self.name.partition("-")[0]

    def usd(self, accelerators: int = 0, each: float = 0.0) -> float:
        ssd = self.ssd_gb * LOCAL_SSD_GB_MONTH / HOURS_A_MONTH
        return self.cpus * self.core_usd + self.memory_mb / 1024 * self.gib_usd + accelerators * each + ssd


ALL, TWO = ("us-central1", "us-east1", "us-west1", "europe-west4"), ("us-central1", "europe-west4")
ACCELERATORS = {
    one.name: one
    for one in (
        Accelerator("nvidia-tesla-t4", "Tesla T4", 15360, 0.35, "NVIDIA_T4_GPUS", 4, ALL),
        Accelerator("nvidia-tesla-v100", "Tesla V100-SXM2-16GB", 16384, 2.48, "NVIDIA_V100_GPUS", 8, TWO),
        Accelerator("nvidia-l4", "NVIDIA L4", 23034, 0.56, "NVIDIA_L4_GPUS", 8, ALL),
        Accelerator("nvidia-tesla-a100", "NVIDIA A100-SXM4-40GB", 40960, 2.93, "NVIDIA_A100_GPUS", 16, TWO),
        Accelerator("nvidia-a100-80gb", "NVIDIA A100-SXM4-80GB", 81920, 3.93, "NVIDIA_A100_80GB_GPUS", 8, ("us-central1",)),
        Accelerator("nvidia-h100-80gb", "NVIDIA H100 80GB HBM3", 81559, 9.8, "NVIDIA_H100_GPUS", 8, ("us-central1",)),
    )
}  # fmt: skip
_N1 = {"core_usd": 0.031611, "gib_usd": 0.004237, "metric": "CPUS", "attachable": ("nvidia-tesla-t4", "nvidia-tesla-v100")}
_E2 = {"core_usd": 0.021811, "gib_usd": 0.002923, "metric": "CPUS"}
_N2 = {"core_usd": 0.031611, "gib_usd": 0.004237, "metric": "N2_CPUS"}
_G2 = {
    "core_usd": 0.024988,
    "gib_usd": 0.002927,
    "metric": "CPUS",
    "bundled": "nvidia-l4",
    "regions": ("us-central1", "us-east1", "europe-west4"),
}
_A2 = {"core_usd": 0.031611, "gib_usd": 0.004237, "metric": "A2_CPUS", "regions": ("us-central1", "europe-west4")}
_A3 = {"core_usd": 0.029, "gib_usd": 0.0025, "metric": "CPUS", "bundled": "nvidia-h100-80gb", "regions": ("us-central1",)}
_C4A = {"core_usd": 0.03086, "gib_usd": 0.00351, "metric": "CPUS", "arm": True, "regions": ("us-central1", "europe-west4")}
TYPES: dict[str, MachineType] = {
    one.name: one
    for one in (
        *(MachineType(f"n1-standard-{n}", n, n * 3840, **_N1) for n in (1, 2, 4, 8, 16, 32)),
        *(MachineType(f"e2-standard-{n}", n, n * 4096, **_E2) for n in (2, 4, 8, 16)),
        MachineType("e2-small", 2, 2048, 0.00545, 0.002923, "CPUS"),
        *(MachineType(f"n2-standard-{n}", n, n * 4096, **_N2) for n in (2, 4, 8, 16)),
        *(MachineType(f"g2-standard-{n}", n, n * 4096, count=c, **_G2) for n, c in ((4, 1), (8, 1), (12, 1), (24, 2), (48, 4))),
        MachineType("a2-highgpu-1g", 12, 87040, bundled="nvidia-tesla-a100", count=1, **_A2),
        MachineType("a2-highgpu-2g", 24, 174080, bundled="nvidia-tesla-a100", count=2, **_A2),
        MachineType("a2-ultragpu-1g", 12, 174080, bundled="nvidia-a100-80gb", count=1, ssd_gb=375, **_A2),
        MachineType("a3-highgpu-8g", 208, 1916928, count=8, ssd_gb=6000, **_A3),
        *(MachineType(f"c4a-standard-{n}", n, n * 4096, **_C4A) for n in (4, 8)),
    )
}  # fmt: skip
QUOTAS = {
    "CPUS": 500.0,
    "N2_CPUS": 500.0,
    "A2_CPUS": 96.0,
    "IN_USE_ADDRESSES": 50.0,
    "DISKS_TOTAL_GB": 100_000.0,
    "INSTANCES": 100.0,
}
"""What a region lets one have, beside the accelerators: 16 of each, preemptible or not."""
GLOBAL_QUOTAS = {"GPUS_ALL_REGIONS": 16.0, "CPUS_ALL_REGIONS": 1000.0}


def zones() -> list[str]:
    return [f"{region}-{letter}" for region, letters in ZONES.items() for letter in letters]


def region_of(zone: str) -> str:
    return zone.rpartition("-")[0]


def sold_in(thing: MachineType | Accelerator, zone: str) -> bool:
    """Accelerators are in the first two zones of their regions only."""
    region, _, letter = zone.rpartition("-")
    scarce = isinstance(thing, Accelerator) or bool(thing.bundled)
    return region in thing.regions and (not scarce or letter in ZONES[region][:2])


def regional_quotas() -> dict[str, float]:
    cards = {metric: 16.0 for one in ACCELERATORS.values() for metric in (one.metric, f"PREEMPTIBLE_{one.metric}")}
    return {**QUOTAS, **cards}
