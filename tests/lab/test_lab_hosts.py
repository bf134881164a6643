"""The lab's hosts are real, and its assertions can fail."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab import cgroups, kernel, net
from tests.lab.fixtures import as_new, skip_where_impossible
from tests.lab.hosts import RealHosts
from tests.lab.image import LabError
from tests.lab.lab import Lab
from tests.lab.seams import HostSpec, Rule
from tests.lab.visiting import Login, eventually, knock, metadata

ADDRESSES = ("ip", "-4", "-brief", "address")


@pytest.fixture
def login(tmp_path: Path) -> Login:
    return Login(tmp_path)


@pytest.fixture
def boot(lab: Lab, login: Login) -> Callable[..., str]:
    """Boots a host that lets us in, and tells its address."""

    def start(name: str = "i-1", ended: Callable[[str, str], None] = lambda *_: None, **more: Any) -> str:
        address = lab.hosts.boot(HostSpec(name, "ec2", metadata(login.public), **more), ended)
        lab.hosts.allow(name, [Rule(22, 22, f"{lab.hosts.slot.gateway}/32")])
        return address

    return start


def test_a_host_boots_real_systemd_runs_its_user_data_and_is_gone_when_destroyed(
    lab: Lab, boot: Callable[..., str], login: Login
) -> None:
    t4 = {"name": "Tesla T4", "memory_mib": 15360, "driver": "580.95.05"}
    address = boot(gpus=(t4,))
    assert "done" in login(address, "cloud-init", "status", "--wait")
    assert login(address, "cat", "/var/lib/user-data-ran") == "here\n"
    assert login(address, "systemctl", "is-system-running", "--wait") == "running\n"
    assert login(address, "cat", "/sys/class/net/*/operstate").split() == ["up", "unknown"]
    assert float(login(address, "cat", "/proc/uptime").split()[0]) < 60
    smi = ["nvidia-smi", "--query-gpu=name,memory.total,utilization.gpu", "--format=csv,noheader,nounits"]
    assert login(address, *smi) == "Tesla T4, 15360, 0\n"
    assert login(address, "nvidia-smi", "--query-gpu=index,compute_cap", "--format=csv,noheader") == "0, 7.5\n"
    assert login(address, "nvidia-smi", "--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader") == ""
    metadata_server = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/latest/user-data"]
    assert login(address, *metadata_server) == "401"
    assert login(address, *metadata_server, "-H", "X-aws-ec2-metadata-token:token") == "200"
    console = lab.hosts.console("i-1")
    assert b"user-data ran on the console" in console
    assert b"-----BEGIN SSH HOST KEY KEYS-----" in console
    tree = net.processes(lab.hosts.slot)
    assert len(tree) > 5

    lab.hosts.destroy("i-1")
    assert {pid: command for pid, command in tree.items() if Path(f"/proc/{pid}").exists()} == {}
    assert lab.hosts.remains() == []
    assert knock(address) == "nothing"
    lab.hosts.destroy("i-1")
    assert lab.hosts.console("i-1") == b""


def test_the_metadata_server_is_nobodys_but_the_hosts(lab: Lab, boot: Callable[..., str]) -> None:
    boot(boot_delay=60)
    inside = kernel.inside(kernel.namespaces(f"{lab.hosts.slot.name}-")[0], lambda: kernel.call(*ADDRESSES))
    assert net.IMDS in inside
    assert net.IMDS not in kernel.call(*ADDRESSES)
    lab.hosts.destroy("i-1")


def test_a_reboot_keeps_the_disk_and_a_shutdown_is_told_and_can_be_undone(
    lab: Lab, boot: Callable[..., str], login: Login
) -> None:
    told: list[tuple[str, str]] = []
    address = boot(ended=lambda *words: told.append(words))
    before = login(address, "echo kept > keep; cat /proc/sys/kernel/random/boot_id /etc/machine-id").split()
    first = lab.hosts.pid("i-1")
    login.try_once(address, "sudo", "reboot")
    assert eventually(lambda: not Path(f"/proc/{first}").exists())
    assert login(address, "cat", "keep") == "kept\n"
    assert told == []
    login.try_once(address, "sudo", "shutdown", "-h", "now")
    assert eventually(lambda: told)
    assert told == [("i-1", "poweroff")]
    assert not lab.hosts.alive("i-1")
    assert knock(address) == "nothing"
    lab.hosts.power_on("i-1")
    assert login(address, "cat", "keep", "/etc/machine-id").split() == ["kept", before[1]]
    lab.hosts.power_off("i-1")
    assert not net.processes(lab.hosts.slot)
    assert told == [("i-1", "poweroff")]
    lab.hosts.destroy("i-1")


def test_only_what_the_firewall_lets_in_enters(lab: Lab, boot: Callable[..., str], login: Login) -> None:
    address = boot()
    login(address, "true")
    subprocess.run([*lab.hosts.entry("i-1"), "systemd-run", "--quiet", "nc", "-lk", "8000"], check=True)
    assert knock(address, 8000) == "nothing"
    lab.hosts.allow("i-1", [Rule(8000, 8010, lab.network)])
    assert eventually(lambda: knock(address, 8000) == "open")
    assert knock(address, 8001) == "refused"
    assert knock(address) == "nothing"
    lab.hosts.allow("i-1", [Rule(22, 22, "203.0.113.7/32")])
    assert [knock(address, 8000), knock(address)] == ["nothing", "nothing"]
    lab.hosts.destroy("i-1")


def test_the_wire_delays_limits_cuts_and_heals_and_connections_live_through_it(
    lab: Lab, boot: Callable[..., str], login: Login
) -> None:
    address = boot()
    login(address, "true")
    with socket.create_connection((address, 22), 5) as standing:
        standing.settimeout(5)
        assert standing.recv(100).startswith(b"SSH-2.0")
        lab.hosts.set_wire("i-1", delay_ms=50)
        took = min(_connecting(address) for _ in range(3))
        assert 0.1 <= took < 0.16
        lab.hosts.set_wire("i-1", mbit=20)
        assert 12 < _mbit(login, address) < 21
        lab.hosts.set_wire("i-1", cut=True)
        assert knock(address) == "nothing"
        lab.hosts.set_wire("i-1")
        assert not [name for name in kernel.links(lab.hosts.slot.link) if name.endswith(("w", "a", "b"))]
        standing.sendall(b"SSH-2.0-test\r\n")
        assert standing.recv(100)
    lab.hosts.destroy("i-1")


def _connecting(address: str) -> float:
    began = time.monotonic()
    socket.create_connection((address, 22), 5).close()
    return time.monotonic() - began


def _mbit(login: Login, address: str, size: int = 4_000_000) -> float:
    """By ssh, less what an empty command takes."""
    began = time.monotonic()
    login(address, "true")
    empty = time.monotonic() - began
    login(address, f"head -c {size} /dev/zero | tr '\\0' x")
    return size * 8 / 1e6 / (time.monotonic() - began - 2 * empty)


def test_hosts_that_fail_as_asked_never_boot_have_no_ssh_or_show_another_key(
    lab: Lab, boot: Callable[..., str], login: Login
) -> None:
    dead = boot("i-dead", fault="never-boots")
    mute = boot("i-mute", fault="no-ssh")
    other = boot("i-other", fault="other-host-key")
    login(other, "cloud-init", "status", "--wait")
    scan = ["ssh-keyscan", "-T", "5", "-t", "ed25519", other]
    shown = subprocess.run(scan, capture_output=True, text=True, check=True).stdout.split()[2]
    assert b"ssh-ed25519 " in lab.hosts.console("i-other")
    assert shown.encode() not in lab.hosts.console("i-other")
    assert eventually(lambda: b"SSH HOST KEY KEYS" in lab.hosts.console("i-mute"))
    assert knock(mute) == "refused"
    assert lab.hosts.alive("i-dead")
    assert lab.hosts.console("i-dead") == b""
    assert knock(dead) == "nothing"
    for name in lab.hosts.ids():
        lab.hosts.destroy(name)


def test_a_host_can_be_as_old_as_a_test_needs(lab: Lab, boot: Callable[..., str], login: Login) -> None:
    lab.hosts.age = 7000
    assert 7000 <= float(login(boot(), "cat", "/proc/uptime").split()[0]) < 7060
    lab.hosts.destroy("i-1")


def test_a_host_that_is_just_starting_is_destroyed_whole(lab: Lab, boot: Callable[..., str]) -> None:
    for moment in range(10):
        boot()
        time.sleep(moment * 0.003)
        lab.hosts.destroy("i-1")
        assert not net.processes(lab.hosts.slot)


def test_a_power_failure_is_told_and_leaves_no_process(lab: Lab, boot: Callable[..., str], login: Login) -> None:
    told: list[tuple[str, str]] = []
    login(boot(ended=lambda *words: told.append(words)), "true")
    lab.hosts.crash("i-1")
    assert eventually(lambda: told)
    assert told == [("i-1", "poweroff")]
    assert not net.processes(lab.hosts.slot)
    lab.hosts.destroy("i-1")


def test_a_leaked_process_tree_namespace_link_mount_cgroup_or_disk_is_seen(
    lab: Lab, boot: Callable[..., str], login: Login
) -> None:
    slot = lab.hosts.slot
    kernel.call("ip", "netns", "add", f"{slot.name}-h900")
    kernel.call("ip", "link", "add", f"{slot.link}-h900", "type", "bridge")
    (slot.disks / "h900").mkdir()
    cgroups.entering(f"{slot.name}-h900")
    kernel.call("mount", "-t", "tmpfs", "planted", slot.disks / "h900")
    marked = kernel.clean_environment(MLRUN_LAB=f"{slot.name}-h901")
    inside = ["nsenter", f"--net={kernel.NAMESPACES / f'{slot.name}-h900'}", "sleep", "600"]
    with subprocess.Popen(["sleep", "600"], env=marked) as one, subprocess.Popen(inside) as other:
        assert eventually(lambda: len(net.processes(slot)) == 2)
        found = lab.hosts.remains()
        assert {line.split()[0] for line in found} == {"process", "namespace", "link", "mount", "cgroup", "disk"}
        assert {f"process {one.pid}: sleep 600", f"process {other.pid}: sleep 600"} <= set(found)
        assert set(found) <= set(lab.left())
        kernel.kill_all(lambda: net.processes(slot))
    kernel.call("umount", slot.disks / "h900")
    (slot.disks / "h900").rmdir()
    cgroups.remove(f"{slot.name}-h900")
    kernel.call("ip", "link", "delete", f"{slot.link}-h900")
    kernel.call("ip", "netns", "delete", f"{slot.name}-h900")
    assert lab.hosts.remains() == []


def test_a_tree_orphaned_by_its_manager_is_seen_and_taken(lab: Lab, boot: Callable[..., str], login: Login) -> None:
    login(boot(), "true")
    init = lab.hosts.pid("i-1")
    host = lab.hosts._hosts["i-1"]
    assert host.process
    host.wanted = "off"
    host.process.kill()
    host.process.wait()
    assert Path(f"/proc/{init}").exists()
    assert any(line.startswith(f"process {init}:") for line in lab.hosts.remains())
    lab.hosts.destroy("i-1")
    assert eventually(lambda: not Path(f"/proc/{init}").exists())


def test_hosts_side_by_side_do_not_touch_each_others_services(lab: Lab, boot: Callable[..., str], login: Login) -> None:
    one, other = boot("i-1"), boot("i-2")
    login(one, "true")
    serving = login(other, "systemctl", "show", "--value", "--property=MainPID", "ssh")
    login(other, "systemd-run", "--user", "--quiet", "--unit=job", "sleep", "600")
    login(one, "sudo", "systemctl", "stop", "user@1000.service", "ssh.service", "dbus.service")
    assert eventually(lambda: knock(one) == "refused")
    assert login(other, "systemctl", "--user", "is-active", "job") == "active\n"
    assert login(other, "systemctl", "show", "--value", "--property=MainPID", "ssh") == serving
    began = time.monotonic()
    lab.hosts.power_off("i-1")
    assert time.monotonic() - began < 15
    for name in lab.hosts.ids():
        lab.hosts.destroy(name)


def test_what_is_billed_is_left_until_it_is_not(lab: Lab) -> None:
    lab.ledger.begin("aws", "volume", "vol-planted", 0.01, {})
    assert lab.left() == ["billed aws volume vol-planted"]
    assert lab.settle(0) == ["billed aws volume vol-planted"]
    lab.ledger.end("aws", "volume", "vol-planted")
    assert lab.left() == []


def test_the_fixture_fails_a_test_that_leaves_something_and_the_next_begins_as_new(lab: Lab, boot: Callable[..., str]) -> None:
    with pytest.raises(AssertionError, match=r"left over: .*billed aws instance i-planted"), as_new(lab, seconds=0):
        lab.ledger.begin("aws", "instance", "i-planted", 1.0, {})
    with pytest.raises(AssertionError, match=r"left over: .*process .*namespace .*mount .*disk "), as_new(lab, seconds=0):
        eventually(lambda: net.processes(lab.hosts.slot), seconds=15 if boot() else 0)
    assert lab.left() == []
    with as_new(lab, seconds=0):
        pass


def test_a_host_that_fails_by_the_labs_own_fault_is_a_wrong(lab: Lab, boot: Callable[..., str]) -> None:
    lab.hosts.guarded(lambda: 1 / 0)
    assert lab.left() == ["a host failed: ZeroDivisionError('division by zero')"]
    lab.reset()
    with pytest.raises(LabError, match="never-boots"):
        boot(fault="nonsense")
    assert lab.left() == []


def test_another_lab_on_this_machine_is_apart_and_a_dead_ones_leftovers_are_swept(
    lab: Lab, login: Login, tmp_path: Path
) -> None:
    code = """
