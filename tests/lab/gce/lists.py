"""Lists over all zones, some of which may not answer."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from tests.lab.gce.filters import chosen
from tests.lab.gce.places import zones
from tests.lab.gce.refusals import Refused
from tests.lab.gce.resource import Call
from tests.lab.gce.settings import Settings


def reachable(call: Call, settings: Settings) -> None:
    """Refuse what is asked of a zone that does not answer."""
    if is_unreachable(call.path["zone"], settings):
        raise Refused(503, "backendError", f"The zone {call.path['zone']} is temporarily unavailable.")


def is_unreachable(zone: str, settings: Settings) -> bool:
    return any(fnmatchcase(zone, pattern) for pattern in settings.unreachable)


def aggregated(
    kind: str, plural: str, found: list[tuple[str, dict[str, Any]]], call: Call, settings: Settings
) -> dict[str, Any]:
    """Every zone with what it has; a zone that does not answer is named, and its things are missing."""
    silent = [zone for zone in zones() if is_unreachable(zone, settings)]
    seen = [(zone, one) for zone, one in found if zone not in silent and chosen([one], call.query)]
    first, many = int(call.query.get("pageToken") or 0), int(call.query.get("maxResults") or 500)
    items: dict[str, Any] = {f"zones/{zone}": {"warning": _nothing(zone)} for zone in zones()}
    for zone, one in seen[first : first + many]:
        scope = items[f"zones/{zone}"]
        scope.pop("warning", None)
        scope.setdefault(plural, []).append(one)
    for zone in silent:
        items[f"zones/{zone}"] = {"warning": {"code": "UNREACHABLE", "message": f"The zone {zone} did not answer."}}
    answer = {"kind": f"compute#{kind}AggregatedList", "id": call.name, "items": items, "selfLink": ""}
    if first + many < len(seen):
        answer["nextPageToken"] = str(first + many)
    if silent:
        answer["unreachables"] = [f"projects/{call.project}/zones/{zone}" for zone in silent]
        answer["warning"] = {"code": "UNREACHABLE", "message": "Some zones did not answer."}
    return answer


def _nothing(zone: str) -> dict[str, Any]:
    text = f"There are no results for scope 'zones/{zone}' on this page."
    return {"code": "NO_RESULTS_ON_PAGE", "message": text, "data": [{"key": "scope", "value": f"zones/{zone}"}]}
