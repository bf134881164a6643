"""The way to a running machine: key, pin, identity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from dispatcher.backends.base import ProvisionedMachine
from dispatcher.backends.cloud import reach
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.errors import HostUnreachable
from dispatcher.hosts.ssh import SshHost
from dispatcher.retries import Clock, Policy

A = TypeVar("A")
DIALS = 3
"""A machine that has just booted may start its sshd anew, and cut who has just come in."""
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class CloudContact(Generic[A]):
    """One machine, and what this computer holds to come in. Clouds differ in how a host key is learned, and who is told it."""

    account: A
    machine: ProvisionedMachine
    keyring: Keyring
    clock: Clock

    IDENTITY: ClassVar[str]
    """The file in which the machine has its own name for itself; root's alone to write."""

    def made(self) -> SshHost:
        """A connection to the machine that the cloud says it is, and to no other."""
        borrowed, new = not self.keyring.known, not self.keyring.candidates
        keys, policy = self._expected(borrowed=borrowed)
        for left in reversed(range(DIALS)):
            host, shown = self._reach(keys, policy)
            try:
                reach.touch_contact(host)
                reach.check_identity(host, self.IDENTITY, self._identity)
                return self._settled(host, shown, borrowed=borrowed, new=new)
            except BaseException as error:
                host.close()
                if not left or not isinstance(error, HostUnreachable):
                    raise
        raise AssertionError("the last dial returns or raises")

    def _reach(self, keys: tuple[str, ...], policy: Policy) -> tuple[SshHost, str]:
        login = reach.login(self._identity, self.machine.address, self.keyring)
        try:
            return reach.reach(login, keys, self.clock, policy, self._alive)
        except HostUnreachable as error:
            if printed := last_lines(self._printed()):
                raise HostUnreachable(f"{error.message}. It printed last: {printed}", fix=error.fix) from error
            raise

    @property
    def _identity(self) -> str:
        """What the machine should say it is."""
        raise NotImplementedError

    def _expected(self, *, borrowed: bool) -> tuple[tuple[str, ...], Policy]:
        """The host keys that it may rightly show, and how long to knock; `borrowed`: it was made from another computer."""
        raise NotImplementedError

    def _settled(self, host: SshHost, shown: str, *, borrowed: bool, new: bool) -> SshHost:
        """The connection to go on with, once the machine is believed; `new` where no key of its was known before."""
        raise NotImplementedError

    def _alive(self) -> None:
        """Raise where there is no use in knocking any longer."""
        raise NotImplementedError

    def _printed(self) -> str:
        """What the machine printed while it booted; "" where nobody knows, or may tell."""
        raise NotImplementedError


def last_lines(printed: str) -> str:
    """The end of what was printed, in one line and without what a terminal would obey."""
    kept = [words for line in printed.split("\n") if (words := CONTROLS.sub("", line).strip())]
    return " / ".join(kept[-3:])[-300:]
