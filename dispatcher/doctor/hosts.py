"""Findings on the user's other computers: whether each can be used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dispatcher.doctor.check import Check
from dispatcher.domain.plan import Requirements
from dispatcher.jobfile.settings import ListedHost


def host_checks(hosts: Mapping[str, ListedHost]) -> Iterator[Check]:
    """One finding for each computer of the settings, asked together."""
    if not hosts:
        return
    from dispatcher.backends.ssh import SshBackend

    backend = SshBackend(hosts)
    offers = {one.where: one for one in backend.offers(Requirements(where="ssh"))}
    troubles = backend.troubles()
    for name, listed in hosts.items():
        offer = offers.get(where := f"ssh:{name}")
        if offer is None:
            why = troubles.get(where, "it does not answer")
            yield Check("hosts", "error", f"{where} cannot be used: {why.rstrip('.')}.", f"ssh {listed.ssh}   # by hand, once")
        elif not offer.usable:
            yield Check("hosts", "note", f"{where} answers, but is {offer.why_unusable}.")
        else:
            what = f"{offer.count} × {offer.device}" if offer.count else offer.device
            yield Check("hosts", "ok", f"{where} answers: {what}, {offer.vcpus:g} threads.")
