"""The first minutes with a machine that was just rented."""

from __future__ import annotations

from collections.abc import Callable

from dispatcher.backends.cloud.bootstrap import ROOT, USER
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.errors import HostError, HostKeyMismatch, HostUnreachable
from dispatcher.hosts.ssh import SshHost, Target
from dispatcher.retries import Clock, Policy, wait_until

BOOT = Policy(first=1.0, longest=8.0, patience=600.0, growth=1.5)
"""Machines answer 20 to 300 seconds after their birth. Pauses grow: sshd locks those out who knock too fast."""
AGAIN = Policy(first=0.5, longest=5.0, patience=90.0)
"""One that has answered before."""
HOSTKEY = ("sudo", "-n", "/usr/local/sbin/mlrun-hostkey")


def reach(
    target: Callable[[str], Target], keys: tuple[str, ...], clock: Clock, policy: Policy, alive: Callable[[], None]
) -> tuple[SshHost, str]:
    """Open a connection to a machine that shows one of these host keys; which one it was.

    `alive` is asked after every look that failed, and raises where there is no use in waiting. Raises HostKeyMismatch at once.
    """
    failure: HostUnreachable | None = None

    def look() -> tuple[SshHost, str] | None:
        nonlocal failure
        try:
            return _open(target, keys, clock)
        except HostUnreachable as error:
            failure = error
            alive()
            return None

    found = wait_until(look, policy, clock)
    if found is None:
        raise HostUnreachable(
            f"The machine was not reached in {policy.patience:.0f} s: {failure}", fix="mlrun doctor"
        ) from failure
    return found


def _open(target: Callable[[str], Target], keys: tuple[str, ...], clock: Clock) -> tuple[SshHost, str]:
    """Try the keys in turn: another than the first is shown only by a machine whose key was about to be replaced."""
    for key in keys[:-1]:
        try:
            return SshHost.open(target(key), ROOT, clock=clock), key
        except HostKeyMismatch:
            continue
    if not keys:
        raise HostKeyMismatch("No host key is known for this machine, and nobody is believed without", fix="mlrun stop RUN")
    return SshHost.open(target(keys[-1]), ROOT, clock=clock), keys[-1]


def touch_contact(host: SshHost) -> None:
    """Tell the machine that a client came: otherwise it ends itself after 20 minutes."""
    done = host.run(["touch", f"{ROOT}/contact"])
    if done.code:
        said = done.stderr.decode(errors="replace").strip()
        raise HostError(f"{host.name} is not prepared as it should be: {said}", fix="mlrun stop RUN")


def check_identity(host: SshHost, file: str, expected: str) -> None:
    """Raise HostKeyMismatch where the machine is another than the provider said. Its own word for it is in `file`."""
    done = host.run(["cat", file])
    shown = done.stdout.decode(errors="replace").strip()
    if done.code or shown != expected:
        raise HostKeyMismatch(
            f"The machine at {host.name} says it is {shown[:40]!r}, and should be {expected!r}. Nothing was sent"
        )


def replace_host_key(host: SshHost, keyring: Keyring) -> str:
    """Have the machine make itself a host key that no cloud has seen, and expect only that one from now on."""
    made = host.run([*HOSTKEY, "new"])
    public = made.stdout.decode(errors="replace").strip()
    if made.code or not public.startswith("ssh-ed25519 "):
        said = made.stderr.decode(errors="replace").strip()
        raise HostError(f"{host.name} does not make a host key of its own: {said}", fix="mlrun stop RUN")
    public = " ".join(public.split()[:2])
    keyring.replace_pin(public, certain=False)
    used = host.run([*HOSTKEY, "use"])
    if used.code:
        raise HostError(f"{host.name} does not take its new host key: {used.stderr.decode(errors='replace').strip()}")
    return public


def login(name: str, address: str, keyring: Keyring) -> Callable[[str], Target]:
    """How to log in to a machine that shows a given key."""
    return lambda host_key: Target(name, address, USER, key=keyring.key, host_keys=(host_key,))
