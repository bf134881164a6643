"""Gathers what a computer tells of itself, unread, as JSON.

python3 look.py FOLDER. It stands alone; whoever asked makes sense of it.
"""

from __future__ import annotations

import glob
import json
import os
import platform
import subprocess
import sys
from typing import Dict, List

FILES = (
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/version",
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    "/.dockerenv",
    "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq",
    "/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list",
)
LIMITS = (
    *("memory.max", "memory.high", "memory.current", "memory.stat", "memory.swap.max", "cpu.max"),
    *("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.memsw.limit_in_bytes"),
    *("cpu.cfs_quota_us", "cpu.cfs_period_us"),
)
LARGEST = 1 << 20
TOOL_SECONDS = 8.0
GPU = "index,name,memory.total,memory.free,utilization.gpu,driver_version,uuid"
TOOLS = {
    "gpus": ["nvidia-smi", "--query-gpu=" + GPU, "--format=csv,noheader,nounits"],
    "capabilities": ["nvidia-smi", "--query-gpu=index,compute_cap", "--format=csv,noheader"],
    "users": ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"],
    "rocm": ["rocm-smi", "--showproductname", "--showmeminfo", "vram", "--showuse", "--json"],
    "sysctl": ["/usr/sbin/sysctl", "-a"] if sys.platform == "darwin" else [],
}


def main(argv: List[str]) -> int:
    """Print all of it."""
    place = os.path.expanduser(argv[1])
    while not os.path.isdir(place):
        place = os.path.dirname(place) or "/"
    disk = os.statvfs(place)
    told = {
        "files": _files(),
        "tools": _tools(),
        "disk_free": disk.f_bavail * disk.f_frsize,
        "affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load": os.getloadavg()[0],
        "node": platform.node(),
        "system": platform.system(),
        "arch": platform.machine(),
        "uid": os.getuid(),
        "ours": _ours(),
    }
    print(json.dumps(told))
    return 0


def _files() -> Dict[str, str]:
    found = {}
    paths = [os.path.join(place, name) for place in _groups() for name in LIMITS]
    for pattern in FILES:
        paths += glob.glob(pattern)
    for path in paths:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found[path] = file.read(LARGEST)
        except OSError:
            continue
    return found


def _groups() -> List[str]:
    """Folders of control groups that may hold limits: this process's and their parents, under every mount."""
    found = []
    try:
        with open("/proc/self/cgroup") as file:
            paths = {line.strip().split(":", 2)[2] for line in file if line.count(":") >= 2}
        with open("/proc/self/mountinfo") as file:
            mounts = [line.split()[4] for line in file if " - cgroup" in line]
    except (OSError, IndexError):
        return []
    for mount in mounts:
        for path in paths:
            while True:
                found.append(os.path.normpath(mount + "/" + path))
                if path in ("", "/"):
                    break
                path = os.path.dirname(path)
    return sorted(set(found))


def _tools() -> Dict[str, str]:
    """Answers of tools that are there; one after another, and none is waited for long."""
    answers = {}
    for name, argv in TOOLS.items():
        try:
            done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=TOOL_SECONDS, check=False)
        except (OSError, subprocess.SubprocessError, IndexError):
            continue
        if done.returncode == 0:
            answers[name] = done.stdout.decode("utf-8", "replace")
    return answers


def _ours() -> Dict[str, str]:
    """Of each process that a run of ours has: its label."""
    found = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else []:
        try:
            with open("/proc/%s/environ" % name, "rb") as file:
                for word in file.read().split(b"\0"):
                    if word.startswith(b"DISPATCHER_LABEL="):
                        found[name] = word.partition(b"=")[2].decode("ascii", "replace")
        except (OSError, ValueError):
            continue
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv))
