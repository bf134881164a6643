"""AMD GPUs, through amd-smi or rocm-smi where installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from typing import Any

from dispatcher.domain.hardware import Gpu
from dispatcher.hosts.probe.reading import ToolFailed, ask_tool
from dispatcher.units import GIB, MIB

AMD_SMI_STATIC = ("amd-smi", "static", "--asic", "--json")
AMD_SMI_METRIC = ("amd-smi", "metric", "--mem-usage", "--usage", "--json")
ROCM_SMI = ("rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showuse", "--json")
CARVED_OUT_GIB = 2.0
"""Below this, "VRAM" is the slice of RAM that firmware sets aside for integrated graphics."""
UNITS = {"B": 1, "KB": 1024, "MB": MIB, "GB": GIB}
"""amd-smi writes MB and means MiB: its 20464 MB is rocm-smi's 21458059264 B."""


def amd_gpus() -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """AMD GPUs that ROCm sees, and notes."""
    notes: list[str] = []
    for ask in (_by_amd_smi, _by_rocm_smi):
        try:
            found = ask()
        except (ToolFailed, ValueError) as error:
            notes.append(f"AMD's tools: {error}.")
            continue
        if found:
            return discrete(found)
    return (), tuple(notes)


def discrete(gpus: Iterable[Gpu]) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Those worth computing on, and a note for integrated ones."""
    kept, notes = [], []
    for gpu in gpus:
        if gpu.total_gib >= CARVED_OUT_GIB:
            kept.append(gpu)
        else:
            notes.append(f"{gpu.name} is integrated: its memory is RAM, one budget with the CPU's. It is not counted as a GPU.")
    return tuple(kept), tuple(notes)


def parse_rocm_smi(text: str) -> tuple[Gpu, ...]:
    """What `rocm-smi --json` says. Raises ValueError."""
    cards = _json(text)
    found = sorted((key, card) for key, card in cards.items() if key.startswith("card"))
    return tuple(_rocm_gpu(int(key[4:]), card) for key, card in found if _float(card.get("VRAM Total Memory (B)")))


def parse_amd_smi(static: str, metric: str) -> tuple[Gpu, ...]:
    """What `amd-smi static` and `amd-smi metric` say, old form (a list) and new (under gpu_data). Raises ValueError."""
    asics = {row.get("gpu"): row.get("asic") for row in _rows(static)}
    return tuple(_amd_gpu(row, asics.get(row.get("gpu"))) for row in _rows(metric) if isinstance(row.get("mem_usage"), dict))


def _by_amd_smi() -> tuple[Gpu, ...]:
    if not shutil.which("amd-smi"):
        return ()
    return parse_amd_smi(ask_tool(AMD_SMI_STATIC), ask_tool(AMD_SMI_METRIC))


def _by_rocm_smi() -> tuple[Gpu, ...]:
    text = ask_tool(ROCM_SMI)
    return parse_rocm_smi(text) if text.strip() else ()


def _rocm_gpu(index: int, card: dict[str, Any]) -> Gpu:
    total, used = _float(card.get("VRAM Total Memory (B)")), _float(card.get("VRAM Total Used Memory (B)"))
    names = (card.get(key, "") for key in ("Card Series", "Card series", "Device Name", "Card Model", "Card model"))
    return Gpu(
        index=index,
        name=next((name for name in names if name and name != "N/A" and not name.startswith("0x")), "AMD GPU"),
        total_gib=total / GIB,
        free_gib=max(0.0, total - used) / GIB,
        vendor="AMD",
        utilisation=_float(card.get("GPU use (%)")) / 100,
    )


def _amd_gpu(row: dict[str, Any], asic: Any) -> Gpu:
    total, used = (_bytes(row["mem_usage"].get(key)) for key in ("total_vram", "used_vram"))
    usage = row.get("usage")
    busy = usage.get("gfx_activity") if isinstance(usage, dict) else None
    name = asic.get("market_name", "") if isinstance(asic, dict) else ""
    return Gpu(
        index=int(row.get("gpu", 0)),
        name=name if name and name != "N/A" else "AMD GPU",
        total_gib=total / GIB,
        free_gib=max(0.0, total - used) / GIB,
        vendor="AMD",
        utilisation=_float(busy.get("value")) / 100 if isinstance(busy, dict) else 0.0,
    )


def _rows(text: str) -> list[dict[str, Any]]:
    found = json.loads(_after_warnings(text))
    rows = found.get("gpu_data", []) if isinstance(found, dict) else found
    return [row for row in rows if isinstance(row, dict)]


def _json(text: str) -> dict[str, Any]:
    found = json.loads(_after_warnings(text))
    if not isinstance(found, dict):
        raise ValueError("rocm-smi's answer is not an object")
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def _after_warnings(text: str) -> str:
    """Both tools print warnings before the document."""
    starts = [at for at in (text.find("{"), text.find("[{"), text.find("[\n")) if at >= 0]
    return text[min(starts) :] if starts else text


def _bytes(amount: Any) -> float:
    if not isinstance(amount, dict):
        return 0.0
    return _float(amount.get("value")) * UNITS.get(str(amount.get("unit", "MB")), MIB)


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return 0.0
