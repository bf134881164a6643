"""Constructed computers for the doctor's tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dispatcher.domain.hardware import Gpu, Machine
from dispatcher.hosts.python_env import PythonEnv

LAPTOP = Machine(
    hostname="laptop",
    system="Linux",
    arch="x86_64",
    cpu="Core i5-8250U",
    cores=4,
    threads=8,
    cpus=8.0,
    ram_gib=16.0,
    ram_available_gib=10.0,
    swap_gib=2.0,
    swap_free_gib=2.0,
    disk_free_gb=100.0,
    cpu_gflops=180.0,
    cpu_bandwidth_gbs=22.0,
    cpu_basis="measured",
)
RTX = Gpu(0, "NVIDIA GeForce RTX 3050", 4.0, 3.5, compute_capability=8.6, driver="550.54.14", cuda="12.4")
RADEON = Gpu(0, "Radeon RX 7900 XT", 20.0, 19.0, vendor="AMD")
M1 = Gpu(0, "Apple M1", 10.7, 8.0, vendor="Apple", unified=True)
ENV = PythonEnv(Path("/project/.venv/bin/python"), "venv", Path("/project/.venv/bin"), "3.12.4")


def laptop(*gpus: Gpu, **changes: Any) -> Machine:
    return replace(LAPTOP, gpus=gpus, **changes)
