"""What the stand-in clouds ask of hosts, what hosts tell them, and who keeps the bill."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the metadata server."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


Metadata = Callable[[str, str, Mapping[str, str], bytes], Reply]
"""(method, path with query, headers in lower case, body) → Reply: what a host is told at 169.254.169.254, by its cloud."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Traffic that may enter: TCP ports first to last, from a network. Everything else is dropped."""

    first: int
    last: int
    cidr: str


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A host to boot. `id` is unique in the lab; `kind` is ec2 or gce and decides how user-data are executed.

    `gpus` is what the stand-in nvidia-smi tells: [{"name": "Tesla T4", "memory_mib": 15360, "driver": "580.95"}].
    `boot_delay` are seconds in which nothing answers yet; `fault` is "" or one of never-boots, no-ssh, other-host-key.
    """

    id: str
    kind: str
    metadata: Metadata
    hostname: str = ""
    gpus: tuple[Mapping[str, Any], ...] = ()
    boot_delay: float = 0.0
    fault: str = ""


class Hosts(Protocol):
    """Computers without a cloud. Unknown ids are never an error: destroying twice succeeds."""

    def boot(self, spec: HostSpec, ended: Callable[[str, str], None]) -> str:
        """Begin to boot; the public address at once. `ended(id, why)`, why being poweroff, when it goes down by itself."""

    def power_off(self, host: str) -> None:
        """Orderly; the disk is kept."""

    def power_on(self, host: str) -> None:
        """Boot again what was powered off, with its disk and its address."""

    def destroy(self, host: str) -> None:
        """No process, mount, namespace or disk of it is left when this returns."""

    def alive(self, host: str) -> bool:
        """Whether it is powered on."""

    def console(self, host: str) -> bytes:
        """What it printed since its last boot."""

    def allow(self, host: str, rules: Sequence[Rule]) -> None:
        """What may enter from now on; nothing before the first call."""

    def set_wire(self, host: str, *, delay_ms: float = 0.0, loss: float = 0.0, mbit: float = 0.0, cut: bool = False) -> None:
        """Its link: delay each way, share of packets lost, rate (0 is unlimited), or no link at all."""


class Bill(Protocol):
    """The ledger as clouds write it. Prices are the lab's own; times come from the lab's clock, Unix seconds."""

    def begin(self, cloud: str, kind: str, name: str, usd_per_hour: float, tags: Mapping[str, str]) -> None:
        """Something starts to cost."""

    def end(self, cloud: str, kind: str, name: str) -> None:
        """It stops to cost; also where it never began."""

    def called(self, cloud: str, action: str, parameters: Mapping[str, Any], outcome: str) -> None:
        """An API call was answered (outcome ok, or an error code, or lost)."""


class StandIn(Protocol):
    """A cloud of the lab, as its daemon starts it."""

    def exports(self) -> dict[str, str]:
        """Environment variables with which clients reach it."""

    def control(self, verb: str, arguments: Mapping[str, Any]) -> Any:
        """fault, preempt, console, set …: what `scripts/lab` and tests ask of it. Raises ValueError for what it cannot."""

    def reset(self) -> None:
        """Destroy every machine, forget every fault, tag and call: the state of a new lab."""

    def close(self) -> None:
        """Reset, and stop serving."""
