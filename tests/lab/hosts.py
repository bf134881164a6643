"""The lab's real hosts, as the stand-in clouds ask for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.lab import image, kernel, net
from tests.lab.host import Ended, Host
from tests.lab.image import LabError
from tests.lab.net import Net, Slot
from tests.lab.seams import HostSpec, Rule
from tests.lab.wire import Link

MOST_HOSTS = 1000


class RealHosts:
    """Obeys seams.Hosts. `failures` are what went wrong in the background: a lab with any is not to be believed.

    `age` are the seconds that a host has been up when it boots, by its own clocks: limits of hours are met in seconds.
    """

    def __init__(self, built: Path | None = None, slot: Slot | None = None) -> None:
        self.image = built or image.build()
        self.slot = slot or net.take_slot()
        self.net = Net(self.slot)
        self.layer = self.slot.disks / "files"
        self.failures: list[str] = []
        self.age = 0.0
        self._hosts: dict[str, Host] = {}
        self._count = 0
        self._lock = threading.Lock()
        self.layer.mkdir(parents=True)
        image.layer(self.layer)
        self.net.up()

    def boot(self, spec: HostSpec, ended: Ended) -> str:
        with self._lock:
            if spec.id in self._hosts:
                raise LabError(f"{spec.id} exists already")
            host = self._hosts[spec.id] = Host(self, self._number(), spec, ended)
        try:
            host.build()
        except BaseException:
            self.destroy(spec.id)
            raise
        host.power()
        return host.address

    def _number(self) -> int:
        """The next; one that is free again is used only after all others, as its address may be remembered somewhere."""
        used = {known.number for known in self._hosts.values()}
        for _ in range(MOST_HOSTS):
            self._count = self._count % MOST_HOSTS + 1
            if self._count not in used:
                return self._count
        raise LabError(f"{MOST_HOSTS} hosts run in this lab: no room for another")

    def power_off(self, host: str) -> None:
        if known := self._hosts.get(host):
            known.power_off()

    def power_on(self, host: str) -> None:
        if known := self._hosts.get(host):
            known.power_on()

    def crash(self, host: str) -> None:
        """As when its power fails: its cloud hears that it is off."""
        if known := self._hosts.get(host):
            known.cut_power()

    def destroy(self, host: str) -> None:
        if known := self._hosts.get(host):
            known.destroy()
            with self._lock:
                self._hosts.pop(host, None)

    def alive(self, host: str) -> bool:
        return host in self._hosts and self._hosts[host].wanted == "on"

    def console(self, host: str) -> bytes:
        return self._hosts[host].console() if host in self._hosts else b""

    def allow(self, host: str, rules: Sequence[Rule]) -> None:
        if known := self._hosts.get(host):
            known.allow(rules)

    def set_wire(self, host: str, *, delay_ms: float = 0.0, loss: float = 0.0, mbit: float = 0.0, cut: bool = False) -> None:
        if known := self._hosts.get(host):
            known.set_wire(Link(delay_ms, loss, mbit, cut))

    def put(self, host: str, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file on its disk, as its cloud's own agent could; /run, /tmp and /dev are not on the disk."""
        place = self._hosts[host].root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
        place.chmod(mode)

    def entry(self, host: str) -> list[str]:
        """The command before which a program runs inside a host, as root."""
        return ["nsenter", f"--target={self._hosts[host].init()}", "--all"]

    def run(self, host: str, *argv: str, check: bool = True) -> str:
        """A program run inside a host, as root; what it said."""
        return kernel.call(*self.entry(host), *argv, check=check)

    def ids(self) -> list[str]:
        return list(self._hosts)

    def kind(self, host: str) -> str:
        return self._hosts[host].spec.kind

    def about(self, host: str) -> dict[str, str]:
        known = self._hosts[host]
        return {"id": host, "kind": known.spec.kind, "address": known.address, "power": known.wanted}

    def address(self, host: str) -> str:
        return self._hosts[host].address

    def pid(self, host: str) -> int:
        return self._hosts[host].init()

    def remains(self) -> list[str]:
        """Whatever of this lab's hosts is on this machine; nothing once all are destroyed."""
        return net.remains(self.slot)

    def clear(self) -> None:
        """Every host is destroyed, also what a test has planted."""
        for host in self.ids():
            self.destroy(host)
        if self.remains():
            net.sweep_hosts(self.slot)
        self.failures.clear()
        self.age = 0.0

    def guarded(self, act: Callable[..., None], *arguments: object) -> None:
        """What fails in the background is told to whoever asks the lab how it is."""
        try:
            act(*arguments)
        except Exception as error:  # noqa: BLE001
            self.failures.append(repr(error))

    def close(self) -> None:
        self.clear()
        net.sweep(self.slot)
        self.net.down()
        self.slot.release()
