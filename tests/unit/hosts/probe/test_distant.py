"""What another computer tells of itself, read as this one's is. Answers of tools are constructed, in their shape."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import dispatcher
from dispatcher.errors import HostError
from dispatcher.hosts.base import Exit
from dispatcher.hosts.probe.distant import machine_of, probe_host, users_of

MEMINFO = "MemTotal:       16384000 kB\nMemAvailable:    8192000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
CPUINFO = "".join(
    f"processor\t: {n}\nmodel name\t: A CPU @ 3.00GHz\ncore id\t: {n // 2}\nflags\t: sse2 avx2 fma\n\n" for n in range(8)
)
GPUS = "0, NVIDIA A100-SXM4-80GB, 81920, 80000, 5, 580.95, GPU-a\n1, NVIDIA A100-SXM4-80GB, 81920, 1000, 99, 580.95, GPU-b\n"


def told(**more) -> dict:
    files = {"/proc/meminfo": MEMINFO, "/proc/cpuinfo": CPUINFO} | more.pop("files", {})
    known = {
        "files": files, "tools": {}, "disk_free": 5e10, "affinity": 8, "load": 0.5, "node": "desk", "system": "Linux",
        "arch": "x86_64", "uid": 1000, "ours": {},
    }  # fmt: skip
    return known | more


class Saying:
    name, root = "desk", "/runs"

    def __init__(self, stdout: bytes) -> None:
        self._stdout = stdout

    def run(self, argv, **_) -> Exit:
        return Exit(0, self._stdout)


def test_processor_memory_and_disk_are_read():
    machine = machine_of(told())
    assert ("desk", "A CPU @ 3.00GHz", 4, 8, 8.0) == (
        machine.hostname,
        machine.cpu,
        machine.cores,
        machine.threads,
        machine.cpus,
    )
    assert (15.6, 7.8, 50.0) == (round(machine.ram_gib, 1), round(machine.ram_available_gib, 1), machine.disk_free_gb)
    assert (machine.cpu_gflops > 0, "computed") == (True, machine.cpu_basis)


def test_gpus_are_read_with_what_others_use_of_them():
    tools = {"gpus": GPUS, "capabilities": "0, 8.0\n1, 8.0\n", "users": "GPU-b, 4711\nGPU-b, 4712\nGPU-a, 4713\n"}
    said = told(tools=tools, ours={"4713": "mlrun-abcdefghjk-1"})
    first, second = machine_of(said).gpus
    assert ("NVIDIA A100-SXM4-80GB", 80.0, 8.0, 0) == (
        first.name,
        first.total_gib,
        first.compute_capability,
        first.other_processes,
    )
    assert (2, 0.99, "580.95") == (second.other_processes, second.utilisation, second.driver)
    assert [0, 2] == list(users_of(said))


def test_a_containers_limits_hold():
    files = {
        "/proc/self/cgroup": "0::/box\n",
        "/proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
        "/sys/fs/cgroup/box/memory.max": str(4 << 30),
        "/sys/fs/cgroup/box/memory.current": str(1 << 30),
        "/sys/fs/cgroup/box/cpu.max": "200000 100000",
    }
    machine = machine_of(told(files=files))
    assert (4.0, 3.0, 2.0) == (machine.ram_gib, machine.ram_available_gib, machine.cpus)


def test_a_mac_is_read_by_its_own_words():
    sysctl = "hw.memsize: 17179869184\nmachdep.cpu.brand_string: Apple M1\nhw.physicalcpu: 8\nhw.optional.arm64: 1\n"
    machine = machine_of(
        told(files={"/proc/meminfo": "", "/proc/cpuinfo": ""}, system="Darwin", tools={"sysctl": sysctl}, arch="arm64")
    )
    assert ("Apple M1", 16.0, 8, "Apple") == (machine.cpu, machine.ram_gib, machine.cores, machine.gpus[0].vendor)


def test_no_path_it_tells_is_written_elsewhere(tmp_path):
    target = tmp_path / "owned"
    machine_of(told(files={f"/../../../../../../..{target}": "x"}))
    assert not target.exists()


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b"null", b'{"files": 3}', json.dumps(told(affinity="many")).encode()])
def test_an_answer_that_is_none_is_an_error(answer):
    with pytest.raises(HostError, match="does not tell what it has"):
        probe_host(Saying(answer))


def test_the_program_that_gathers_it_runs_here_and_is_understood(tmp_path):
    program = Path(dispatcher.__file__).parent / "agent" / "look.py"
    done = subprocess.run([sys.executable, "-ES", str(program), str(tmp_path / "not" / "yet")], capture_output=True, check=True)
    machine = machine_of(json.loads(done.stdout))
    assert machine.ram_gib > 0
    assert machine.cpus >= 1
    assert machine.disk_free_gb > 0
