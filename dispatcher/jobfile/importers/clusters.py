"""SkyPilot and dstack: commands, resources and limits of their task files."""

from __future__ import annotations

import re
from typing import Any

from dispatcher.jobfile.importers.fields import Field, positive, text


def _infra(value: Any) -> str | None:
    """infra: aws/us-east-1/us-east-1a; a zone is finer than we choose."""
    parts = str(value).split("/")
    if parts[0] not in ("aws", "gcp"):
        return None
    return "/".join(part for part in parts[:2] if part and part != "*")


def _legal(value: Any) -> str | None:
    name = re.sub(r"[^a-z0-9-]+", "-", str(value).lower()).strip("-")[:39]
    return name or None


def _size(value: Any) -> Any:
    """SkyPilot's plain numbers are GB."""
    return f"{value}GB" if isinstance(value, (int, float)) else value


def _pairs(value: Any) -> dict[str, str] | None:
    """env: [A=1, B] or {A: 1}; a name alone is a secret, read elsewhere."""
    if isinstance(value, dict):
        return {name: str(one) for name, one in value.items() if one is not None}
    pairs = [str(one).partition("=") for one in value] if isinstance(value, list) else []
    return {name: one for name, equals, one in pairs if equals} or None


SKYPILOT = (
    Field("name", "name", _legal),
    Field("workdir", "workdir", text),
    Field("setup", "setup", text),
    Field("run", "run", text),
    Field(
        "envs",
        "env",
        lambda value: _pairs(value),
    ),
    Field("secrets", "secrets", lambda value: list(value) if isinstance(value, (dict, list)) else None),
    Field(
        "envs", "secrets", lambda value: [k for k, v in value.items() if v is None] or None if isinstance(value, dict) else None
    ),
    Field("resources.accelerators", "resources.gpu"),
    Field("resources.cpus", "resources.cpus"),
    Field("resources.memory", "resources.memory", _size),
    Field("resources.disk_size", "resources.disk", _size),
    Field("resources.use_spot", "spot", lambda value: value if isinstance(value, bool) else None),
    Field("resources.infra", "where", _infra),
    Field("resources.cloud", "where", lambda value: str(value).lower() if str(value).lower() in ("aws", "gcp") else None),
    Field("resources.max_hourly_cost", "budget.max_hourly", positive),
)
"""SkyPilot's task file. Multi-node, file mounts and images are refused by name."""


VENDORS = ("nvidia", "amd", "google", "intel", "tenstorrent")


def _commands(value: Any) -> str | None:
    return "\n".join(map(str, value)) if isinstance(value, list) and value else None


def _bare(value: Any) -> list[str] | None:
    return [str(one) for one in value if "=" not in str(one)] or None if isinstance(value, list) else None


def _dstack_gpu(value: Any) -> Any:
    """24GB, A100,H100:80GB..:2, a number of them, or {name, memory, count}: each kind that will do, with the least number."""
    given = value if isinstance(value, dict) else _parts(str(value))
    names = given.get("name") or [""]
    names = names if isinstance(names, list) else str(names).split(",")
    memory, count = _span(given.get("memory"), "GB"), _span(given.get("count"), "").partition("..")[0]
    found = [":".join(part for part in (str(name).strip(), memory, count) if part) for name in names]
    return (found[0] if len(found) == 1 else found) if any(found) else None


def _parts(text: str) -> dict[str, Any]:
    """dstack's one-line form: vendor, names, memory and number in any order, between colons."""
    found: dict[str, Any] = {}
    for part in filter(None, (one.strip() for one in text.split(":"))):
        if part[0].isalpha():
            if part.lower() not in VENDORS:
                found["name"] = part
        else:
            found["memory" if part.upper().rstrip(".").endswith("B") else "count"] = part
    return found


def _span(value: Any, unit: str) -> str:
    """16..24, {min: 16, max: 24} or 16 as 16GB..24GB."""
    ends = [value.get("min"), value.get("max")] if isinstance(value, dict) else str(value or "").split("..")
    low, high = ([*ends, None])[:2]
    sizes = [f"{one}{unit}" if str(one).strip().isdigit() else str(one or "").strip() for one in (low, high)]
    return sizes[0] if len(ends) == 1 or sizes[0] == sizes[1] else "..".join(sizes) if any(sizes) else ""


DSTACK = (
    Field("name", "name", _legal),
    Field("commands", "run", _commands),
    Field("env", "env", _pairs),
    Field("env", "secrets", _bare),
    Field("resources.gpu", "resources.gpu", _dstack_gpu),
    Field("resources.cpu", "resources.cpus"),
    Field("resources.memory", "resources.memory", _size),
    Field("resources.disk", "resources.disk", lambda value: _size(value.get("size") if isinstance(value, dict) else value)),
    Field("spot_policy", "spot", {"spot": True, "on-demand": False, "auto": "auto"}.get),
    Field("max_price", "budget.max_hourly", positive),
    Field("max_duration", "budget.max_time", lambda value: value if value not in ("off", False) else None),
)
"""dstack's task configuration. `nodes`, `image` and services are refused by name."""

REFUSED = {
    "num_nodes": "Several machines at once are not possible: use one machine with more GPUs.",
    "nodes": "Several machines at once are not possible: use one machine with more GPUs.",
    "file_mounts": "File mounts are not possible: put the files below `workdir`, or read s3:// and gs:// in the job.",
    "image": "Container images are not used: say in `setup` what must be installed.",
    "resources.image_id": "Machine images are not chosen: say in `setup` what must be installed.",
    "volumes": "Volumes are not possible: put the files below `workdir`, or read s3:// and gs:// in the job.",
    "service": "Only training jobs run here, not services.",
}
"""What an imported file may ask that cannot be done, and what to do instead."""
