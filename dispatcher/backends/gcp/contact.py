"""The way to a running machine: key, pin, identity."""

from __future__ import annotations

import contextlib
from typing import Any

from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.contact import CloudContact
from dispatcher.backends.cloud.tags import HOST_KEY
from dispatcher.backends.gcp import machines
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.machines import STOPPED, ended_because
from dispatcher.errors import HostKeyMismatch, HostUnreachable
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import Policy, wait_until

KEY_KIND = "ssh-ed25519"
HOST_KEYS = "hostkeys/"
KEYS = "mlrun-keys"
"""The attribute that the machine's SSH server asks for further keys."""
DOING = "a key for another computer"


class Contact(CloudContact[Account]):
    """It makes its own key at its birth, and publishes it before anybody is on it: read once, and pinned."""

    IDENTITY = "/var/lib/mlrun/label"  # what the startup script was told

    @property
    def _identity(self) -> str:
        return str(self.machine.label)

    def _expected(self, *, borrowed: bool) -> tuple[tuple[str, ...], Policy]:
        if known := self.keyring.candidates:
            return known, reach.AGAIN
        return ((self._borrowed(),), reach.AGAIN) if borrowed else ((self._told(),), reach.BOOT)

    def _settled(self, host: SshHost, shown: str, *, borrowed: bool, new: bool) -> SshHost:
        if new and not borrowed:
            self._publish(shown)
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

    def _publish(self, pin: str) -> None:
        """Tell our other computers the key: by the machine's attributes, which nobody on it can change."""
        with contextlib.suppress(GcpFailure):  # without it no other computer comes in; this one does
            self._set({HOST_KEY: pin}, wait=False)

    def _borrowed(self) -> str:
        """From another computer: the host key that the first one saw; and our own key is let in."""
        pin = self._attributes(self._instance()).get(HOST_KEY)
        if not pin:
            text = f"{self.machine.label} was started from another computer, which has not been on it yet"
            raise HostUnreachable(text, fix="mlrun stop RUN works from here")
        try:
            known = self._attributes(self._instance()).get(KEYS, "")
            self._set({KEYS: "\n".join(filter(None, [known, self.keyring.public_key()]))}, wait=True)
        except GcpFailure as failure:
            raise failure.told() from failure
        self.keyring.replace_pin(pin, certain=True)
        return pin

    def _set(self, items: dict[str, str], *, wait: bool) -> None:
        """Change attributes of the machine. Google refuses where somebody else did meanwhile."""
        found = self._instance()
        kept = [{"key": name, "value": value} for name, value in (self._attributes(found) | items).items()]
        metadata = {"fingerprint": str(found.metadata.fingerprint), "items": kept}
        asked: dict[str, Any] = {"instance": str(self.machine.label), "metadata_resource": metadata}
        if wait:
            self.account.carried_out("Instances", "set_metadata_unary", DOING, zone=self._zone, **asked)
        else:
            self.account.ask("Instances", "set_metadata_unary", DOING, place=self._zone, zone=self._zone, **asked)

    def _instance(self) -> machines.Instance:
        found = machines.at(self.account, self._zone, str(self.machine.label))
        if found is None:
            raise ended_because(None, self.machine.label)
        return found

    @staticmethod
    def _attributes(instance: machines.Instance) -> dict[str, str]:
        return {str(one.key): str(one.value) for one in instance.metadata.items}

    def _alive(self) -> None:
        found = machines.at(self.account, self._zone, str(self.machine.label))
        if found is None or str(found.status) in STOPPED:
            raise ended_because(found, self.machine.label)

    @property
    def _zone(self) -> str:
        return str(self.machine.details["zone"])

    def _printed(self) -> str:
        asked: dict[str, Any] = {"zone": self._zone, "instance": str(self.machine.label), "port": 1}
        try:
            found = self.account.ask("Instances", "get_serial_port_output", "what it printed", place=self._zone, **asked)
        except GcpFailure:
            return ""
        return str(found.contents)
