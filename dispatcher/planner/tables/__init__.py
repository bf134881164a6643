"""Classical libraries on tables: memory, time, and what cannot be."""

from dispatcher.planner.tables.explaining import explain
from dispatcher.planner.tables.leaner import Leaner, leaner
from dispatcher.planner.tables.limits import forbidden
from dispatcher.planner.tables.needs import memory, model_gb, parts, seconds

__all__ = ["Leaner", "explain", "forbidden", "leaner", "memory", "model_gb", "parts", "seconds"]
