"""Who may enter a machine: rules of the firewall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.payload import Site, closing, described, opening
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused

DOING = "a rule for SSH"


def site_for(account: Account, region: str, zone: str, subnet: str | None) -> Site:
    """The user's subnetwork, else the default network. Raises CloudRefused where there is neither."""
    if not subnet:
        return Site(region, zone)
    name = subnet.rpartition("/")[2]
    found = account.call("Subnetworks", "get", "the subnetwork of the settings", place=region, region=region, subnetwork=name)
    return Site(region, zone, _short(found.network), f"regions/{region}/subnetworks/{name}")


def let_in(account: Account, site: Site, label: Label, tags: Mapping[str, str], networks: Iterable[str]) -> None:
    """Keep everybody out of our machines, and let these networks in to one of them."""
    shut(account, site)
    wanted = opening(label, site, networks, tags)
    if not _make(account, site, wanted):
        _update(account, wanted)


def shut(account: Account, site: Site) -> None:
    """Keep everybody out of our machines."""
    _make(account, site, closing(site))


def shut_out(account: Account, label: Label) -> None:
    """Remove the machine's rule."""
    try:
        account.carried_out("Firewalls", "delete_unary", f"the removal of {DOING}", firewall=str(label))
    except GcpFailure as failure:
        if failure.kind is not Kind.ABSENT:
            raise failure.told() from failure


def openings(account: Account) -> list[tuple[Label, dict[str, str], Any]]:
    """Every rule that lets somebody in to a machine of ours: its label, its tags, the rule."""
    pages = account.pages("Firewalls", "list", "the rules for SSH", filter="name:mlrun-*")
    found = [(Label.parse(str(rule.name)), described(str(rule.description)), rule) for page in pages for rule in page.items]
    return [(label, tags, rule) for label, tags, rule in found if label]


def _make(account: Account, site: Site, rule: dict[str, Any]) -> bool:
    """Make a rule; False where there is one of that name."""
    try:
        account.carried_out("Firewalls", "insert_unary", DOING, firewall_resource=rule)
    except GcpFailure as failure:
        if failure.kind is Kind.TAKEN:
            return False
        if failure.kind is Kind.ABSENT or ("network" in failure.said and "not found" in failure.said):
            fix = "gcloud compute networks create default   # or name gcp.subnet in config.yaml"
            text = f"The project has no network {site.network.rpartition('/')[2]!r}, and the settings name no subnet"
            raise CloudRefused(text, fix=fix) from failure
        raise failure.told() from failure
    return True


def _update(account: Account, rule: dict[str, Any]) -> None:
    """Have the rule that is there let in who is here now, where that is not so yet."""
    known = account.call("Firewalls", "get", DOING, firewall=rule["name"])
    if sorted(known.source_ranges) == rule["source_ranges"]:
        return
    try:
        account.carried_out("Firewalls", "patch_unary", DOING, firewall=rule["name"], firewall_resource=rule)
    except GcpFailure as failure:
        raise failure.told() from failure


def _short(link: str) -> str:
    return f"global/networks/{str(link).rpartition('/')[2]}"
