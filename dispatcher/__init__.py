"""Plan a training job, and run it here."""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's own, whose import takes longer than a hand on Ctrl-C
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "plan"]


def __getattr__(name: str) -> Any:
    """Load the planner only when it is asked for: `mlrun --help` must not pay for it."""
    if name == "plan":
        from dispatcher.app.plans import plan

        return plan
    raise AttributeError(f"module 'dispatcher' has no attribute {name!r}")
