"""The way to a running machine: key, pin, identity."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.machines import ENDING, by_label, ended_because, state
from dispatcher.backends.aws.payload import tag_list
from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.bootstrap import USER
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.tags import HOST_KEY
from dispatcher.errors import CloudRefused, HostUnreachable
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import Clock, Policy

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]")
IDENTITY = "/var/lib/cloud/data/instance-id"
"""What cloud-init read from the machine's own metadata."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One machine, and what this computer holds to come in."""

    account: Account
    machine: ProvisionedMachine
    keyring: Keyring
    clock: Clock

    def made(self) -> SshHost:
        """A connection to the machine that AWS says it is, and to no other."""
        borrowed = not self.keyring.known
        if borrowed:
            self._borrow()
        keys = self.keyring.candidates or tuple(filter(None, [str(self.machine.details.get("host_key", ""))]))
        host, shown = self._reach(keys, reach.AGAIN if borrowed else reach.BOOT)
        try:
            reach.touch_contact(host)
            reach.check_identity(host, IDENTITY, str(self.machine.details["id"]))
            if borrowed:
                self._stay(host, shown)
                return host
            return self._own(host, shown)
        except BaseException:
            host.close()
            raise

    def _own(self, host: SshHost, shown: str) -> SshHost:
        """Replace the key the machine was born with: whoever may read its user-data holds that one."""
        if self.keyring.replaced:
            return host
        public = shown
        if shown == self.keyring.born:
            public = reach.replace_host_key(host, self.keyring)
            host.close()
            host, _ = self._reach((public,), reach.AGAIN)
        self.keyring.replace_pin(public, certain=True)
        with contextlib.suppress(CloudRefused):  # without the tag no other computer comes in; this one does
            say_host_key(self.account, self.machine, public)
        return host

    def _reach(self, keys: tuple[str, ...], policy: Policy) -> tuple[SshHost, str]:
        login = reach.login(self.machine.details["id"], self.machine.address, self.keyring)
        try:
            return reach.reach(login, keys, self.clock, policy, self._alive)
        except HostUnreachable as error:
            if printed := last_words(self.account, self.machine):
                raise HostUnreachable(f"{error.message}. It printed last: {printed}", fix=error.fix) from error
            raise

    def _alive(self) -> None:
        found = by_label(self.account, str(self.machine.region), self.machine.label)
        ended = [one for one in found if state(one) in (*ENDING, "stopping", "stopped")]
        if ended and len(ended) == len(found):
            raise ended_because(ended[0])

    def _borrow(self) -> None:
        """From another computer: AWS puts a new key of ours on the machine, for a minute."""
        if not self.machine.address:
            raise HostUnreachable(f"{self.machine.label} has no address yet", fix="mlrun ps")
        lend_key(self.account, self.machine, self.keyring.public_key())

    def _stay(self, host: SshHost, shown: str) -> None:
        """Keep the key that was let in for a minute."""
        added = host.run(["tee", "-a", ".ssh/authorized_keys"], stdin=self.keyring.public_key().encode() + b"\n")
        if added.code:
            raise HostUnreachable(f"{host.name} does not keep this computer's key", fix="mlrun ps")
        self.keyring.replace_pin(shown, certain=True)


def say_host_key(account: Account, machine: ProvisionedMachine, public: str) -> None:
    """Write the machine's host key into its tags, for the user's other computers."""
    what, tags = [machine.details["id"]], tag_list({HOST_KEY: public})
    account.call("ec2", str(machine.region), "create_tags", "a tag", Resources=what, Tags=tags)


def lend_key(account: Account, machine: ProvisionedMachine, public: str) -> None:
    """Have AWS let a key in, for a minute."""
    account.call(
        "ec2-instance-connect", str(machine.region), "send_ssh_public_key", "a key for this computer",
        InstanceId=machine.details["id"], InstanceOSUser=USER, SSHPublicKey=public,
    )  # fmt: skip


def last_words(account: Account, machine: ProvisionedMachine) -> str:
    """The end of what a machine printed while it booted; "" where AWS has none of it, or may not tell."""
    for latest in ({"Latest": True}, {}):
        try:
            asked = {"InstanceId": machine.details["id"], **latest}
            found = account.ask("ec2", str(machine.region), "get_console_output", "what it printed", **asked)
        except AwsFailure:
            continue
        lines = str(found.get("Output", "")).split("\n")
        kept = [words for line in lines if (words := CONTROLS.sub("", line).strip())]
        return " / ".join(kept[-3:])[-300:]
    return ""
