"""From offers, machines and names to devices that formulas take."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from dispatcher import catalog
from dispatcher.domain.hardware import Accelerator, Cpu, Device, Gpu, InstanceType, Machine
from dispatcher.domain.plan import GpuRequest, Offer
from dispatcher.errors import UsageError
from dispatcher.planner.matching import same_name

KINDS = {"NVIDIA": "cuda", "AMD": "rocm", "Apple": "mps", "Google": "tpu", "Intel": "xpu"}
"""The framework's device type for each maker; accelerators of others need a framework of their own."""
PRODUCTS_SHARE = 0.8
"""What a large fp32 matrix product reaches of a processor's peak: the usual efficiency of OpenBLAS and MKL, recalled."""
BUSY_SHARE = 0.5
MOST_DEVICES = 100_000
HOST_CORES_PER_GPU = 8.0
"""Cores of the host of a device that was asked for by name alone: what clouds put beside one GPU."""
HOST_RAM_PER_GPU_GIB = 64.0
"""RAM of such a host."""


def named(text: str) -> Device:
    """The device in "A100-80GB:8", "M1-Max" or "Core-i7-12700H". Raises UsageError with what is near."""
    name, count = _counted(text)
    spec = catalog.find_accelerator(name)
    if spec:
        return accelerated(spec, count, catalog.generic_cpu(HOST_CORES_PER_GPU * count), HOST_RAM_PER_GPU_GIB * count)
    cpu = catalog.find_cpu(name)
    if cpu:
        return Device("cpu", cpu, float(cpu.cores), HOST_RAM_PER_GPU_GIB)
    near = ", ".join(catalog.similar_accelerators(name)[:3])
    raise UsageError(f"{name!r} is no device the catalog knows.", fix=f"Near: {near}." if near else "mlrun catalog show")


def _counted(text: str) -> tuple[str, int]:
    """The name in "A100-80GB:8", and how many. Raises UsageError for what has not this form."""
    name, colon, number = (part.strip() for part in text.partition(":"))
    written = number.isascii() and number.isdigit()
    if not name or (colon and not (written and 0 < int(number[:9]) <= MOST_DEVICES)):
        raise UsageError(f"--device {text!r}: write a name, or a name and how many.", fix="--device A100-80GB:8")
    return name, int(number) if colon else 1


def doubtful(requests: Iterable[GpuRequest]) -> Iterator[str]:
    """A sentence for each GPU asked for that nobody knows, or nobody rents out so."""
    for name, count in dict.fromkeys((one.name, one.count) for one in requests if one.name):
        known = [one.name for one in catalog.accelerators() if same_name(name, one.name)]
        near = ", ".join(() if known else catalog.similar_accelerators(name)[:3])
        instead = f"Near: {near}." if near else "mlrun catalog show names them."
        kinds = [kind for kind in catalog.instances() if kind.accelerator and same_name(name, kind.accelerator)]
        counts = sorted({int(kind.accelerator_count) for kind in kinds if kind.accelerator_count >= 1})
        if not known:
            yield f"resources.gpu: {name!r} is no GPU that the catalog knows. {instead}"
        elif not kinds:
            yield f"resources.gpu: {name} is known, and no machine type of AWS or GCP in the catalog has one."
        elif count not in counts:
            yield f"resources.gpu: no machine type has {count} × {name}, but {', '.join(map(str, counts))}."


def accelerated(spec: Accelerator, count: int, cpu: Cpu, ram_gib: float) -> Device:
    """`count` accelerators in one host."""
    return Device(KINDS.get(spec.vendor, "other"), cpu, float(cpu.cores), ram_gib, spec, count, spec.memory_gib)


def rented(kind: InstanceType) -> Device:
    """A machine type of a cloud."""
    cpu = catalog.host_cpu(kind)
    spec = catalog.find_accelerator(kind.accelerator) if kind.accelerator else None
    if spec is None:
        return Device("cpu", cpu, float(kind.cores), kind.ram_gib)
    return accelerated(spec, max(1, int(kind.accelerator_count)), cpu, kind.ram_gib)


def here(machine: Machine) -> Device:
    """This computer: its best GPU, else its CPU with what was measured of it."""
    cpu = own_cpu(machine)
    gpu = max(machine.gpus, key=lambda g: g.free_gib, default=None)
    spec = spec_of(gpu) if gpu else None
    if gpu is None or spec is None:
        return Device("cpu", cpu, machine.cpus, machine.ram_gib)
    return Device(KINDS.get(spec.vendor, "other"), cpu, machine.cpus, machine.ram_gib, spec, 1, gpu.total_gib)


def only_cpu(device: Device) -> Device:
    """The same computer without its accelerators."""
    return Device("cpu", device.cpu, device.usable_cores, device.ram_gib)


@lru_cache(maxsize=64)
def spec_of(gpu: Gpu) -> Accelerator | None:
    """What the catalog knows of a GPU that a driver reported."""
    return catalog.find_accelerator(gpu.name.partition(" MIG ")[0], None if " MIG " in gpu.name else gpu.total_gib)


def own_cpu(machine: Machine) -> Cpu:
    """This computer's processor: the catalog's, with measured rates in place of computed ones.

    Formulas take a peak and apply what work reaches of it, so a measured rate of products becomes the peak it is a share of.
    A trial on a busy computer shows too little: it counts only above half of what the processor is known to do.
    """
    known = catalog.find_cpu(machine.cpu) or catalog.generic_cpu(machine.cores)
    share = min(1.0, machine.cpus / max(1, machine.threads))
    computed = known.gflops * min(1.0, machine.cpus / max(1, known.threads))
    measured = machine.cpu_gflops / PRODUCTS_SHARE if machine.cpu_basis == "measured" else 0.0
    return Cpu(
        name=machine.cpu or known.name,
        vendor=known.vendor,
        arch=known.arch,
        segment=known.segment,
        cores=max(1, round(machine.cores * share)) if machine.cores else known.cores,
        threads=max(1, round(machine.cpus)),
        gflops=max(measured, BUSY_SHARE * computed) if measured else machine.cpu_gflops or computed,
        bandwidth_gbs=machine.cpu_bandwidth_gbs or known.bandwidth_gbs,
        clock_ghz=known.clock_ghz,
        year=known.year,
        source="measured here" if machine.cpu_basis == "measured" else known.source,
    )


def this_offer(machine: Machine) -> Offer:
    """This computer as an offer: free, owned, with what is free on it now."""
    gpu = max(machine.gpus, key=lambda g: g.free_gib, default=None)
    return Offer(
        where="local",
        machine=None,
        device=gpu.name if gpu else "cpu",
        count=1 if gpu else 0,
        device_memory_gib=gpu.total_gib if gpu else 0.0,
        device_memory_free_gib=gpu.free_gib if gpu else None,
        vcpus=machine.cpus,
        cores=machine.cores,
        ram_gib=machine.ram_gib,
        ram_available_gib=machine.ram_available_gib,
        disk_gb=machine.disk_free_gb or None,
        arch=machine.arch,
    )
