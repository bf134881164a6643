"""What is remembered: runs, attempts, intents, transitions, leases."""

from dispatcher.store.records import Intent, MonthTotal, Transition
from dispatcher.store.store import Store

__all__ = ["Intent", "MonthTotal", "Store", "Transition"]
