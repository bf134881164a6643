"""The tags that everything of ours carries from birth."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dispatcher.backends.base import Terms
from dispatcher.domain.run import Label

LABEL, RUN, OWNER, CLIENT = "mlrun-label", "mlrun-run", "mlrun-owner", "mlrun-client"
MAX_SECONDS, NAME, HOST_KEY = "mlrun-max-seconds", "mlrun-name", "mlrun-host-key"
_UNWANTED = re.compile(r"[^\w .:/=+@-]")
LONGEST = 128


def tags_of(label: Label, owner: str, terms: Terms) -> dict[str, str]:
    """What says whose a thing is, which run it belongs to and when it ends."""
    found = {
        LABEL: str(label),
        RUN: label.run,
        OWNER: owner,
        CLIENT: plain(terms.client),
        MAX_SECONDS: str(terms.max_seconds),
        NAME: plain(terms.run_name),
    }
    return {name: value for name, value in found.items() if value}


def label_of(tags: Mapping[str, str]) -> Label | None:
    """The label that tags tell."""
    return Label.parse(tags.get(LABEL, ""))


def plain(text: str) -> str:
    """Text as every cloud takes it for a tag's value."""
    return _UNWANTED.sub("-", text)[:LONGEST].strip()
