"""What computers are made of, and what this one has."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Accelerator:
    """One GPU (or TPU, or integrated graphics) as its maker states it.

    Memory in GiB (nameplate), bandwidth in GB/s (1e9), peaks in TFLOP/s, dense. A figure that nobody states is 0.0, and
    `known()` says so: nothing is computed from an unknown peak. `tier` is datacenter, desktop, laptop, workstation,
    integrated, apple or tpu.
    """

    name: str
    vendor: str
    arch: str
    tier: str
    memory_gib: float
    bandwidth_gbs: float
    fp32_tflops: float
    tf32_tflops: float = 0.0
    fp16_tflops: float = 0.0
    bf16_tflops: float = 0.0
    fp8_tflops: float = 0.0
    int8_tops: float = 0.0
    compute_capability: float = 0.0
    interconnect: str = ""
    interconnect_gbs: float = 0.0
    tdp_w: float = 0.0
    year: int = 0
    unified: bool = False
    aliases: tuple[str, ...] = ()
    source: str = ""
    as_of: str = ""
    confidence: str = "seen"


@dataclass(frozen=True, slots=True)
class Cpu:
    """One processor package. `gflops` is its computed fp32 peak over all cores, bandwidth in GB/s, clocks in GHz."""

    name: str
    vendor: str
    arch: str
    segment: str
    cores: int
    threads: int
    gflops: float
    bandwidth_gbs: float
    clock_ghz: float = 0.0
    sockets: int = 1
    year: int = 0
    source: str = ""
    as_of: str = ""
    confidence: str = "derived"


@dataclass(frozen=True, slots=True)
class InstanceType:
    """A machine type that a cloud rents. RAM in GiB, disk in GB (1e9), network in Gbit/s."""

    provider: str
    name: str
    family: str
    vcpus: int
    cores: int
    ram_gib: float
    accelerator: str = ""
    accelerator_count: float = 0
    local_ssd_gb: float = 0.0
    network_gbps: float = 0.0
    cpu_arch: str = "x86_64"
    cpu_vendor: str = ""
    clock_ghz: float = 0.0
    source: str = ""
    as_of: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of this computer, as its driver reports it now. Memory in GiB."""

    index: int
    name: str
    total_gib: float
    free_gib: float
    vendor: str = "NVIDIA"
    compute_capability: float = 0.0
    driver: str = ""
    cuda: str = ""
    other_processes: int = 0
    unified: bool = False
    utilisation: float = 0.0
    throttled: str = ""


@dataclass(frozen=True, slots=True)
class Battery:
    """The battery's charge, 0–100, and whether mains power is connected."""

    percent: float
    plugged: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """A computer as it stands now. Sizes in GiB (disk in GB), rates in GFLOP/s and GB/s.

    `cpus` is what may be used (affinity, cgroup quota), `threads` what is built in. `ram_available_gib` is free memory within
    the container's limit. `cpu_basis` tells how the rates are known: measured or computed. `notes` tells what could not be
    probed, in words.
    """

    hostname: str
    system: str
    arch: str
    cpu: str
    cores: int
    threads: int
    cpus: float
    ram_gib: float
    ram_available_gib: float
    swap_gib: float = 0.0
    swap_free_gib: float = 0.0
    disk_free_gb: float = 0.0
    cpu_gflops: float = 0.0
    cpu_bandwidth_gbs: float = 0.0
    cpu_basis: str = ""
    simd: str = ""
    gpus: tuple[Gpu, ...] = ()
    unified: bool = False
    battery: Battery | None = None
    fanless: bool = False
    container: str = ""
    notes: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Device:
    """What the planner computes on: `count` equal accelerators in one host, or the host's CPU alone.

    `kind` is cuda, rocm, mps, tpu or cpu. `memory_gib` is what one accelerator offers a job (0 for cpu), `usable_cores` and
    `ram_gib` what the host does. On unified memory both budgets are one: `accelerator.unified`.
    """

    kind: str
    cpu: Cpu
    usable_cores: float
    ram_gib: float
    accelerator: Accelerator | None = None
    count: int = 1
    memory_gib: float = 0.0

    @property
    def name(self) -> str:
        """The accelerator's name, or "cpu"."""
        return self.accelerator.name if self.accelerator else "cpu"
