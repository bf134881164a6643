"""The whole look at this computer, and what happens when a part of it fails."""

from __future__ import annotations

import os
import platform
import time

import psutil
import pytest

from dispatcher.domain.hardware import Gpu
from dispatcher.hosts.probe import machine, probe
from dispatcher.hosts.probe.memory import Memory
from dispatcher.hosts.probe.reading import ToolFailed, ask_tool, read_number
from dispatcher.hosts.probe.speed import Speed, cached, key, remember
from dispatcher.units import GIB
from tests.unit.hosts.probe.recorded import recorded


def test_this_computer_has_a_processor_memory_and_disk(tmp_path):
    found = probe(workdir=tmp_path)
    assert platform.node() == found.hostname
    assert 1 <= found.cores <= found.threads
    assert 0 < found.cpus <= found.threads
    assert 0 < found.ram_available_gib <= found.ram_gib
    assert found.disk_free_gb > 0


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin processes")
def test_a_pinned_process_has_fewer_cpus():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert probe().cpus <= 1.0
    finally:
        os.sched_setaffinity(0, before)


def test_looking_without_measuring_is_quick():
    probe()
    took = []
    for _ in range(5):
        start = time.perf_counter()
        probe()
        took.append(time.perf_counter() - start)
    assert min(took) < 0.06


def test_looking_does_not_measure_and_measuring_is_remembered(monkeypatch):
    tries = []

    def measure(*_args):
        tries.append(1)
        return Speed(70.0, 20.0, "measured", 1.0)

    monkeypatch.setattr(machine.speed, "measure", measure)
    assert (0.0, "") == (probe().cpu_gflops, probe().cpu_basis)
    assert (70.0, 20.0, "measured") == (lambda m: (m.cpu_gflops, m.cpu_bandwidth_gbs, m.cpu_basis))(probe(measure=True))
    assert 70.0 == probe(measure=True).cpu_gflops
    assert 70.0 == probe().cpu_gflops
    assert [1] == tries


def test_a_computed_speed_is_measured_again_when_asked(monkeypatch):
    here = probe()
    remember(key(here.cpu, here.cpus), Speed(10.0, 5.0, "computed", 1.0))
    monkeypatch.setattr(machine.speed, "measure", lambda *_args: Speed(70.0, 20.0, "measured", 2.0))
    assert 10.0 == probe().cpu_gflops
    assert 70.0 == probe(measure=True).cpu_gflops
    assert cached(key(here.cpu, here.cpus)) == Speed(70.0, 20.0, "measured", 2.0)


@pytest.mark.skipif(platform.system() != "Linux", reason="patches Linux's probes")
@pytest.mark.parametrize(
    ("module", "function", "words"),
    [
        ("cgroup", "limits", "Container limits could not be read"),
        ("memory", "read_memory", "Memory could not be read"),
        ("memory", "disk_free_gb", "Disk could not be read"),
        ("cpu", "linux_cpu", "Processor could not be read"),
        ("amd", "amd_gpus", "AMD could not be read"),
        ("integrated", "graphics", "Graphics could not be read"),
        ("thermal", "read_zones", "Heat could not be read"),
        ("battery", "read_supplies", "Battery could not be read"),
        ("speed", "cached", "Speed could not be read"),
    ],
)
def test_a_probe_that_fails_is_noted_and_fails_nothing_else(monkeypatch, module, function, words):
    def fail(*_args, **_named):
        raise RuntimeError("the driver is on fire")

    monkeypatch.setattr(getattr(machine, module), function, fail)
    found = probe()
    assert f"{words}: the driver is on fire." in found.notes
    assert platform.node() == found.hostname


def test_a_broken_nvidia_library_is_noted(monkeypatch):
    def fail(_environ):
        raise OSError("undefined symbol")

    monkeypatch.setattr(machine.nvidia, "present", lambda: True)
    monkeypatch.setattr(machine.nvidia, "nvidia_gpus", fail)
    assert "NVIDIA could not be read: undefined symbol." in probe().notes


def test_a_gpu_that_shares_the_hosts_memory_has_the_hosts_memory(monkeypatch):
    gpu = Gpu(0, "NVIDIA GB10", 0.0, 0.0, unified=True)
    monkeypatch.setattr(machine, "pinned_gpus", lambda: ((gpu,), ()))
    monkeypatch.setattr(machine.memory, "read_memory", lambda: Memory(128 * GIB, 100 * GIB))
    found = probe()
    assert found.unified
    assert found.gpus[0].total_gib == found.ram_gib
    assert found.gpus[0].free_gib == found.ram_available_gib


def test_a_mac_is_read_through_its_tools(monkeypatch, tmp_path):
    """macOS is not here: its tools are stood in for by scripts that print constructed outputs."""
    answers = {"sysctl": "sysctl-air-m2-raised.txt", "pmset": "pmset-battery.txt"}
    for name, fixture in answers.items():
        script = tmp_path / name
        script.write_text(f"#!/bin/sh\ncat <<'END'\n{recorded(fixture)}\nEND\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine.platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine.cpu, "affinity", lambda: None)
    found = probe()
    assert ("Apple M2", 8, 8.0, "neon") == (found.cpu, found.cores, found.cpus, found.simd)
    assert ("Apple M2", 20.0, True) == (found.gpus[0].name, found.gpus[0].total_gib, found.unified)
    assert found.fanless
    assert (85.0, False) == (found.battery.percent, found.battery.plugged)


def test_a_tool_that_is_not_installed_says_nothing():
    assert "" == ask_tool(("no-such-tool-anywhere",))


def test_a_tool_that_hangs_is_not_waited_for():
    with pytest.raises(ToolFailed, match="did not answer within 0 s"):
        ask_tool(("sleep", "20"), timeout=0.1)


def test_a_tool_that_fails_tells_its_last_line():
    with pytest.raises(ToolFailed, match=r"sh failed \(3\): no driver"):
        ask_tool(("sh", "-c", "echo first >&2; echo no driver >&2; exit 3"))


def test_numbers_that_are_none(tmp_path):
    (tmp_path / "text").write_text("many")
    assert read_number(tmp_path / "text") is None
    assert read_number(tmp_path / "missing") is None


def test_memory_is_asked_of_the_system_where_there_is_no_proc(monkeypatch):
    assert psutil.__version__  # imported before the platform is another
    ours = machine.memory.read_memory()
    monkeypatch.setattr(machine.memory.sys, "platform", "darwin")
    theirs = machine.memory.read_memory()
    assert theirs.total == pytest.approx(ours.total, rel=0.01)
    assert theirs.available == pytest.approx(ours.available, rel=0.2)
