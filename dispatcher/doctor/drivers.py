"""Which NVIDIA driver a CUDA version needs."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache

from dispatcher import paths

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CudaRow:
    """A CUDA version, the oldest driver that runs it at all, and the oldest that has all of it (for PTX, for instance)."""

    cuda: Version
    driver_any: str
    driver_full: str


def version(text: str) -> Version:
    """(12, 8) from "12.8"; () where there are no figures."""
    return tuple(int(part) for part in re.findall(r"\d+", text))


@cache
def cuda_table() -> tuple[CudaRow, ...]:
    """The embedded table, oldest first."""
    with (paths.tables_dir() / "cuda.csv").open(encoding="utf-8", newline="") as lines:
        rows = [CudaRow(version(row["cuda"]), row["driver_any"], row["driver_full"]) for row in csv.DictReader(lines)]
    return tuple(sorted(rows, key=lambda row: row.cuda))


def driver_for(cuda: str) -> CudaRow | None:
    """What a CUDA version needs; a newer minor version than the table's needs what its major version does."""
    wanted = version(cuda)[:2]
    same_major = [row for row in cuda_table() if row.cuda[:1] == wanted[:1]]
    older = [row for row in same_major if row.cuda <= wanted]
    return older[-1] if older else None


def runs(driver: str, cuda: str) -> bool | None:
    """Whether a driver runs a CUDA version; None where one of them is unknown."""
    row = driver_for(cuda)
    if row is None or not version(driver):
        return None
    return version(driver) >= version(row.driver_any)


def newest_for(driver: str) -> str:
    """The newest CUDA version of the table that a driver runs; "" where none."""
    able = [row for row in cuda_table() if version(driver) >= version(row.driver_any)]
    return ".".join(str(part) for part in able[-1].cuda) if able else ""
