"""Jobs on tables and the machines they are asked on."""

from __future__ import annotations

from typing import Any

from dispatcher import catalog
from dispatcher.domain.hardware import Cpu, Device
from dispatcher.domain.job import JobConfig
from dispatcher.domain.workload import TableWorkload
from dispatcher.planner.devices import rented
from dispatcher.planner.workload.tabular import build

SERVER = Cpu("server", "", "x86_64", "server", 16, 32, 2000.0, 100.0, 3.0, 1, 2023)
CPU = Device("cpu", SERVER, 16.0, 128.0)


def job(
    library: str | None = "sklearn", algorithm: str | None = "random-forest", rows: float = 1e5, columns: int = 20, **more: Any
) -> JobConfig:
    """A job on a table; `more` are settings of model, dataset, or the whole job."""
    model = {"family": "tabular", "library": library, "algorithm": algorithm} | more.pop("model", {})
    data = {"rows": int(rows), "columns": columns, "dtype": "float32"} | more.pop("dataset", {})
    return JobConfig.model_validate({"run": "python fit.py", "model": model, "dataset": data, **more})


def work(*args: Any, device: Device = CPU, **more: Any) -> TableWorkload:
    """The same as work on a device."""
    return build(job(*args, **more), device)


def machine(name: str) -> Device:
    """A machine type of AWS."""
    found = catalog.find_instance("aws", name)
    assert found is not None
    return rented(found)
