"""What the lab's AWS sells, where and for how much. The prices are its own."""

from __future__ import annotations

import copy
import gzip
import json
from functools import cache
from importlib.resources import files
from typing import Any

PLACES = {  # region: (its name in the price list, its price level)
    "us-east-1": ("US East (N. Virginia)", 1.0),
    "us-east-2": ("US East (Ohio)", 1.0),
    "us-west-1": ("US West (N. California)", 1.18),
    "us-west-2": ("US West (Oregon)", 1.0),
    "ca-central-1": ("Canada (Central)", 1.1),
    "sa-east-1": ("South America (Sao Paulo)", 1.5),
    "eu-west-1": ("EU (Ireland)", 1.1),
    "eu-west-2": ("EU (London)", 1.15),
    "eu-west-3": ("EU (Paris)", 1.16),
    "eu-central-1": ("EU (Frankfurt)", 1.2),
    "eu-north-1": ("EU (Stockholm)", 1.05),
    "ap-south-1": ("Asia Pacific (Mumbai)", 1.06),
    "ap-northeast-1": ("Asia Pacific (Tokyo)", 1.3),
    "ap-northeast-2": ("Asia Pacific (Seoul)", 1.25),
    "ap-southeast-1": ("Asia Pacific (Singapore)", 1.26),
    "ap-southeast-2": ("Asia Pacific (Sydney)", 1.27),
}
REGIONS = tuple(PLACES)

USD_PER_VCPU, USD_PER_GIB, USD_PER_GIB_BURST = 0.034, 0.0034, 0.0105
USD_PER_GPU = {"T4": 0.35, "T4g": 0.25, "A10G": 0.8, "L4": 0.6, "V100": 2.8, "A100": 3.2, "H100": 7.0}
USD_PER_GPU_GIB = 0.04
SPOT_SHARE = 0.35
USD_PER_GB_MONTH = {"gp3": 0.08, "gp2": 0.1, "io1": 0.125, "io2": 0.125, "st1": 0.045, "sc1": 0.015, "standard": 0.05}
USD_PER_ADDRESS_HOUR = 0.005
HOURS_PER_MONTH = 730

SHOWN = {  # what nvidia-smi calls it, and the memory it shows
    "T4": ("Tesla T4", 15360),
    "T4g": ("NVIDIA T4G", 15360),
    "A10G": ("NVIDIA A10G", 23028),
    "L4": ("NVIDIA L4", 23034),
    "V100": ("Tesla V100-SXM2-16GB", 16384),
    "A100": ("NVIDIA A100-SXM4-40GB", 40960),
}
DRIVER = "580.95.05"

QUOTAS = {  # code: (name, first letters of the families, market, how many vCPUs a new lab allows)
    "L-1216C47A": ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", "acdhimrtz", "on-demand", 256),
    "L-34B43A08": ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", "acdhimrtz", "spot", 256),
    "L-DB2E81BA": ("Running On-Demand G and VT instances", "gv", "on-demand", 64),
    "L-3819A6DF": ("All G and VT Spot Instance Requests", "gv", "spot", 64),
    "L-417A185B": ("Running On-Demand P instances", "p", "on-demand", 96),
    "L-7212CCBC": ("All P4, P3 and P2 Spot Instance Requests", "p", "spot", 96),
}


@cache
def types() -> dict[str, dict[str, Any]]:
    """Every type that the lab sells, as DescribeInstanceTypes tells it."""
    real = json.loads(gzip.decompress((files("moto.ec2") / "resources/instance_types.json.gz").read_bytes()))
    sold = {name: _told(facts) for name, facts in real.items() if "metal" not in name}
    for name, vcpus, gib, count in (("p3.2xlarge", 8, 61, 1), ("p3.8xlarge", 32, 244, 4), ("p3.16xlarge", 64, 488, 8)):
        sold.setdefault(name, _volta(sold["p4d.24xlarge"], name, vcpus, gib, count))
    return sold


