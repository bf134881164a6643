"""Hosts that are only written down: they boot, end themselves and hang by the lab's clock."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.lab.clock import Clock, Timer
from tests.lab.seams import HostSpec, Rule

LIMITS = re.compile(rb"mlrun-limits:\s*(.+)")
LIMIT = re.compile(rb"(\w+)=(\d+)")
USER_DATA = {
    "ec2": "/latest/user-data",
    "gce": "/computeMetadata/v1/instance/attributes/startup-script",
}


@dataclass
class PaperHost:
    """A host's whole state."""

    spec: HostSpec
    ended: Callable[[str, str], None]
    address: str
    on: bool = True
    ready: bool = False
    hung: bool = False
    booted: float = 0.0
    uptime: float = 0.0
    contacted: bool = False
    job_ended: float | None = None
    printed: bytes = b""
    limits: dict[str, int] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    boot: Timer | None = None
    timer: Timer | None = None


class PaperHosts:
    """Obeys seams.Hosts. A host ends itself at the limits that its user-data tell, unless it hangs.

    The line `mlrun-limits: max_seconds=…, grace_seconds=…, contact_seconds=…` anywhere in them is what it understands. `hung`
    hosts never end themselves. `boot_seconds` go by before one prints, reads its user-data and counts.
    """

    def __init__(self, clock: Clock, *, boot_seconds: float = 0.0, hung: bool = False) -> None:
        self.clock = clock
        self.boot_seconds = boot_seconds
        self.hosts: dict[str, PaperHost] = {}
        self.hung = hung
        self._next = 0
        self._lock = threading.RLock()

    def boot(self, spec: HostSpec, ended: Callable[[str, str], None]) -> str:
        with self._lock:
            self._next += 1
            address = f"198.18.{self._next // 250}.{self._next % 250 + 2}"
            host = self.hosts[spec.id] = PaperHost(spec, ended, address, hung=self.hung)
        self._start(host)
        return address

    def power_off(self, host: str) -> None:
        if known := self.hosts.get(host):
            self._down(known)

    def power_on(self, host: str) -> None:
        if known := self.hosts.get(host):
            known.on = True
            self._start(known)

    def destroy(self, host: str) -> None:
        if known := self.hosts.pop(host, None):
            self._down(known)

    def alive(self, host: str) -> bool:
        return host in self.hosts and self.hosts[host].on

    def console(self, host: str) -> bytes:
        return self.hosts[host].printed if host in self.hosts else b""

    def allow(self, host: str, rules: Sequence[Rule]) -> None:
        if known := self.hosts.get(host):
            known.rules = tuple(rules)

    def set_wire(self, host: str, *, delay_ms: float = 0.0, loss: float = 0.0, mbit: float = 0.0, cut: bool = False) -> None:
        """A host on paper has no link."""

    def hang(self, host: str) -> None:
        """It never ends itself any more."""
        self.hosts[host].hung = True

    def contact(self, host: str) -> None:
        """A client came."""
        known = self.hosts[host]
        known.contacted = True
        self._arm(known)

    def end_job(self, host: str) -> None:
        """The job has ended: the grace begins."""
        known = self.hosts[host]
        known.job_ended = self._uptime(known)
        self._arm(known)

    def shut_down(self, host: str) -> None:
        """As `shutdown` typed inside."""
        known = self.hosts[host]
        self._down(known)
        known.ended(host, "poweroff")

    def _start(self, host: PaperHost) -> None:
        host.booted = self.clock.now()
        if host.spec.fault != "never-boots":
            host.boot = self.clock.later(self.boot_seconds + host.spec.boot_delay, lambda: self._ready(host))

    def _ready(self, host: PaperHost) -> None:
        if not host.on:
            return
        host.ready = True
        data = user_data(host.spec)
        host.limits = {key.decode(): int(value) for key, value in LIMIT.findall(b"".join(LIMITS.findall(data)))}
        host.printed = f"{host.spec.hostname or host.spec.id} login:\n".encode()
        self._arm(host)

    def _arm(self, host: PaperHost) -> None:
        if host.timer:
            host.timer.cancel()
        ends = self._ends_at(host)
        if ends is not None and host.on and host.ready:
            host.timer = self.clock.later(max(ends - self._uptime(host), 0.001), lambda: self._expire(host))

    def _ends_at(self, host: PaperHost) -> float | None:
        """Its uptime when it ends itself."""
        ends: list[float] = []
        limits: Mapping[str, int] = host.limits
        if "max_seconds" in limits:
            ends.append(limits["max_seconds"])
        if "contact_seconds" in limits and not host.contacted:
            ends.append(limits["contact_seconds"])
        if "grace_seconds" in limits and host.job_ended is not None:
            ends.append(host.job_ended + limits["grace_seconds"])
        return min(ends, default=None)

    def _expire(self, host: PaperHost) -> None:
        if not host.on or host.hung:
            return
        if host.spec.kind == "gce":
            delete_itself(host.spec)
            return
        self._down(host)
        host.ended(host.spec.id, "poweroff")

    def _uptime(self, host: PaperHost) -> float:
        return host.uptime + (self.clock.now() - host.booted if host.on else 0.0)

    def _down(self, host: PaperHost) -> None:
        for timer in (host.boot, host.timer):
            if timer:
                timer.cancel()
        if host.on:
            host.uptime = self._uptime(host)
        host.on = host.ready = False


def user_data(spec: HostSpec) -> bytes:
    """What its cloud tells it to do at boot, unpacked."""
    headers = {"metadata-flavor": "Google"}
    if spec.kind == "ec2":
        ttl = {"x-aws-ec2-metadata-token-ttl-seconds": "60"}
        headers = {"x-aws-ec2-metadata-token": spec.metadata("PUT", "/latest/api/token", ttl, b"").body.decode()}
    reply = spec.metadata("GET", USER_DATA[spec.kind], headers, b"")
    if reply.status != 200:
        return b""
    return gzip.decompress(reply.body) if reply.body.startswith(b"\x1f\x8b") else reply.body


def delete_itself(spec: HostSpec) -> None:
    """A machine of Compute Engine never powers off: it deletes itself where it has an account, else it waits."""

    def ask(path: str) -> str:
        reply = spec.metadata("GET", f"/computeMetadata/v1/{path}", {"metadata-flavor": "Google"}, b"")
        return reply.body.decode() if reply.status == 200 else ""

    if not (token := ask("instance/service-accounts/default/token")):
        return
    project, zone, name = ask("project/project-id"), ask("instance/zone").rpartition("/")[2], ask("instance/name")
    bearer = {"authorization": f"Bearer {json.loads(token)['access_token']}"}
    spec.metadata("DELETE", f"/compute/v1/projects/{project}/zones/{zone}/instances/{name}", bearer, b"")
