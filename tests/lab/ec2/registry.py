"""Which function answers which action."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.lab.ec2.state import Context

Handler = Callable[[Context], dict[str, Any]]

HANDLERS: dict[tuple[str, str], Handler] = {}
OWN_DRY_RUN: set[str] = set()
"""Actions that look further than permissions before they say that a dry run would have succeeded."""


def answers(service: str, *operations: str, own_dry_run: bool = False) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for operation in operations:
            HANDLERS[service, operation] = handler
            if own_dry_run:
                OWN_DRY_RUN.add(operation)
        return handler

    return register