import os, signal
from tests.lab.hosts import RealHosts
from tests.lab.seams import HostSpec, Reply
hosts = RealHosts()
hosts.boot(HostSpec("i-1", "ec2", lambda *_: Reply(404)), print)
while not hosts._hosts["i-1"].process: pass
print(hosts.slot.number, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    ran = subprocess.run(["python", "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    number = int(ran.stdout)
    assert number != lab.hosts.slot.number
    assert lab.left() == []
    dead = net._try(number)
    assert dead is not None
    assert {line.split()[0] for line in net.remains(dead)} >= {"process", "namespace", "mount", "link", "disk"}
    dead.release()
    other = RealHosts()
    try:
        assert other.slot.number != lab.hosts.slot.number
        assert net.remains(dead) == []
        assert kernel.links(dead.link) == ([other.net.bridge] if other.slot.number == number else [])
    finally:
        other.close()


class Item:
    """As much of a test as the rule for skipping looks at."""

    def __init__(self, *fixtures: str) -> None:
        self.fixturenames, self.marks = fixtures, []

    def get_closest_marker(self, name: str) -> None:
        return None

    def add_marker(self, mark: Any) -> None:
        self.marks.append(mark)


def test_without_root_tests_of_the_lab_are_skipped_loudly_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    concerned, other = Item("whole_lab"), Item("tmp_path")
    skip_where_impossible([concerned, other], required=False)  # type: ignore[list-item]
    assert [mark.kwargs["reason"] for mark in concerned.marks] == ["THE LAB IS MISSING: the lab's hosts need root"]
    assert other.marks == []
    with pytest.raises(pytest.UsageError, match="1 tests need the lab"):
        skip_where_impossible([concerned, other], required=True)  # type: ignore[list-item]
    skip_where_impossible([other], required=True)  # type: ignore[list-item]
