"""How fast a device multiplies, moves and talks."""

from __future__ import annotations

from dispatcher.domain.hardware import Accelerator, Device
from dispatcher.errors import UnknownError
from dispatcher.planner.constants import constant

TILE = 128
"""Side of the output tile that one multiprocessor works on."""
FALLBACKS = {
    "fp8_tflops": "bf16_tflops",
    "bf16_tflops": "fp16_tflops",
    "fp16_tflops": "fp32_tflops",
    "tf32_tflops": "fp32_tflops",
}
"""Where a device has no figure for a precision, it computes in the next one."""
NODE = 8
"""Accelerators that share one host, at most."""


def peak_flops(device: Device, figure: str) -> float:
    """FLOP/s that the device states for a precision, dense. Raises UnknownError where no such figure is known."""
    part = device.accelerator
    if part is None:
        return device.cpu.gflops * 1e9 * min(1.0, device.usable_cores / max(1, device.cpu.cores))
    asked = figure
    while not getattr(part, figure) and figure in FALLBACKS:
        figure = FALLBACKS[figure]
    if not getattr(part, figure):
        raise UnknownError(
            f"Nobody states how fast {part.name} computes in {asked.partition('_')[0]}: no time can be given.",
            fix="Ask for another precision, or for a device whose speed is known.",
        )
    return float(getattr(part, figure)) * 1e12


def product_flops(device: Device, figure: str) -> float:
    """FLOP/s that large matrix products reach: a share of the peak, no more than the part's power allows."""
    peak = peak_flops(device, figure)
    part = device.accelerator
    if part is None:
        return peak * constant("cpu_share") * (constant("cpu_fp16_share") if figure == "fp16_tflops" else 1.0)
    if device.kind in ("mps", "rocm"):
        return peak * constant(f"{device.kind}_share")
    return min(peak * constant("products_share") * fed(part), _powered(part, peak))


def fed(part: Accelerator) -> float:
    """The share of its time in which a multiprocessor's tensor cores have operands to multiply.

    The more they do per clock the harder they are to feed, since what feeds them has not grown as fast.
    """
    if not part.fp32_tflops:
        return 1.0
    tensor = per_clock(part) * max(1.0, max(part.fp16_tflops, part.bf16_tflops) / part.fp32_tflops)
    return 1.0 / (1.0 + tensor / constant("feeding"))


def attention_path(device: Device) -> float:
    """The share of a part's tensor cores that attention kernels reach whose instructions are Ampere's.

    Data-centre parts since Hopper multiply at full speed only through instructions of their own.
    """
    part = device.accelerator
    older = part is None or part.vendor != "NVIDIA" or not 9.0 <= part.compute_capability < 12.0
    return 1.0 if older else constant("attention_path")


def per_clock(part: Accelerator) -> float:
    """fp32 FLOP per clock of a multiprocessor: 128 from Volta to the A100, 256 before and since (NVIDIA's white papers)."""
    return 128.0 if 7.0 <= part.compute_capability <= 8.0 else 256.0


def multiprocessors(part: Accelerator) -> float:
    """About how many multiprocessors a part has, from its fp32 peak at a usual clock."""
    return part.fp32_tflops * 1e12 / (per_clock(part) * constant("boost_clock"))


def _powered(part: Accelerator, peak: float) -> float:
    """FLOP/s that the part's power feeds. The energy is that of 16-bit tensor FLOPs; slower formats cost in proportion."""
    if not part.tdp_w or not part.year or part.fp16_tflops < 2 * part.fp32_tflops:
        return peak
    picojoules: float = constant("energy_2020") * 0.5 ** ((part.year - 2020) / constant("energy_halving"))
    half = max(part.fp16_tflops, part.bf16_tflops) * 1e12
    return part.tdp_w / picojoules * 1e12 * peak / half


def filling(device: Device, rows: float, width: float) -> float:
    """The share of a device that a product of `rows` × `width` outputs keeps busy.

    Half of the multiprocessors idle in the last wave of tiles; smaller tiles and a split inner side win half of that back.
    """
    if device.accelerator is None or not rows or not width:
        return 1.0
    tiles = max(1.0, rows / TILE) * max(1.0, width / TILE)
    return tiles / (tiles + multiprocessors(device.accelerator) / 4)


def bandwidth(device: Device) -> float:
    """Bytes per second that element-wise work reaches."""
    stated = device.accelerator.bandwidth_gbs if device.accelerator else device.cpu.bandwidth_gbs
    return stated * 1e9 * constant("bandwidth_share")


def link(device: Device) -> float:
    """Bytes per second of one accelerator's collective communication, one way."""
    part = device.accelerator
    assert part is not None
    stated = part.interconnect_gbs or 32.0
    one_way = stated / 2 if "NVLink" in part.interconnect and "bridge" not in part.interconnect else stated
    if device.count > NODE:
        one_way = min(one_way, constant("node_link") * 2.0 ** ((part.year - 2020) / 2))
    return one_way * 1e9 * constant("link_share")
