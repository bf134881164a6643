"""The product without a terminal: plan, run, and look after runs."""

from dispatcher.app.plans import plan

__all__ = ["plan"]