TOLD = (
    *("InstanceType", "CurrentGeneration", "FreeTierEligible", "BareMetal", "Hypervisor", "BurstablePerformanceSupported"),
    *("SupportedUsageClasses", "SupportedRootDeviceTypes", "SupportedVirtualizationTypes", "ProcessorInfo", "VCpuInfo"),
    *("MemoryInfo", "InstanceStorageSupported", "InstanceStorageInfo", "NetworkInfo", "GpuInfo", "EbsInfo"),
)


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    """Without what newer models than ours put into it."""
    told = {name: facts[name] for name in TOLD if name in facts}
    told["ProcessorInfo"] = {name: value for name, value in facts["ProcessorInfo"].items() if name != "SupportedFeatures"}
    told["NetworkInfo"] = {"NetworkPerformance": facts["NetworkInfo"]["NetworkPerformance"]}
    told["EbsInfo"] = {"EbsOptimizedSupport": facts["EbsInfo"]["EbsOptimizedSupport"]}
    return told


def _volta(like: dict[str, Any], name: str, vcpus: int, gib: int, count: int) -> dict[str, Any]:
    made = copy.deepcopy(like)
    made.update(InstanceType=name, Hypervisor="xen", InstanceStorageSupported=False, MemoryInfo={"SizeInMiB": gib * 1024})
    made.pop("InstanceStorageInfo", None)
    made["VCpuInfo"] = {"DefaultVCpus": vcpus, "DefaultCores": vcpus // 2, "DefaultThreadsPerCore": 2}
    gpu = {"Name": "V100", "Manufacturer": "NVIDIA", "Count": count, "MemoryInfo": {"SizeInMiB": 16384}}
    made["GpuInfo"] = {"Gpus": [gpu], "TotalGpuMemoryInMiB": 16384 * count}
    return made


def vcpus(kind: str) -> int:
    return int(types()[kind]["VCpuInfo"]["DefaultVCpus"])


def architecture(kind: str) -> str:
    return str(types()[kind]["ProcessorInfo"]["SupportedArchitectures"][-1])


def gpus(kind: str) -> tuple[dict[str, Any], ...]:
    """As the host's nvidia-smi shows them."""
    shown = []
    for gpu in types()[kind].get("GpuInfo", {}).get("Gpus", []):
        name, memory = SHOWN.get(gpu["Name"], (gpu["Name"], gpu["MemoryInfo"]["SizeInMiB"]))
        shown += [{"name": name, "memory_mib": memory, "driver": DRIVER}] * int(gpu["Count"])
    return tuple(shown)


@cache
def zones(region: str) -> tuple[str, ...]:
    return tuple(sorted({zone for places in offerings(region).values() for zone in places}))


@cache
def offerings(region: str) -> dict[str, tuple[str, ...]]:
    """The zones of a region in which each type is sold."""
    kept = files("moto.ec2") / f"resources/instance_type_offerings/availability-zone/{region}.json.gz"
    found: dict[str, list[str]] = {}
    for row in json.loads(gzip.decompress(kept.read_bytes())):
        if row["InstanceType"] in types():
            found.setdefault(row["InstanceType"], []).append(row["Location"])
    for name in ("p3.2xlarge", "p3.8xlarge", "p3.16xlarge"):
        found.setdefault(name, sorted(found["t3.micro"])[:2])
    return {kind: tuple(sorted(places)) for kind, places in found.items()}


def usd_per_hour(kind: str, region: str) -> float:
    facts = types()[kind]
    gib = facts["MemoryInfo"]["SizeInMiB"] / 1024
    price = USD_PER_GIB_BURST * gib if kind.startswith("t") else USD_PER_VCPU * vcpus(kind) + USD_PER_GIB * gib
    for gpu in facts.get("GpuInfo", {}).get("Gpus", []):
        each = USD_PER_GPU.get(gpu["Name"], USD_PER_GPU_GIB * gpu["MemoryInfo"]["SizeInMiB"] / 1024)
        price += each * int(gpu["Count"])
    return float(round(price * PLACES[region][1] * (0.85 if architecture(kind) == "arm64" else 1.0), 4))


def quota_code(kind: str, market: str) -> str:
    """Which limit counts its vCPUs; types of rare families count as standard ones."""
    of_market = {code: letters for code, (_, letters, of, _n) in QUOTAS.items() if of == market}
    return next((code for code, letters in of_market.items() if kind[0] in letters), next(iter(of_market)))
