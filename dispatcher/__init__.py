"""Plan a training job, and run it here."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "plan"]


def __getattr__(name: str) -> Any:
    """Load the planner only when it is asked for: `mlrun --help` must not pay for it."""
    if name == "plan":
        from dispatcher.app.plans import plan

        return plan
    raise AttributeError(f"module 'dispatcher' has no attribute {name!r}")
