"""The way to a running machine: key, pin, identity."""

from __future__ import annotations

import contextlib

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.machines import ENDING, by_label, ended_because, state
from dispatcher.backends.aws.payload import tag_list
from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.bootstrap import USER
from dispatcher.backends.cloud.contact import CloudContact
from dispatcher.backends.cloud.tags import HOST_KEY
from dispatcher.errors import CloudRefused, HostUnreachable
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import Policy


class Contact(CloudContact[Account]):
    """Born with a key of ours, which whoever may read its user-data holds too: so it is replaced at the first contact."""

    IDENTITY = "/var/lib/cloud/data/instance-id"  # what cloud-init read from the machine's own metadata

    @property
    def _identity(self) -> str:
        return str(self.machine.details["id"])

    def _expected(self, *, borrowed: bool) -> tuple[tuple[str, ...], Policy]:
        if borrowed:
            self._borrow()
        keys = self.keyring.candidates or tuple(filter(None, [str(self.machine.details.get("host_key", ""))]))
        return keys, reach.AGAIN if borrowed else reach.BOOT

    def _settled(self, host: SshHost, shown: str, *, borrowed: bool, new: bool) -> SshHost:
        if borrowed:
            self._stay(host, shown)
        elif not self.keyring.replaced:
            return self._own(host, shown)
        return host

    def _own(self, host: SshHost, shown: str) -> SshHost:
        """Have the machine make itself a key that no cloud has seen, and tell our other computers."""
        public = shown
        if shown == self.keyring.born:
            public = reach.replace_host_key(host, self.keyring)
            host.close()
            host, _ = self._reach((public,), reach.AGAIN)
        self.keyring.replace_pin(public, certain=True)
        with contextlib.suppress(CloudRefused):  # without the tag no other computer comes in; this one does
            say_host_key(self.account, self.machine, public)
        return host

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

    def _printed(self) -> str:
        return printed(self.account, self.machine)


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


def printed(account: Account, machine: ProvisionedMachine) -> str:
    """What a machine printed while it booted; "" where AWS has none of it, or may not tell."""
    for latest in ({"Latest": True}, {}):
        try:
            asked = {"InstanceId": machine.details["id"], **latest}
            found = account.ask("ec2", str(machine.region), "get_console_output", "what it printed", **asked)
        except AwsFailure:
            continue
        return str(found.get("Output", ""))
    return ""
