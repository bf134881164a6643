"""What a run knows of the queue that it is in here."""

from __future__ import annotations

import json
import os
from typing import Any

VARIABLE = "DISPATCHER_QUEUED"


def place(queue: str, part: int, of: int) -> dict[str, str]:
    """The environment that tells it; nothing where it is alone."""
    return {VARIABLE: json.dumps({"id": queue, "part": part, "of": of, "budget_usd": None})} if of > 1 else {}


def told() -> dict[str, Any]:
    """What its record keeps; told once, as an mlrun that the job itself starts is no part of the queue."""
    try:
        found = json.loads(os.environ.pop(VARIABLE, "{}"))
        return {"queue": {**found, "part": int(found["part"]), "of": int(found["of"])}}
    except (ValueError, KeyError, TypeError):
        return {}
