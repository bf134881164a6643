"""One bridge per lab, a network namespace per host, and a slot that keeps labs on one machine apart."""

from __future__ import annotations

import fcntl
import ipaddress
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.lab import cgroups, kernel
from tests.lab.image import LabError
from tests.lab.seams import Rule

RANGE = ipaddress.ip_network("198.18.0.0/15")
SLOTS = 128
RUN = Path("/run/mlrun-lab")
DISKS = Path("/var/tmp/mlrun-lab")
IMDS = "169.254.169.254"
SYSCTLS = {
    "fs/inotify/max_user_instances": 8192,
    "fs/inotify/max_user_watches": 524288,
    "kernel/keys/maxkeys": 5000,
    "kernel/keys/maxbytes": 500000,
}


class Slot:
    """A number that one living lab holds by a lock; all its names carry it, so that leftovers of the dead are known."""

    def __init__(self, number: int, lock: IO[str]) -> None:
        self.number, self._lock = number, lock
        self.name = f"mlrunlab{number:03d}"
        self.link = f"mll{number:03d}"
        self.mark = f"MLRUN_LAB={self.name}-"
        self.disks = DISKS / self.name
        start = int(RANGE.network_address) + number * (RANGE.num_addresses // SLOTS)
        self.network = ipaddress.ip_network((start, 22))
        self.gateway = str(self.network.network_address + 1)

    def address(self, number: int) -> str:
        return str(self.network.network_address + number + 2)

    def release(self) -> None:
        self._lock.close()


def take_slot() -> Slot:
    """One that no living lab holds. Whatever dead ones left anywhere is swept first."""
    RUN.mkdir(parents=True, exist_ok=True)
    used = {int(file.stem) for file in RUN.glob("[0-9]*.lock")}
    used |= {int(folder.name[-3:]) for folder in DISKS.glob("mlrunlab[0-9]*")}
    mine = None
    for number in [*sorted(used), *sorted(set(range(SLOTS)) - used)]:
        if mine and number not in used:
            break
        if (slot := _try(number)) is None:
            continue
        sweep(slot)
        if mine is None:
            mine = slot
        else:
            slot.release()
    if mine is None:
        raise LabError(f"{SLOTS} labs run on this machine: no room for another")
    return mine


def _try(number: int) -> Slot | None:
    lock = (RUN / f"{number:03d}.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return Slot(number, lock)


def remains(slot: Slot) -> list[str]:
    """Everything on this machine that belongs to the slot's hosts."""
    names = kernel.namespaces(f"{slot.name}-")
    found = [f"process {pid}: {command[:120]}" for pid, command in processes(slot).items()]
    found += [f"namespace {name}" for name in names]
    found += [f"mount {point}" for point in kernel.mounts(str(slot.disks))]
    found += [f"link {name}" for name in kernel.links(f"{slot.link}-h")]
    found += [f"cgroup {folder}" for folder in cgroups.found(f"{slot.name}-")]
    found += [f"disk {folder}" for folder in sorted(slot.disks.glob("h*"))]
    return found


def processes(slot: Slot, name: str = "") -> dict[int, str]:
    """Of all the slot's hosts, or of one: found by namespace, by mark and by command."""
    names = [name] if name else kernel.namespaces(f"{slot.name}-")
    mark = f"{slot.mark}{name.rpartition('.')[2]}\0" if name else slot.mark
    below = f"{slot.disks}/{name.rpartition('.')[2]}" if name else str(slot.disks)
    return kernel.processes(mark, names, below)


def sweep(slot: Slot) -> None:
    """Remove everything a dead lab has left; only the holder of the slot may."""
    sweep_hosts(slot)
    for name in kernel.links(f"{slot.link}-"):
        kernel.call("ip", "link", "delete", name, check=False)
    shutil.rmtree(slot.disks, ignore_errors=True)


def sweep_hosts(slot: Slot) -> None:
    """Remove every host of a lab, also such as nobody knows of."""
    kernel.kill_all(lambda: processes(slot))
    for name in kernel.links(f"{slot.link}-h"):
        kernel.call("ip", "link", "delete", name, check=False)
    for name in kernel.namespaces(f"{slot.name}-"):
        kernel.call("ip", "netns", "delete", name, check=False)
    for point in sorted(kernel.mounts(str(slot.disks)), reverse=True):
        kernel.unmount(point)
    for folder in cgroups.found(f"{slot.name}-"):
        cgroups.remove(folder.name)
    for folder in slot.disks.glob("h*"):
        shutil.rmtree(folder, ignore_errors=True)


class Net:
    """The lab's bridge. Hosts beyond it lead nowhere: a dead host's address is unreachable, not the internet's."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.bridge = f"{slot.link}-br"

    def up(self) -> None:
        for setting, least in SYSCTLS.items():
            file = Path("/proc/sys") / setting
            if int(file.read_text()) < least:
                file.write_text(str(least))
        kernel.call("ip", "route", "replace", "unreachable", str(RANGE), "metric", "4000000")
        kernel.call("ip", "link", "add", self.bridge, "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
        kernel.call("ip", "address", "add", f"{self.slot.gateway}/{self.slot.network.prefixlen}", "dev", self.bridge)
        kernel.call("ip", "link", "set", self.bridge, "up")

    def down(self) -> None:
        kernel.call("ip", "link", "delete", self.bridge, check=False)
        if not kernel.links("mll"):
            kernel.call("ip", "route", "delete", "unreachable", str(RANGE), "metric", "4000000", check=False)

    def namespace(self, host: str) -> str:
        return f"{self.slot.name}-{host}"

    def link_of(self, host: str) -> str:
        """The end of a host's cable that is in the root namespace."""
        return f"{self.slot.link}-{host}"

    def attach(self, host: str, address: str) -> None:
        """A namespace with loopback, the metadata server's address on it, and a cable to the bridge; closed to all."""
        name, link = self.namespace(host), self.link_of(host)
        kernel.call("ip", "netns", "add", name)
        kernel.call("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        kernel.call("ip", "link", "set", link, "master", self.bridge, "up")
        prefix = self.slot.network.prefixlen
        inside = [
            "link set lo up",
            f"address add {IMDS}/32 dev lo",
            f"address add {address}/{prefix} dev eth0",
            "link set eth0 up",
        ]
        kernel.call("ip", "-n", name, "-batch", "-", stdin="\n".join(inside) + "\n")
        self.shut(host)

    def detach(self, host: str) -> None:
        kernel.call("ip", "link", "delete", self.link_of(host), check=False)
        kernel.call("ip", "netns", "delete", self.namespace(host), check=False)

    def allow(self, host: str, rules: Sequence[Rule]) -> None:
        """What may enter. Connections that stand go on, as security groups let them."""
        self._filter(host, firewall(rules))

    def shut(self, host: str) -> None:
        """Nothing answers, as where the power is off."""
        self._filter(host, firewall(()).replace("ct state established,related accept", ""))

    def _filter(self, host: str, table: str) -> None:
        kernel.inside(self.namespace(host), lambda: kernel.call("nft", "-f", "-", stdin=table))


def firewall(rules: Sequence[Rule]) -> str:
    """The whole table of a host, replaced at one stroke."""
    accepted = "\n".join(
        f"    ip saddr {rule.cidr} tcp dport {rule.first}-{rule.last} accept"
        for rule in rules
        if ipaddress.ip_network(rule.cidr, strict=False).version == 4
    )
    return f"""table inet lab
delete table inet lab
table inet lab {{
  chain entry {{
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state established,related accept
{accepted}
  }}
}}
"""
