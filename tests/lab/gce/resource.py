"""What every resource has: links, times, ids, pages of lists."""

from __future__ import annotations

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.lab.gce.places import PROJECT
from tests.lab.gce.refusals import invalid

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
LABEL_KEY, LABEL_VALUE = re.compile(r"[a-z][a-z0-9_-]{0,62}"), re.compile(r"[a-z0-9_-]{0,63}")
LARGEST_METADATA = 262_144
"""Bytes of one metadata value."""
OWNER = "owner@example.com"
"""Who calls without a token."""


@dataclass(frozen=True)
class Call:
    """A request that was understood. `principal` asks, and may do what `may` says (None: all); `raw` is a body of bytes."""

    name: str
    path: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    principal: str = OWNER
    may: frozenset[str] | None = None
    raw: bytes = b""

    @property
    def project(self) -> str:
        return self.path.get("project", PROJECT)


Handler = Callable[[Call], Any]
"""Answers with a document, or with bytes."""


class Links:
    """Full addresses of resources."""

    def __init__(self) -> None:
        self.base = ""

    def to(self, project: str, rest: str) -> str:
        return f"{self.base}/compute/v1/projects/{project}/{rest}"


def new_id() -> str:
    return str((uuid.uuid4().int >> 66) + 10**18)


def stamp(seconds: float) -> str:
    """RFC 3339 with an offset that is not UTC, as Google's are."""
    zone = dt.timezone(dt.timedelta(hours=-8))
    return dt.datetime.fromtimestamp(seconds, zone).isoformat(timespec="milliseconds")


def tail(link: str) -> str:
    return link.rpartition("/")[2]


def page(kind: str, items: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    """One page of a list; the token is a number."""
    first, many = int(call.query.get("pageToken") or 0), int(call.query.get("maxResults") or 500)
    shown = items[first : first + many]
    answer: dict[str, Any] = {"kind": f"compute#{kind}", "id": call.name, "selfLink": ""}
    if shown:
        answer["items"] = shown
    if first + many < len(items):
        answer["nextPageToken"] = str(first + many)
    return answer


def check_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise invalid("resource.name", name, "Must be a match of regex '(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'")
    return name


def check_request_id(call: Call) -> None:
    text = call.query.get("requestId")
    if text is None:
        return
    try:
        good = uuid.UUID(text).int != 0
    except ValueError:
        good = False
    if not good:
        raise invalid("requestId", text, "The request ID must be a valid UUID that is not zero.")


def check_labels(labels: Mapping[str, str], field_name: str) -> None:
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            raise invalid(field_name, f"{key}={value}", "Label keys and values must be lowercase letters, digits, - and _.")
    if len(labels) > 64:
        raise invalid(field_name, str(len(labels)), "At most 64 labels.")
