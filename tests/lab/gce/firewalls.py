"""Firewall rules, in the order in which they count, and what they let in to a host."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.lab.clock import Clock
from tests.lab.gce.filters import chosen
from tests.lab.gce.operations import Operations
from tests.lab.gce.refusals import conflict, invalid, not_found
from tests.lab.gce.resource import Call, Links, check_name, new_id, page, stamp, tail
from tests.lab.gce.settings import Settings
from tests.lab.seams import Rule

DEFAULTS = (
    ("default-allow-ssh", 65534, "0.0.0.0/0", ({"IPProtocol": "tcp", "ports": ["22"]},)),
    ("default-allow-rdp", 65534, "0.0.0.0/0", ({"IPProtocol": "tcp", "ports": ["3389"]},)),
    ("default-allow-icmp", 65534, "0.0.0.0/0", ({"IPProtocol": "icmp"},)),
    ("default-allow-internal", 65534, "10.128.0.0/9", ({"IPProtocol": "all"},)),
)
"""What the default network comes with: everybody may try to log in."""


class Firewalls:
    """The rules of each project by name."""

    def __init__(self, links: Links, clock: Clock, settings: Settings, operations: Operations) -> None:
        self._links, self._clock, self._settings, self._operations = links, clock, settings, operations
        self._known: dict[tuple[str, str], dict[str, Any]] = {}
        self.changed: Callable[[], None] = lambda: None

    def handlers(self) -> dict[str, Callable[[Call], dict[str, Any]]]:
        verbs = {"get": self.get, "list": self.list, "insert": self.insert, "delete": self.delete, "patch": self.patch}
        return {f"firewalls.{verb}": act for verb, act in verbs.items()}

    def clear(self) -> None:
        self._known.clear()

    def made(self) -> list[str]:
        """Those that somebody made."""
        return sorted(name for _, name in self._known)

    def get(self, call: Call) -> dict[str, Any]:
        name = call.path["firewall"]
        for one in self._all(call.project):
            if one["name"] == name:
                return one
        raise not_found(f"projects/{call.project}/global/firewalls/{name}")

    def list(self, call: Call) -> dict[str, Any]:
        return page("firewallList", chosen(self._all(call.project), call.query), call)

    def insert(self, call: Call) -> dict[str, Any]:
        rule = self._rule(call.project, check_name(call.body.get("name", "")), call.body)
        if any(one["name"] == rule["name"] for one in self._all(call.project)):
            raise conflict(f"projects/{call.project}/global/firewalls/{rule['name']}")
        return self._begin(call, "insert", rule, lambda: self._put(call.project, rule))

    def patch(self, call: Call) -> dict[str, Any]:
        rule = self._rule(call.project, call.path["firewall"], {**self.get(call), **call.body})
        return self._begin(call, "patch", rule, lambda: self._put(call.project, rule))

    def delete(self, call: Call) -> dict[str, Any]:
        rule = self.get(call)
        return self._begin(call, "delete", rule, lambda: self._drop(call.project, rule["name"]))

    def rules_for(self, project: str, tags: frozenset[str]) -> list[Rule]:
        """What may enter a machine with these network tags. A denial counts where it covers what would be allowed."""
        denied: list[Rule] = []
        let_in: list[Rule] = []
        for one in sorted(self._all(project), key=lambda rule: (rule["priority"], "allowed" in rule)):
            if one.get("disabled") or one["direction"] != "INGRESS" or not _meant(one, tags):
                continue
            if "denied" in one:
                denied += _tcp(one, one["denied"])
            else:
                let_in += [rule for rule in _tcp(one, one.get("allowed", ())) if not any(_covers(no, rule) for no in denied)]
        return let_in

    def _begin(self, call: Call, kind: str, rule: dict[str, Any], work: Callable[[], None]) -> dict[str, Any]:
        return self._operations.begin(call, kind, rule["selfLink"], self._settings.operation_seconds, work)

    def _put(self, project: str, rule: dict[str, Any]) -> None:
        self._known[project, rule["name"]] = rule
        self.changed()

    def _drop(self, project: str, name: str) -> None:
        self._known.pop((project, name), None)
        self.changed()

    def _all(self, project: str) -> list[dict[str, Any]]:
        made = [rule for (owner, _), rule in self._known.items() if owner == project]
        if not self._settings.default_network:
            return made
        standing = [
            self._rule(project, name, {"priority": priority, "sourceRanges": [cidr], "allowed": list(what)})
            for name, priority, cidr, what in DEFAULTS
        ]
        return standing + made

    def _rule(self, project: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if ("allowed" in body) == ("denied" in body):
            raise invalid("resource.allowed", "", "Exactly one of allowed and denied must be set.")
        for cidr in body.get("sourceRanges", ()):
            try:
                ipaddress.ip_network(cidr)
            except ValueError:
                raise invalid("resource.sourceRanges", cidr, "Must be a CIDR range.") from None
        standing = {
            "kind": "compute#firewall",
            "id": new_id(),
            "network": self._links.to(project, f"global/networks/{tail(body.get('network', 'default'))}"),
            "priority": 1000,
            "direction": "INGRESS",
            "disabled": False,
            "creationTimestamp": stamp(self._clock.now()),
        }
        ranges = {} if body.get("sourceRanges") else {"sourceRanges": ["0.0.0.0/0"]}
        kept = {key: value for key, value in body.items() if key != "network"}
        return {**standing, **kept, **ranges, "name": name, "selfLink": self._links.to(project, f"global/firewalls/{name}")}


def _meant(rule: Mapping[str, Any], tags: frozenset[str]) -> bool:
    return not rule.get("targetTags") or bool(tags & set(rule["targetTags"]))


def _tcp(rule: Mapping[str, Any], what: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The part of a rule that is about TCP, one for each range and span of ports."""
    spans: list[tuple[int, int]] = []
    for one in what:
        if one.get("IPProtocol", "").lower() in ("tcp", "6", "all"):
            texts = one.get("ports") or ["0-65535"]
            spans += [(int(first), int(last or first)) for first, _, last in (text.partition("-") for text in texts)]
    return [Rule(first, last, cidr) for first, last in spans for cidr in rule["sourceRanges"] if ":" not in cidr]


def _covers(wide: Rule, narrow: Rule) -> bool:
    inside = ipaddress.IPv4Network(narrow.cidr).subnet_of(ipaddress.IPv4Network(wide.cidr))
    return inside and wide.first <= narrow.first and narrow.last <= wide.last
