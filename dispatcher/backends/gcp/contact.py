"""The way to a running machine: host keys, pin, identity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.gcp import machines
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.launch import ended_because
from dispatcher.backends.gcp.machines import STOPPED
from dispatcher.errors import HostKeyMismatch, HostUnreachable
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import Clock, wait_until

IDENTITY = "/var/lib/mlrun/label"
"""What the startup script was told; root's alone to write."""
KEY_KIND = "ssh-ed25519"
HOST_KEYS = "hostkeys/"


@dataclass(frozen=True, slots=True)
class Contact:
    """One machine, and what this computer holds to come in."""

    account: Account
    machine: ProvisionedMachine
    keyring: Keyring
    clock: Clock

    def made(self) -> SshHost:
        """A connection to the machine that Google says it is, and to no other."""
        if not self.keyring.known:
            text = f"{self.machine.label} was started from another computer, whose key lets nobody else in"
            raise HostUnreachable(text, fix="mlrun stop RUN works from here; fetch and attach work there")
        known = self.keyring.candidates
        keys = known or (self._told(),)
        login = reach.login(str(self.machine.label), self.machine.address, self.keyring)
        host, _ = reach.reach(login, keys, self.clock, reach.AGAIN if known else reach.BOOT, self._alive)
        try:
            reach.touch_contact(host)
            reach.check_identity(host, IDENTITY, str(self.machine.label))
        except BaseException:
            host.close()
            raise
        return host

    def _told(self) -> str:
        """The host key that the machine published before anybody was on it; read once, and pinned."""
        pin = wait_until(self._published, reach.BOOT, self.clock)
        if pin is None:
            seconds = reach.BOOT.patience
            text = f"{self.machine.label} did not publish its host key within {seconds:.0f} s, and nobody is believed without"
            raise HostKeyMismatch(text, fix="mlrun stop RUN")
        self.keyring.replace_pin(pin, certain=True)
        return pin

    def _published(self) -> str | None:
        asked: dict[str, Any] = {"zone": self._zone, "instance": str(self.machine.label), "query_path": HOST_KEYS}
        try:
            found = self.account.ask("Instances", "get_guest_attributes", "the host key", place=self._zone, **asked)
        except GcpFailure as failure:
            if failure.kind is not Kind.ABSENT:
                raise failure.told() from failure
            self._alive()
            return None
        keys = [str(one.value).split() for one in found.query_value.items if str(one.key) == KEY_KIND]
        return f"{KEY_KIND} {keys[0][-1]}" if keys and keys[0] else None

    def _alive(self) -> None:
        found = machines.at(self.account, self._zone, str(self.machine.label))
        if found is None or str(found.status) in STOPPED:
            raise ended_because(found, self.machine.label)

    @property
    def _zone(self) -> str:
        return str(self.machine.details["zone"])
