"""The address from which this computer is seen."""

from __future__ import annotations

import ipaddress
import os
import socket
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from dispatcher.errors import HostUnreachable, UsageError

VARIABLE = "DISPATCHER_CALLER_IP"
SERVICES = ("https://checkip.amazonaws.com", "https://api.ipify.org", "https://ipv4.icanhazip.com")
"""Public services that answer with the caller's IPv4 address; run by Amazon, ipify and Cloudflare."""
SECONDS = 5.0
CARRIER = ipaddress.ip_network("100.64.0.0/10")
"""Addresses between a carrier's customers and its translation (RFC 6598)."""
Fetch = Callable[[str], str]


def caller(
    environ: Mapping[str, str] = os.environ,
    *,
    lab: bool = False,
    services: Sequence[str] = SERVICES,
    fetch: Fetch | None = None,
) -> tuple[str, ...]:
    """Networks to let in, as x.x.x.x/32: what DISPATCHER_CALLER_IP says, else what public services see.

    More than one where the services see different addresses. In a lab nobody outside is asked.
    """
    if said := environ.get(VARIABLE):
        return tuple(dict.fromkeys(_network(part.strip(), VARIABLE) for part in said.split(",") if part.strip()))
    if lab:
        raise UsageError("The stand-in cloud does not know this computer's address.", fix=f"export {VARIABLE}=198.18.0.1")
    with ThreadPoolExecutor(len(services)) as pool:
        answers = [one for one in pool.map(lambda service: _asked(service, fetch or _get), services) if one]
    if not answers:
        names = ", ".join(service.partition("//")[2] for service in services)
        fix = f"export {VARIABLE}=<this computer's public address>"
        raise HostUnreachable(f"None of {names} tells under which address this computer is seen.", fix=fix)
    return tuple(dict.fromkeys(answers))


def behind_carrier() -> bool:
    """Whether a carrier's translation is known to stand between: then other customers share the address that is let in."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which of our addresses would
            return ipaddress.ip_address(probe.getsockname()[0]) in CARRIER
        except OSError:
            return False


def _asked(service: str, fetch: Fetch) -> str | None:
    try:
        return _network(fetch(service).strip(), service)
    except (OSError, ValueError, UsageError):
        return None


def _get(service: str) -> str:
    with urllib.request.urlopen(service, timeout=SECONDS) as answer:  # noqa: S310  (the services are ours to name: https)
        return str(answer.read(64).decode("ascii"))


def _network(text: str, where: str) -> str:
    """One IPv4 address as a network of its own. A wider one is refused: it would let strangers in."""
    try:
        network = ipaddress.IPv4Network(text if "/" in text else f"{text}/32", strict=True)
    except ValueError:
        raise UsageError(
            f"{where} says {text[:40]!r}, which is not an IPv4 address.", fix=f"export {VARIABLE}=203.0.113.7"
        ) from None
    if network.prefixlen != 32:
        raise UsageError(f"{where} says {text}, which lets {network.num_addresses} addresses in.", fix="Name one address.")
    return str(network)
