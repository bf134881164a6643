"""Which kind of container this is, and what it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dispatcher.hosts.probe.cgroup import Limits
from dispatcher.hosts.probe.reading import read_text
from dispatcher.units import GIB, show_gib

MARKS = ((".dockerenv", "Docker"), ("run/.containerenv", "Podman"))
GROUPS = (("kubepods", "Kubernetes"), ("/docker", "Docker"), ("libpod", "Podman"), ("/lxc", "LXC"))


def kind(root: Path, environ: Mapping[str, str]) -> str:
    """Kubernetes, Docker, Podman, LXC, WSL2 …; "" on a computer of its own."""
    if "KUBERNETES_SERVICE_HOST" in environ:
        return "Kubernetes"
    by_file = next((name for mark, name in MARKS if (root / mark).exists()), "")
    groups = read_text(root / "proc/self/cgroup")
    by_group = next((name for mark, name in GROUPS if mark in groups), "")
    by_name = environ.get("container", "")
    wsl = "WSL2" if "microsoft" in read_text(root / "proc/version").lower() else ""
    return by_file or by_group or by_name or wsl


def describe(name: str, limits: Limits, *, ram: float, threads: int) -> str:
    """What to tell: "Docker, held to 2 CPUs and 4.0 GiB"; "" where there is nothing to tell."""
    held = []
    if limits.cpus is not None and limits.cpus < threads:
        held.append(f"{limits.cpus:g} CPU{'s' if limits.cpus != 1 else ''}")
    if limits.memory is not None and limits.memory < ram:
        held.append(show_gib(limits.memory / GIB))
    if not held:
        return name
    return f"{name or 'control group'}, held to {' and '.join(held)}"
